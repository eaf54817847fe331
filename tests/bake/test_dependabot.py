"""Dependabot finds what it is to renew, by the rules of its source code; it is not run.

https://github.com/dependabot/dependabot-core, `file_fetcher.rb` and `file_parser.rb` of docker and
of docker_compose.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers import CHOICES

COMPOSE = re.compile(r"(docker-)?compose(-\w+)?(\.[\w-]+)?\.ya?ml", re.IGNORECASE)
DOCKER = re.compile(r"dockerfile|containerfile", re.IGNORECASE)
VARIABLE = re.compile(r"\$\{[^}:]+(?::-(?P<default>[^}]+))?\}")
PINNED = re.compile(r"[\w./-]+:v?[0-9.]+[\w.-]*@sha256:[0-9a-f]{64}")
FROM = re.compile(r"^FROM\s+(\S+)", re.MULTILINE)


def image_of(service: dict[str, Any]) -> str | None:
    """Return the image that Dependabot takes of a service, if any."""
    if image := service.get("image"):
        variable = VARIABLE.match(image)
        return variable["default"] if variable else image
    found = FROM.search(service["build"]["dockerfile_inline"])
    return found[1] if found else None


@pytest.mark.parametrize("deployment", CHOICES["deployment"])
def test_every_image_is_found(baked: Callable[..., Path], deployment: str) -> None:
    project = baked(deployment=deployment)
    updates = yaml.safe_load((project / ".github/dependabot.yml").read_text("utf-8"))["updates"]
    ecosystems = {each["package-ecosystem"]: each for each in updates}
    folder = project / ecosystems["docker-compose"]["directory"].lstrip("/")
    files = [path for path in folder.glob("*.yaml") if COMPOSE.search(path.name)]
    services = {
        f"{path.name} {name}": service
        for path in files
        for name, service in yaml.safe_load(path.read_text("utf-8"))["services"].items()
    }
    images = {name: image_of(service) for name, service in services.items()}
    server = images.pop("compose.server.yaml server")
    assert server
    assert server.startswith("${SERVING_IMAGE:?")  # of the release, and no version of others
    assert {name.partition(" ")[2] for name in images} == {
        *("proxy", "prometheus", "alertmanager", "grafana")
    }
    for name, image in images.items():
        assert image, name
        assert PINNED.fullmatch(image), name

    folder = project / ecosystems["docker"]["directory"].lstrip("/")
    stages = {
        image
        for path in folder.iterdir()
        if DOCKER.search(path.name)
        for image in FROM.findall(path.read_text("utf-8"))
        if ":" in image
    }
    assert len(stages) >= 2
    assert all(map(PINNED.fullmatch, stages)), stages
