"""Split: rows for training, validation and test; how they are chosen is in `parts`."""

import pandas as pd

from ..config.params import load_params
from ..data.clean import clean
from ..data.contract import Contract, load_contract, snapshot
from ..data.groups import together
from ..data.parts import describe, divide, represent
from ..files import replacing, write_json
from ..paths import PARTS, SPLIT
from . import stage


def split() -> None:
    """Write the three parts, and what they look like. Raises CheckError as `represent`."""
    params, contract = load_params(), load_contract()
    data = clean(snapshot(contract.columns), contract).typed
    parts = divide(data, contract, params.task, params.split)
    described = {name: describe(part, contract) for name, part in parts.items()}
    write_json(SPLIT, {"together": together(data, contract), "parts": described})
    for name, part in parts.items():
        print(f"{name:<10} {len(part):>9,} rows{_span(part, contract)}")
    represent(parts, contract)
    for name, part in parts.items():
        with replacing(PARTS[name]) as temporary:
            part.to_parquet(temporary, index=False, compression="zstd")


def _span(part: pd.DataFrame, contract: Contract) -> str:
    if contract.time is None:
        return ""
    first, last = part[contract.time].min(), part[contract.time].max()
    return f", {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M}"


if __name__ == "__main__":
    stage(split)
