"""Who is told: Alertmanager's own view of its routes."""

from __future__ import annotations

from pathlib import Path

import pytest
from alerts.tools import checked


def test_configuration_is_valid(monitoring: Path) -> None:
    assert "3 receivers" in checked("amtool", "check-config", monitoring / "alertmanager.yml")


@pytest.mark.parametrize(
    ("environment", "severity", "receiver"),
    [
        ("prod", "page", "page"),
        ("prod", "ticket", "ticket"),
        ("staging", "page", "ticket"),
        ("staging", "ticket", "ticket"),
        ("dev", "page", "nobody"),
        ("dev", "ticket", "nobody"),
    ],
)
def test_routes(monitoring: Path, environment: str, severity: str, receiver: str) -> None:
    config = f"--config.file={monitoring / 'alertmanager.yml'}"
    labels = [f"environment={environment}", f"severity={severity}", "alertname=Slow"]
    checked("amtool", "config", "routes", "test", config, f"--verify.receivers={receiver}", *labels)
