"""One module a DVC stage, with the stage's name. Run one with `dvc repro STAGE`."""

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from ..errors import run
from ..paths import PARAMS, PIPELINE
from ..project import require_root
from . import kernels

kernels.pin()  # before a stage imports NumPy

# What a stage says last, and the report of a pull request reads in the log of `dvc repro`.
TOOK = "took {:.1f} s"


def stage(main: Callable[[], None]) -> None:
    """Run `main` as the process of a stage, and say how long it took. Exits as errors.run does."""

    def timed() -> None:
        require_root()
        start = time.perf_counter()
        main()
        print(TOOK.format(time.perf_counter() - start))

    run(timed)


def watched(name: str) -> list[Path]:
    """The files and folders that a stage of dvc.yaml depends on, as DVC reads them."""
    yaml = YAML(typ="safe", pure=True)
    params, pipeline = (yaml.load(path.read_text(encoding="utf-8")) for path in (PARAMS, PIPELINE))
    known: dict[str, Any] = dict(params)
    for each in pipeline.get("vars", []):
        known |= each if isinstance(each, dict) else {}

    def value(key: re.Match[str]) -> str:
        found: Any = known
        for part in key[1].split("."):
            found = (found or {}).get(part)
        return str(found)

    deps = pipeline["stages"][name].get("deps", [])
    return [Path(re.sub(r"\$\{([^}]+)\}", value, each)) for each in deps]
