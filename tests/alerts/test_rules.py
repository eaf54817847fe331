"""The rules of Prometheus: valid, and each alert fires when it should and not otherwise."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from alerts.tools import checked
from alerts.weeks import Series, server

OK, FAILED = (f'mlops_requests_total{{path="/predict",status="{code}"}}' for code in (200, 500))
QUICK, BUCKET = (f'mlops_request_seconds_bucket{{path="/predict",le="{le}"}}' for le in ("0.25", 1))
ALL = 'mlops_request_seconds_bucket{path="/predict",le="+Inf"}'
UP = 'up{job="servers"}'
VIOLATIONS = 'mlops_contract_violations_total{input="seats"}'

Week = tuple[list[dict[str, str]], Mapping[int, str]]


def week(*servers: Any, **alerts: str) -> Week:
    """Return servers' series, and which alerts fire at which minutes: `at_30="Slow"`."""
    series = [each for one in servers for each in one]
    return series, {int(at.removeprefix("at_")): names for at, names in alerts.items()}


def one(changes: Series, **alerts: str) -> Week:
    """Return what one server has and which alerts fire."""
    return week(server(changes), **alerts)


WEEKS = {
    "all is well": week(
        server(), server(instance="b"), server(environment="dev", release="r-2"),
        at_1="", at_5="", at_30="", at_400="",
    ),
    "a short time without an answer": one({UP: "1x9 0x0 1x410"}, at_10="", at_12="", at_20=""),
    "nobody answers": week(
        server({UP: "1x9 0x410"}), server({UP: "1x9 0x410"}, instance="b"),
        at_11="", at_13="NobodyServes", at_16="NobodyServes ServerDown ServerDown",
    ),
    "all servers are gone": week(
        server(until=10), server(environment="dev"),
        at_9="", at_11="", at_14="NobodyServes", at_400="NobodyServes",
    ),
    "one of two servers does not answer": week(
        server(), server({UP: "1x9 0x410"}, instance="b"), at_14="", at_16="ServerDown"
    ),
    "a restart": one({"mlops_started_seconds": "1000x9 2000x410"}, at_11="", at_25=""),
    "a start every other minute": one(
        {"mlops_started_seconds": "1000x19 1060 1060 1180 1180 1300 1300 1420 1420 1540 1540x390"},
        at_26="", at_29="Restarting", at_50="",
    ),
    "a deploy": week(
        server(until=30), server(instance="b", release="r-2", since=25), at_28="", at_45=""
    ),
    "two releases that stay": week(
        server(), server(instance="b", release="r-2", since=10), at_22="", at_27="ReleasesMixed"
    ),
    # Of 600 a minute.
    "few errors, all the time": one({FAILED: "0+1x420"}, at_70="", at_400=""),
    "errors for the error budget of a week": one(
        {FAILED: "0+5x420"}, at_70="ErrorBudgetSlow", at_400="ErrorBudgetSlow"
    ),
    "many errors": one(
        {FAILED: "0x299 0+120x30 3600x90"},
        at_299="", at_302="", at_308="ErrorBudgetFast",
        at_329="ErrorBudgetFast ErrorBudgetSlow", at_337="ErrorBudgetSlow", at_370="",
    ),
    "many errors of few requests": one(
        {OK: "0x420", FAILED: "0 0 1x420", ALL: "0 0 1x420"}, at_3="", at_10="", at_50=""
    ),
    "slow for a while": one(
        {QUICK: "0+600x20 12000+0x5 12000+600x395", ALL: "0+600x420"}, at_24="", at_27="", at_40=""
    ),
    "slow": one({QUICK: "0+590x420"}, at_5="", at_13="Slow"),
    "slow, with one request in a minute": one(
        {OK: "0+1x420", QUICK: "0x420", BUCKET: "0+1x420", ALL: "0+1x420"}, at_13="", at_60=""
    ),
    "busy for a while": one(
        {"mlops_cpu_seconds_total": "0+60x20 1200+119x10 2390+60x390"}, at_29="", at_36="", at_60=""
    ),
    "one of two servers is busy": week(
        server(), server({"mlops_cpu_seconds_total": "0+119x420"}, instance="b"),
        at_19="", at_22="Saturated",
    ),
    "few requests against the contract": one({VIOLATIONS: "0+20x420"}, at_30="", at_400=""),
    "many requests against the contract": one(
        {VIOLATIONS: "0+60x420"}, at_4="", at_15="ContractBroken"
    ),
    "the only request is against the contract": one(
        {OK: "0x420", FAILED: "0x420", VIOLATIONS: "0 0 1x420"}, at_10=""
    ),
    "the log drops rows": one(
        {"mlops_log_dropped_rows_total": "0x19 500x400"}, at_18="", at_21="LogDropsRows", at_60=""
    ),
    "a write of the log fails": one(
        {"mlops_log_failures_total": "0x19 1x400"}, at_21="", at_25="", at_40=""
    ),
    "no write of the log succeeds": one(
        {"mlops_log_failures_total": "0x19 1+6x400"}, at_25="", at_33="LogNotWritten"
    ),
}  # fmt: skip


