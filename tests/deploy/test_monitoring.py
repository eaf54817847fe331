"""Prometheus, Alertmanager and Grafana beside an environment, as `make monitoring` starts them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest
from alerts.tools import Prometheus, answers, program
from deploy.site import ENVIRONMENTS, Site
from images.engine import PYTHON, Engine, free_port, kept, wait_for

# Debian's programs, where the official images have them. For Grafana, which Debian has not, there
# is a server of files: it tells that the container starts as it is restricted, and what is in it.
STAND_INS = {
    "prometheus": "RUN install -d -o 65534 -g 65534 /prometheus\n"
    "COPY prometheus promtool /usr/bin/\n"
    'ENTRYPOINT ["prometheus"]\n',
    "alertmanager": "RUN install -d -o 65534 -g 65534 /alertmanager\n"
    "COPY alertmanager amtool /usr/bin/\n"
    "COPY templates /usr/share/prometheus/alertmanager\n"
    'ENTRYPOINT ["alertmanager"]\n',
    "grafana": 'ENTRYPOINT ["python3", "-m", "http.server", "--directory=/etc/grafana", "3000"]\n',
}
# Debian's Alertmanager has them outside of the program.
TEMPLATES = Path("/usr/share/prometheus/alertmanager")


def bring(engine: Engine, folder: Path) -> dict[str, str]:
    """Make the stand-ins, and return the settings that name them, and ports that are free."""
    for name in ("prometheus", "promtool", "alertmanager", "amtool"):
        shutil.copy(program(name), folder / name)
    (folder / "templates").mkdir()
    for template in TEMPLATES.glob("*.tmpl"):
        shutil.copy(template, folder / "templates")
    settings = {}
    for name, lines in STAND_INS.items():
        engine.docker(
            *("buildx", "build", kept(f"{name}:stand-in"), "--file", "-", folder),
            stdin=f"FROM {PYTHON}\n{lines}".encode(),
        )
        settings[f"{name.upper()}_IMAGE"] = f"{name}:stand-in"
        settings[f"{name.upper()}_LISTEN"] = f"127.0.0.1:{free_port()}"
    return settings


def name_of(site: Site) -> str:
    """Return what the project is called, and its environments on the engine."""
    text = (site.project.folder / "pyproject.toml").read_text(encoding="utf-8")
    return str(tomllib.loads(text)["project"]["name"])


@pytest.fixture
def watching(containers: Site, tmp_path: Path) -> Iterator[dict[str, str]]:
    """Where each of the three listens, once `make monitoring` has run; nothing else has yet."""
    assert containers.engine is not None
    folder = tmp_path / "stand-ins"
    folder.mkdir()
    settings = bring(containers.engine, folder)
    env = containers.project.environ() | containers.environ | settings
    where, file = containers.project.folder, "--file=deploy/compose.monitoring.yaml"
    # The site was given another name than the one that it was baked with; and what changes is seen
    # within a second instead of fifteen.
    name = name_of(containers)
    for baked in ("Makefile", "deploy/compose.monitoring.yaml", "deploy/monitoring/prometheus.yml"):
        text = (where / baked).read_text(encoding="utf-8")
        assert "flight-delays-" in text
        containers.project.write(
            baked, text.replace("flight-delays-", f"{name}-").replace(": 15s", ": 1s")
        )
    try:
        done = subprocess.run(
            ["make", "monitoring"], cwd=where, env=env, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stdout + done.stderr
        yield {each: settings[f"{each.upper()}_LISTEN"] for each in STAND_INS}
    finally:
        down = ["docker", "compose", file, "down", "--volumes", "--timeout=5", "--rmi=all"]
        subprocess.run(down, cwd=where, env=env, check=True, capture_output=True)
        for environment in ENVIRONMENTS:
            network = ["docker", "network", "rm", f"{name}-{environment}"]
            subprocess.run(network, env=os.environ | env, check=False, capture_output=True)


def without_rights(site: Site, service: str) -> None:
    """Require that a container may do nothing that it need not."""
    assert site.engine is not None
    container, inspect = f"{name_of(site)}-monitoring-{service}-1", site.engine.inspect
    assert inspect(container, ".HostConfig.ReadonlyRootfs") == "true"
    assert inspect(container, ".HostConfig.CapDrop") == "[ALL]"
    assert inspect(container, ".HostConfig.SecurityOpt") == "[no-new-privileges:true]"
    assert inspect(container, ".Config.User").partition(":")[0] in ("65534", "472")
    assert "docker.sock" not in inspect(container, "json .Mounts")
    assert inspect(container, ".RestartCount") == "0"


def test_prometheus_finds_the_servers_of_each_environment(
    containers: Site, watching: dict[str, str]
) -> None:
    site, prometheus = containers, Prometheus(f"http://{watching['prometheus']}")

    def releases() -> list[tuple[str, str]]:
        found = [labels for labels, _ in prometheus.ask("mlops_release")]
        return sorted((labels["environment"], labels["release"]) for labels in found)

    for service in watching:
        without_rights(site, service)
    first = site.named("dev")
    site.mlops("apply", "dev")
    wait_for(lambda: releases() == [("dev", first)], "the first release")
    site.promote("staging")
    site.change()
    second = site.release()
    for environment in ("dev", "staging"):
        site.mlops("apply", environment)
    wait_for(lambda: releases() == [("dev", second), ("staging", first)], "both environments")
    # The old one is asked until its name is looked up again.
    wait_for(lambda: [value for _, value in prometheus.ask("up")] == [1, 1], "two servers")

    site.mlops("stop", "dev")  # though Prometheus is in its network, which stays
    wait_for(lambda: not prometheus.ask('up{environment="dev"} == 1'), "the end of dev", 90)
    wait_for(lambda: "NobodyServes" in str(prometheus.get("alerts")), "an alert", 90)
    assert "staging" not in str(prometheus.get("alerts"))
    assert answers(f"http://{watching['alertmanager']}")
    with urlopen(f"http://{watching['grafana']}/dashboards/dashboard.json") as answer:  # noqa: S310
        assert "environment" in str(json.load(answer)["templating"])
