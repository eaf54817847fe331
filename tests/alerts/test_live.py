"""A real Prometheus asks real servers, and a real Alertmanager tells somebody."""

from __future__ import annotations

import json
import math
import re
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from alerts.tools import Prometheus, alertmanager, program, prometheus
from images.engine import free_port
from pipeline.running import Reproduced
from serving.running import Server, serving, wait_for

# A number in this column's place is what the contract refuses.
COLUMN = "carrier"
RAW = re.compile(r"mlops_\w+(?:\{[^}]*\})?")
RECORDED = re.compile(r"\w+(?::\w+)+")


@dataclass
class Watched:
    """Servers in two environments, one that is down in a third, and who looks at them.

    Attributes:
        prometheus: the baked one, but that it asks every second and waits for nothing.
        told: what the receivers were told.
    """

    prometheus: Prometheus
    servers: dict[str, Server]
    told: list[dict[str, Any]] = field(default_factory=list)


def use(server: Server) -> None:
    """Ask for predictions, rightly and wrongly."""
    row = server.example()
    for _ in range(20):
        server.predict(row, row)
    assert server.ask("/predict", [row | {COLUMN: [3]}]).status == 400


def hurried(monitoring: Path, folder: Path, targets: dict[str, str], alerts: str) -> Path:
    """Write the configuration for these servers, with seconds for minutes; return its file."""
    config = yaml.safe_load((monitoring / "prometheus.yml").read_text(encoding="utf-8"))
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    (job,) = config["scrape_configs"]
    # Without Docker there is nobody who knows them by name: tests/alerts/test_compose.py.
    del job["dns_sd_configs"], job["relabel_configs"]
    job["static_configs"] = [
        {"targets": [address], "labels": {"environment": environment}}
        for environment, address in targets.items()
    ]
    config["alerting"]["alertmanagers"] = [{"static_configs": [{"targets": [alerts]}]}]
    shutil.copy(monitoring / "rules.yml", folder)
    text = (monitoring / "alerts.yml").read_text(encoding="utf-8")
    (folder / "alerts.yml").write_text(re.sub(r"for: \d+m", "for: 0s", text), encoding="utf-8")
    file = folder / "prometheus.yml"
    file.write_text(yaml.safe_dump(config), encoding="utf-8")
    return file


def told_at(monitoring: Path, folder: Path, url: str) -> Path:
    """Write Alertmanager's configuration with channels, as alerts.md says; return its file."""
    address = folder / "address"
    address.write_text(url)
    text = (monitoring / "alertmanager.yml").read_text(encoding="utf-8")
    (channel,) = re.findall(r"#   (webhook_configs: .*)\n", text)
    channel = channel.replace("/run/secrets/alerts", str(address))
    for name in ("page", "ticket"):
        text = text.replace(f"  - name: {name}\n", f"  - name: {name}\n    {channel}\n")
    text = re.sub(r"group_wait: \d+s", "group_wait: 3s", text)
    file = folder / "alertmanager.yml"
    file.write_text(text, encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def watched(
    small: Reproduced, monitoring: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Watched]:
    for name in ("prometheus", "alertmanager"):
        program(name)
    project, folder = small("classification"), tmp_path_factory.mktemp("watched")
    told: list[dict[str, Any]] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    receiver = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=receiver.serve_forever, daemon=True).start()
    config = told_at(monitoring, folder, f"http://127.0.0.1:{receiver.server_port}")
    log = ("--log", str(folder / "log"))
    with (
        serving(project, folder, "--workers", "2", *log, env={"MLOPS_RELEASE": "r-1"}) as prod,
        serving(project, folder, *log, env={"MLOPS_RELEASE": "r-2"}) as dev,
        alertmanager(config, folder) as alerts,
    ):
        servers = {"prod": prod, "dev": dev}
        targets = {name: f"{each.host}:{each.port}" for name, each in servers.items()}
        targets["staging"] = f"127.0.0.1:{free_port()}"
        with prometheus(hurried(monitoring, folder, targets, alerts), folder) as running:
            wait_for(lambda: len(running.ask("mlops_workers")) == 2, "a scrape")
            for each in servers.values():
                use(each)
            # By then each server has been asked again, and each rule knows what others said of it.
            known = datetime.now(UTC) + timedelta(seconds=5)
            wait_for(lambda: computed(running) > known, "the rules")
            yield Watched(running, servers, told)
    receiver.shutdown()


def computed(prometheus: Prometheus) -> datetime:
    """Return since when every group of rules has been computed."""
    groups = prometheus.get("rules")["groups"]
    return min(datetime.fromisoformat(each["lastEvaluation"][:19] + "Z") for each in groups)


def rules_of(monitoring: Path, name: str) -> list[dict[str, Any]]:
    """Return the rules of a file."""
    content = yaml.safe_load((monitoring / name).read_text(encoding="utf-8"))
    return [rule for group in content["groups"] for rule in group["rules"]]


