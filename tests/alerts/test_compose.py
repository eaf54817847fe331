"""The Compose file that runs Prometheus, Alertmanager and Grafana; it runs in tests/deploy."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml


@pytest.fixture(scope="module")
def compose(monitoring: Path) -> dict[str, Any]:
    """The file as Compose reads it."""
    if shutil.which("docker") is None:
        pytest.skip("docker is not installed")
    file = monitoring.parent / "compose.monitoring.yaml"
    command = ["docker", "compose", "--file", str(file), "config", "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    content: dict[str, Any] = json.loads(done.stdout)
    return content


def test_images_are_pinned_and_ports_are_of_this_machine(compose: dict[str, Any]) -> None:
    assert set(compose["services"]) == {"prometheus", "alertmanager", "grafana"}
    for service in compose["services"].values():
        assert service["build"]["args"]["BASE"] == "official"
        _, official, based, *_ = service["build"]["dockerfile_inline"].splitlines()
        assert re.fullmatch(r"FROM .+:v?[0-9.]+@sha256:[0-9a-f]{64} AS official", official)
        assert based == "FROM $$BASE"  # Compose prints it so
        assert all(port["host_ip"] == "127.0.0.1" for port in service["ports"])
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert not service["user"].startswith(("0", "root"))
        assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}


def test_every_environment_is_watched(compose: dict[str, Any], monitoring: Path) -> None:
    project = monitoring.parents[1]
    names = {each.name for each in (project / "environments").iterdir() if each.is_dir()}
    networks = {f"{project.name}-{name}" for name in names}
    external = {each["name"] for each in compose["networks"].values() if each.get("external")}
    assert external == networks
    assert {"default", *names} == set(compose["services"]["prometheus"]["networks"])
    (job,) = yaml.safe_load((monitoring / "prometheus.yml").read_text())["scrape_configs"]
    (found,) = job["dns_sd_configs"]
    assert set(found["names"]) == {f"servers.{network}" for network in networks}
