"""Let the world change, for `make demo`: a carrier that there was not before, late in the morning.

Writes the flights of the next year for those who learn from them, asks the server for the first,
waits until these are logged, and writes which were late. Runs in a bake's Python.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from urllib.request import Request, urlopen

import numpy as np
import pandas as pd
from pyarrow import parquet

ROWS = 15_000
ASKED = 3000
REQUEST = 100
PATIENCE = 60.0


def flights(source: Path) -> pd.DataFrame:
    """Return flights of a year later, of which the new carrier has half."""
    rows = pd.read_parquet(source).sort_values("time_hour").head(ROWS).reset_index(drop=True)
    rows["time_hour"] += pd.Timedelta(days=365)
    chance = np.random.default_rng(0)
    new = chance.random(ROWS) < 0.5
    rows.loc[new, "carrier"] = "ZZ"
    rows.loc[new, "late"] = chance.random(new.sum()) < np.where(rows["hour"][new] < 14, 0.9, 0.1)
    return rows


def ask(rows: pd.DataFrame, url: str) -> pd.DataFrame:
    """Ask for each row, and return what is true of it by request and row."""
    asked = json.loads(rows.drop(columns="late").to_json(orient="records", date_format="iso"))
    parts = []
    for start in range(0, len(asked), REQUEST):
        body = json.dumps(asked[start : start + REQUEST]).encode()
        with urlopen(Request(url, body)) as answer:  # noqa: S310
            request = json.load(answer)["id"]
        late = rows["late"][start : start + REQUEST].tolist()
        parts.append(pd.DataFrame({"request": request, "row": range(len(late)), "late": late}))
    return pd.concat(parts)


def logged(log: Path) -> int:
    """Return how many rows are in a log."""
    return sum(parquet.read_metadata(path).num_rows for path in log.glob("*/*.parquet"))


def main(source: Path, url: str, log: Path, labels: Path, warehouse: Path) -> None:
    """Do it."""
    before, rows = logged(log), flights(source)
    rows.to_parquet(warehouse, index=False)
    ask(rows.head(ASKED), url).to_csv(labels, index=False)
    deadline = time.monotonic() + PATIENCE
    while logged(log) < before + ASKED:
        if time.monotonic() > deadline:
            sys.exit(f"{log}: {logged(log) - before} of {ASKED} rows were logged")
        time.sleep(0.2)
    print(f"{ASKED:,} flights were asked for; {labels} says which were late")


if __name__ == "__main__":
    given, address, *others = sys.argv[1:]
    main(Path(given), address, *map(Path, others))