def queries(monitoring: Path) -> list[tuple[str, str]]:
    """Return the dashboard's queries by the names of their panels, for every environment."""
    text = (monitoring / "grafana" / "dashboard.json").read_text(encoding="utf-8")
    dashboard = json.loads(text.replace("$environment", ".+"))
    found = [
        (panel["title"], target["expr"])
        for panel in dashboard["panels"]
        for target in panel["targets"]
    ]
    events = dashboard["annotations"]["list"]
    return found + [(each["name"], each["target"]["expr"]) for each in events]


def unknown(watched: Watched, expressions: list[str]) -> set[str]:
    """Return which of the metrics that expressions select, with their labels, no server has."""
    selected = {each for expression in expressions for each in RAW.findall(expression)}
    assert selected
    return {each for each in selected if not watched.prometheus.ask(each)}


def test_every_rule_has_values(watched: Watched, monitoring: Path) -> None:
    for rule in rules_of(monitoring, "rules.yml"):
        name, found = rule["record"], watched.prometheus.ask(rule["record"])
        found = [each for each in found if not math.isnan(each[1])]
        assert found, name
        by = name.partition(":")[0]
        if by != "objective":
            assert all(set(labels) == set(by.split("_")) for labels, _ in found), name
            assert {labels["environment"] for labels, _ in found} >= {"prod", "dev"}, name


def test_rules_say_what_happened(watched: Watched) -> None:
    ask = watched.prometheus.value
    prod = '{environment="prod"}'
    assert ask(f"environment:servers_up:sum{prod}") == 1
    assert ask('environment:servers_up:sum{environment="staging"}') == 0
    assert ask('environment_release:servers:count{environment="dev",release="r-2"}') == 1
    assert (
        0
        < ask(f"environment:request_seconds:p50{prod}")
        <= ask(f"environment:request_seconds:p99{prod}")
    )
    assert ask(f"environment:requests_failed:ratio_rate5m{prod}") == 0
    assert ask(f"environment:batch_rows:mean5m{prod}") == pytest.approx(2)
    by_release = ask('environment_release:requests:rate5m{environment="prod",release="r-1"}')
    assert by_release == ask(f"environment:requests:rate5m{prod}") > 0
    refused = watched.prometheus.ask(f"environment_input:contract_violations:rate5m{prod} > 0")
    assert [labels["input"] for labels, _ in refused] == [COLUMN]
    assert ask('sum(mlops_workers{environment="prod"})') == 2


def test_every_metric_that_is_named_is_there(watched: Watched, monitoring: Path) -> None:
    files = ("rules.yml", "alerts.yml")
    expressions = [rule["expr"] for name in files for rule in rules_of(monitoring, name)]
    expressions += [query for _, query in queries(monitoring)]
    assert not unknown(watched, expressions)
    recorded = {rule["record"] for rule in rules_of(monitoring, "rules.yml")}
    used = {each for expression in expressions for each in RECORDED.findall(expression)}
    assert used == recorded, "named and not recorded, or recorded and not used"


@pytest.mark.parametrize(
    "broken",
    ["mlops_request_total", 'mlops_requests_total{path="/infer"}', "mlops_release{id='x'}"],
)
def test_a_metric_that_is_not_there_is_found(watched: Watched, broken: str) -> None:
    assert unknown(watched, [f"rate({broken}[5m])", "mlops_workers"]) == {broken}


def test_every_panel_has_data(watched: Watched, monitoring: Path) -> None:
    wait_for(lambda: watched.prometheus.ask('ALERTS{alertstate="firing"}'), "an alert")
    for title, query in queries(monitoring):
        found = watched.prometheus.ask(query)
        assert any(not math.isnan(value) for _, value in found), f"{title}: {query}"


def test_choices_of_the_dashboard_are_the_environments(watched: Watched, monitoring: Path) -> None:
    dashboard = json.loads((monitoring / "grafana" / "dashboard.json").read_text(encoding="utf-8"))
    (choice,) = dashboard["templating"]["list"]
    found = re.fullmatch(r"label_values\((\S+), (\w+)\)", choice["query"]["query"])
    assert found is not None
    values = watched.prometheus.get(f"label/{found[2]}/values", **{"match[]": found[1]})
    assert values == ["dev", "prod", "staging"]


def test_people_are_told_once_and_of_the_cause(watched: Watched) -> None:
    def names() -> list[str]:
        return [alert["labels"]["alertname"] for each in watched.told for alert in each["alerts"]]

    wait_for(lambda: "NobodyServes" in names(), "word of it")
    firing = {
        alert["labels"]["alertname"]: alert["annotations"]["summary"]
        for alert in watched.prometheus.get("alerts")["alerts"]
        if alert["labels"]["environment"] == "staging"
    }
    assert firing["NobodyServes"] == "No server of staging answers"
    assert "ServerDown" in firing
    assert set(names()) & set(firing) == {"NobodyServes"}, "where nobody serves, that is the news"
    assert names().count("NobodyServes") == 1
