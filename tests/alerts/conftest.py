"""What is baked to watch a project."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def monitoring(baked: Callable[..., Path]) -> Path:
    """The folder of Prometheus's, Alertmanager's and Grafana's files."""
    return baked() / "deploy" / "monitoring"