def rules(monitoring: Path, folder: Path) -> Path:
    """Copy the rules, to be tried or broken."""
    for name in ("rules.yml", "alerts.yml"):
        shutil.copy(monitoring / name, folder)
    return folder


def tried(folder: Path, weeks: Mapping[str, Week], code: int = 0) -> str:
    """Have promtool compute which alerts fire in those weeks."""
    tests = [
        {
            "name": name,
            "interval": "1m",
            "input_series": series,
            "promql_expr_test": [
                {
                    "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
                    "eval_time": f"{minute}m",
                    "exp_samples": [
                        {"labels": f'{{alertname="{each}"}}', "value": alerts.split().count(each)}
                        for each in sorted(set(alerts.split()))
                    ],
                }
                for minute, alerts in expected.items()
            ],
        }
        for name, (series, expected) in weeks.items()
    ]
    content = {
        "rule_files": ["rules.yml", "alerts.yml"],
        "evaluation_interval": "1m",
        "tests": tests,
    }
    file = folder / "weeks.json"  # which is YAML, too
    file.write_text(json.dumps(content))
    return checked("promtool", "test", "rules", file, code=code)


def alerts_of(monitoring: Path) -> list[dict[str, Any]]:
    """Return the alerts as they are written."""
    content = yaml.safe_load((monitoring / "alerts.yml").read_text(encoding="utf-8"))
    return [rule for group in content["groups"] for rule in group["rules"]]


def test_configuration_is_valid(monitoring: Path) -> None:
    checked("promtool", "check", "config", monitoring / "prometheus.yml")
    files = [monitoring / name for name in ("rules.yml", "alerts.yml")]
    checked("promtool", "check", "rules", "--lint=all", "--lint-fatal", *files)


@pytest.mark.parametrize("name", WEEKS)
def test_alerts_fire_when_they_should(monitoring: Path, tmp_path: Path, name: str) -> None:
    tried(rules(monitoring, tmp_path), {name: WEEKS[name]})


def named(week: Week) -> set[str]:
    """Return which alerts fire at some time."""
    return {alert for alerts in week[1].values() for alert in alerts.split()}


def early(alerts: Mapping[int, str]) -> Mapping[int, str]:
    """Return the alerts of the first hour."""
    return {minute: names for minute, names in alerts.items() if minute <= 60}


@pytest.mark.parametrize("broken", ["never", "at once"])
def test_every_alert_is_tested(monitoring: Path, tmp_path: Path, broken: str) -> None:
    alerts = alerts_of(monitoring)
    assert len(alerts) > 10
    for alert in alerts:
        if broken == "at once" and "for" not in alert:
            continue
        file = rules(monitoring, tmp_path) / "alerts.yml"
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
        for rule in (rule for group in content["groups"] for rule in group["rules"]):
            if rule["alert"] == alert["alert"]:
                rule |= {"expr": "vector(1) > 2"} if broken == "never" else {"for": "0s"}
        file.write_text(yaml.safe_dump(content), encoding="utf-8")
        if broken == "never":
            weeks = {name: week for name, week in WEEKS.items() if alert["alert"] in named(week)}
        else:  # what an alert waits for shows early, and hours more take promtool as much longer
            weeks = {name: (series, early(found)) for name, (series, found) in WEEKS.items()}
        told = tried(tmp_path, weeks, code=1)
        assert alert["alert"] in told


def test_every_alert_says_what_it_is(monitoring: Path) -> None:
    page = (monitoring.parents[1] / "mlops" / "docs" / "alerts.md").read_text(encoding="utf-8")
    for alert in alerts_of(monitoring):
        assert alert["labels"]["severity"] in ("page", "ticket")
        assert alert["annotations"]["summary"]
        assert f"| `{alert['alert']}` |" in page
