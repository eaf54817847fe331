"""The same model on every machine: linear algebra adds up in one order.

Sums depend on how many threads share them, and on the instructions that a processor has: a runner
with four cores or AVX-512 fits other last digits than one with two, and what is made again would
not have the hash that dvc.lock names. Trees of scikit-learn are the same in any case.
"""

import os
from pathlib import Path

from threadpoolctl import threadpool_limits

_PROCESSOR = Path("/proc/cpuinfo")


def pin() -> None:
    """Have OpenBLAS use one thread, and the kernels that all of today's x86-64 servers have.

    It looks once, when NumPy is imported: https://github.com/OpenMathLib/OpenBLAS#setting-the-number-of-threads-using-environment-variables
    """
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    if _PROCESSOR.exists() and " avx2 " in _PROCESSOR.read_text(encoding="utf-8"):
        os.environ["OPENBLAS_CORETYPE"] = "Haswell"


def alone() -> None:
    """Have OpenMP use one thread from here on; k-means adds up what each thread found."""
    threadpool_limits(1, user_api="openmp")
