"""Thresholds as float32, in which ONNX compares."""

import numpy as np


def round_down(exact: np.ndarray) -> np.ndarray:
    """The largest float32 that is not above each float64, as float64."""
    near = exact.astype(np.float32)
    return np.where(near > exact, np.nextafter(near, np.float32(-np.inf)), near).astype(exact.dtype)
