"""The dashboard, as far as it can be checked without Grafana: by Grafana's own types."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

# Of the image in deploy/compose.monitoring.yaml: see test_types_are_those_of_the_image.
GRAFANA = "12.4.2"
TYPESCRIPT = "5.9.3"
# Grafana's enumerations as they are in JSON: their values.
TYPES = """
import type { Dashboard } from "@grafana/schema";
import type * as stat from "SCHEMA/stat/PANEL";
import type * as table from "SCHEMA/table/PANEL";
import type * as series from "SCHEMA/timeseries/PANEL";
type Plain<T> = T extends string ? `${T}` : T extends number ? number
  : T extends (infer U)[] ? Plain<U>[] : T extends object ? { [K in keyof T]: Plain<T[K]> } : T;
type Options = { stat: stat.Options; table: table.Options; timeseries: series.Options };
type Custom = { stat: {}; table: table.FieldConfig; timeseries: series.FieldConfig };
type Query = { type: "prometheus"; uid: "prometheus" };
type Event = { titleFormat: string; target: { expr: string; interval: string } };
type Whole = Plain<Dashboard> & { annotations: { list: Event[] } };
"""
TYPES = TYPES.replace("SCHEMA", "./node_modules/@grafana/schema/dist/types/raw/composable")
TYPES = TYPES.replace("PANEL", "panelcfg/x/types.gen")


def load(monitoring: Path) -> dict[str, Any]:
    """Return the dashboard."""
    text = (monitoring / "grafana" / "dashboard.json").read_text(encoding="utf-8")
    content: dict[str, Any] = json.loads(text)
    return content


def script(dashboard: dict[str, Any]) -> str:
    """Return the dashboard and the parts that its type leaves open, as literals with a type."""
    lines = [TYPES, f"const dashboard: Whole = {json.dumps(dashboard)};"]
    for panel in dashboard["panels"]:
        number, kind = panel["id"], panel["type"]
        options, custom = panel["options"], panel["fieldConfig"]["defaults"].get("custom", {})
        lines += [
            f"const options{number}: Partial<Plain<Options['{kind}']>> = {json.dumps(options)};",
            f"const custom{number}: Partial<Plain<Custom['{kind}']>> = {json.dumps(custom)};",
        ]
        lines += [
            f"const source{number}: Query = {json.dumps(each['datasource'])};"
            for each in panel["targets"]
        ][:1]
    return "\n".join(lines)


@pytest.fixture(scope="module")
def compiler(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with Grafana's types, and what checks them."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    folder = tmp_path_factory.mktemp("grafana")
    (folder / "package.json").write_text("{}")
    packages = [f"@grafana/schema@{GRAFANA}", f"typescript@{TYPESCRIPT}"]
    command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", *packages]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return folder


def complaints(compiler: Path, dashboard: dict[str, Any]) -> list[str]:
    """Return what the compiler says against a dashboard."""
    (compiler / "dashboard.ts").write_text(script(dashboard), encoding="utf-8")
    options = "--noEmit --strict --skipLibCheck --module esnext --moduleResolution bundler"
    command = ["node_modules/.bin/tsc", *options.split(), "dashboard.ts"]
    done = subprocess.run(command, cwd=compiler, capture_output=True, text=True, timeout=300)
    return done.stdout.splitlines()


def test_dashboard_is_of_grafanas_types(compiler: Path, monitoring: Path) -> None:
    assert complaints(compiler, load(monitoring)) == []


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"titel": "x"}, "'\"titel\"' does not exist"),
        ({"options": {"legend": {"placement": "below"}}}, "'\"below\"' is not assignable"),
        ({"gridPos": {}}, "missing the following properties"),
    ],
)
def test_what_is_not_of_grafanas_types_is_found(
    compiler: Path, monitoring: Path, wrong: dict[str, Any], complaint: str
) -> None:
    dashboard = load(monitoring)
    panel = next(each for each in dashboard["panels"] if each["type"] == "timeseries")
    panel |= wrong
    assert complaint in "\n".join(complaints(compiler, dashboard))


def test_types_are_those_of_the_image(monitoring: Path) -> None:
    compose = (monitoring.parent / "compose.monitoring.yaml").read_text(encoding="utf-8")
    assert f"grafana/grafana:{GRAFANA}@sha256:" in compose


def test_panels_lie_side_by_side(monitoring: Path) -> None:
    taken: set[tuple[int, int]] = set()
    panels = load(monitoring)["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        at = panel["gridPos"]
        cells = {(at["x"] + i, at["y"] + j) for i in range(at["w"]) for j in range(at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24, panel["title"]
        taken |= cells


def test_dashboard_is_provisioned(monitoring: Path) -> None:
    (source,) = yaml.safe_load((monitoring / "grafana" / "datasources.yml").read_text())[
        "datasources"
    ]
    text = (monitoring / "grafana" / "dashboard.json").read_text(encoding="utf-8")
    assert set(re.findall(r'"type": "prometheus",\s*"uid": "(\w+)"', text)) == {source["uid"]}
    (provider,) = yaml.safe_load((monitoring / "grafana" / "dashboards.yml").read_text())[
        "providers"
    ]
    compose = yaml.safe_load((monitoring.parent / "compose.monitoring.yaml").read_text())
    grafana = compose["services"]["grafana"]
    home = Path(grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert str(home.parent) == provider["options"]["path"]
    copied = f"COPY {home.name} {home.parent}/"
    assert copied in grafana["build"]["dockerfile_inline"].splitlines()
