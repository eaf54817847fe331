"""Prometheus and Alertmanager as they are: their own checks, and servers to ask."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
from images.engine import free_port, process, wait_for

# Debian calls one of them otherwise.
NAMES = {"alertmanager": ("alertmanager", "prometheus-alertmanager")}
# What a query is told: Prometheus's own labels are left out.
Samples = list[tuple[dict[str, str], float]]


def program(name: str) -> str:
    """Return where a program is; without it, the test is skipped."""
    for each in NAMES.get(name, (name,)):
        found = shutil.which(each)
        if found is not None:
            return found
    pytest.skip(f"{name} is not installed")


def checked(name: str, *arguments: str | Path, code: int = 0) -> str:
    """Run a program, require its exit code, and return all that it prints."""
    command = [program(name), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    told = done.stdout + done.stderr
    assert done.returncode == code, f"exit {done.returncode}, not {code}: {told}"
    return told


@dataclass(frozen=True)
class Prometheus:
    """A Prometheus that runs."""

    url: str

    def get(self, path: str, **query: str) -> Any:
        """Return what its API says."""
        with urlopen(f"{self.url}/api/v1/{path}?{urlencode(query)}", timeout=10) as answer:  # noqa: S310
            return json.load(answer)["data"]

    def ask(self, expression: str) -> Samples:
        """Return what an expression is now."""
        found = self.get("query", query=expression)["result"]
        return [
            (
                {k: v for k, v in each["metric"].items() if k not in ("__name__", "job")},
                float(each["value"][1]),
            )
            for each in found
        ]

    def value(self, expression: str) -> float:
        """Return the one value of an expression."""
        ((_, value),) = self.ask(expression)
        return value


def answers(url: str) -> bool:
    """Tell whether a server says that it is ready."""
    try:
        with urlopen(f"{url}/-/ready", timeout=5):  # noqa: S310
            return True
    except (URLError, ConnectionError):
        return False


@contextmanager
def prometheus(config: Path, folder: Path) -> Iterator[Prometheus]:
    """Run Prometheus as long as it is needed."""
    url = f"127.0.0.1:{free_port()}"
    command = [
        *(program("prometheus"), f"--config.file={config}", f"--web.listen-address={url}"),
        f"--storage.tsdb.path={folder / 'prometheus'}",
    ]
    with process(command, folder / "prometheus.log"):
        wait_for(lambda: answers(f"http://{url}"), "Prometheus")
        yield Prometheus(f"http://{url}")


@contextmanager
def alertmanager(config: Path, folder: Path) -> Iterator[str]:
    """Run Alertmanager as long as it is needed, and yield its address."""
    address = f"127.0.0.1:{free_port()}"
    command = [
        *(program("alertmanager"), f"--config.file={config}", f"--web.listen-address={address}"),
        *(f"--storage.path={folder / 'alertmanager'}", "--cluster.listen-address="),
    ]
    with process(command, folder / "alertmanager.log"):
        wait_for(lambda: answers(f"http://{address}"), "Alertmanager")
        yield address
