"""Kernels: what training makes does not depend on a machine's threads and instructions."""

import os
import subprocess
import sys

import pytest
from engine.workspace import root

TRAINED = """
import hashlib
from mlops.pipeline import kernels
import numpy as np
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neural_network import MLPRegressor
kernels.alone()
rng = np.random.default_rng(0)
inputs = rng.normal(size=(20_000, 30))
target = inputs[:, 0] + inputs[:, 1] * inputs[:, 2] + rng.normal(size=20_000)
found = [
    KMeans(5, n_init=1, random_state=0).fit(inputs).cluster_centers_,
    LogisticRegression().fit(inputs, target > 0).coef_,
    Ridge().fit(inputs, target).coef_,
    *MLPRegressor(hidden_layer_sizes=(8,), max_iter=2, random_state=0).fit(inputs, target).coefs_,
]
print(*(hashlib.md5(each.tobytes()).hexdigest() for each in found))
"""
MACHINES = [
    {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    {"OMP_NUM_THREADS": "4", "OPENBLAS_NUM_THREADS": "4", "OPENBLAS_CORETYPE": "Sandybridge"},
]


def hashes(machine: dict[str, str], code: str) -> list[str]:
    """Return what a process that takes itself to be on such a machine trains."""
    environ = os.environ | {"PYTHONWARNINGS": "ignore"} | machine
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root(), env=environ, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.slow
def test_models_have_the_same_bits() -> None:
    first, second = (hashes(machine, TRAINED) for machine in MACHINES)
    assert first == second


@pytest.mark.slow
def test_without_it_they_would_not() -> None:
    code = TRAINED.replace("from mlops.pipeline import kernels\n", "")
    code = code.replace("kernels.alone()\n", "")
    first, second = (hashes(machine, code) for machine in MACHINES)
    assert [one == other for one, other in zip(first, second, strict=True)][:3] == [False] * 3
