"""One module a DVC stage, with the stage's name. Run one with `dvc repro STAGE`."""

import time
from collections.abc import Callable

from ..errors import run
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
