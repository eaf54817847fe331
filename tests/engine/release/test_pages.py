"""Every command that a page shows runs, in the page's order, and prints what the page says.

A page's commands share a project that was reproduced, released and promoted to prod. Those of
another test are named below with it; the rest say why nobody runs them, where readers do not see
it. That each command is one: bake/test_commands.py.
"""

from __future__ import annotations

import re
import subprocess
from itertools import zip_longest
from pathlib import Path

import helpers
import pages
import pandas as pd
import pytest
from engine.followed import EXAMPLE, STAGES, World
from engine.workspace import SAMPLE, Workspace

pytestmark = pytest.mark.slow

# What other tests run, by how it begins: a test, and how it is written there.
ELSEWHERE = {
    "DOCKER_HOST=ssh": ("deploy/test_access.py", '"apply"'),
    "make run": ("../docs/demo.sh", "make run"),
    "make test": ("pipeline/test_story.py", '"pytest"'),
    "make docs": ("bake/test_site.py", "build("),
    "make demo": ("test_demo.py", '"make", "demo"'),
    "make edge": ("engine/export/test_edge.py", "edge.main()"),
    "uvx cookiecutter": ("helpers.py", "cookiecutter("),
    "cd flight-delays": ("../docs/demo.sh", 'cd "$project"'),
    "PYTHONPATH=tests uv run python -m monitoring.power": ("monitoring/test_power.py", "simulate("),
    "PYTHONPATH=tests uv run python -m monitoring.year": ("monitoring/test_year.py", "bench.main("),
    "uv run pytest": ("pipeline/test_story.py", '"pytest"'),
    "curl": ("serving/test_docs.py", "curl"),
    "promtool": ("alerts/test_rules.py", "promtool"),
    "amtool": ("alerts/test_routes.py", "amtool"),
    "cc ": ("engine/export/machines.py", "-std=c99"),
    "arm-none-eabi-gcc": ("engine/export/machines.py", "arm-none-eabi-gcc"),
    "docker buildx": ("images/test_build.py", "buildx"),
    "kustomize build": ("kubernetes/test_rendering.py", "kustomize"),
    "uv run mlops agent": ("engine/release/test_agent.py", '"agent", "dev", "--once"'),
    "uv run mlops apply": ("deploy/test_apply.py", '"apply"'),
    "uv run mlops build": ("images/test_build.py", '"build"'),
    "uv run mlops feedback import": ("monitoring/logged.py", '"feedback"'),
    "uv run mlops fetch": ("engine/traced.py", "artefact.fetch"),
    "uv run mlops load": ("serving/test_docs.py", "mlops {name}"),
    "uv run mlops monitor": ("monitoring/test_monitor.py", '"monitor"'),
    "uv run mlops predict new.csv --model": ("pipeline/test_export.py", "--model"),
    "uv run mlops retrain": ("pipeline/test_retrain.py", '"retrain"'),
    "uv run mlops search": ("engine/unit/test_experiments.py", '_mlops(monkeypatch, "search"'),
    "uv run mlops serve": ("serving/running.py", '"serve"'),
    "uv run mlops smoke": ("serving/test_docs.py", "mlops {name}"),
    "uv run mlops stop": ("deploy/site.py", '"stop"'),
    "uv run mlops update": ("update/test_update.py", '"update"'),
    "uv run mlops data import": ("engine/unit/test_odcs.py", '"data", "import"'),
    "uv run mlops data init --force": ("engine/end_to_end/test_sources.py", "sources.md"),
    "uv run mlops github": ("github/test_github.py", "`mlops github`"),
    "uv run pre-commit": ("../.pre-commit-config.yaml", "repos:"),
    "uv run python data/several.py": ("engine/end_to_end/test_sources.py", "sources.md"),
    "uv export": ("engine/release/test_bill.py", "cyclonedx"),
    "MLOPS_DEBUG=1 uv run dvc repro": ("engine/unit/test_errors.py", "MLOPS_DEBUG"),
    "uv run dvc exp": ("pipeline/test_story.py", '"exp", "run"'),
    "uv run dvc import-url": ("../docs/demo.sh", "import-url"),
    "uv run dvc repro": ("engine/end_to_end/test_pipeline.py", "repro"),
}
# In place of a name that stands for the reader's.
INSTEAD = {
    "RELEASE_ID": "{release}",
    "rollback/prod/ID": "HEAD",  # merged already
    "NAME": "dev",
    "column_to_predict": "late",
    "2027-03-01T12:30+01:00": "{day}",
    "2027-03-01": "{day}",
    "s3://acme-logs/prod": "build/log",
}
PIPELINE = re.compile(r"uv run dvc repro|make run$")
# Stages that are soon done.
STAGE = re.compile(rf"uv run dvc repro ({'|'.join(STAGES)})$")
# A line that says what is wrong: engine/unit/test_messages.py.
MESSAGE = re.compile(r"(error|ERROR|caveat|WARNING|AssertionError): |'")


def _elsewhere(command: str) -> bool:
    return any(command.startswith(begin) for begin in ELSEWHERE)


def _rows(project: Workspace) -> pd.DataFrame:
    return pd.read_parquet(project.folder / SAMPLE)


def give_new(project: Workspace) -> None:
    """Rows to score, as a file and as a folder of two, rows to learn from, and a log of none."""
    (project.folder / "build/log").mkdir(parents=True)
    rows = _rows(project)
    rows.head(50).to_csv(project.folder / "new.csv", index=False)
    rows.to_csv(project.folder / "data/yours.csv", index=False)
    folder = project.folder / "data/new"
    folder.mkdir()
    rows.head(60).to_csv(folder / "2026-01.csv", index=False)
    rows.tail(40).to_parquet(folder / "2026-02.parquet", index=False)


def written(page: str) -> list[pages.Block]:
    """Return the blocks of a page of the manual."""
    return pages.blocks((helpers.PROJECT / "mlops/docs" / page).read_text(encoding="utf-8"))


def shown(text: str) -> list[str]:
    """Return the lines of what is printed, where numbers, hashes and runs of blanks are alike."""
    plain = re.sub(r"\b(?=[0-9a-f]*\d)[0-9a-f]{7,}\b|\d[\d,.:]*(e-\d+)?", "#", text)
    return [" ".join(line.split()) for line in plain.splitlines() if line.strip()]


def is_output(block: pages.Block) -> bool:
    """Tell whether a block is what commands print, and not a message."""
    return block.language == "text" and block.why is None and not MESSAGE.match(block.text)


def steps(page: Path) -> list[str | pages.Block]:
    """Return the commands of a page that are run here, and blocks of output, in order."""
    text = page.read_text(encoding="utf-8")
    found: list[str | pages.Block] = []
    blocks = pages.blocks(text)
    for block, after in zip_longest(blocks, blocks[1:]):
        if is_output(block):
            found.append(block)
        elif block.language == "bash" and block.why is None:
            # The pipeline runs elsewhere, but where the page says what it prints.
            shows = after is not None and is_output(after)
            found += [
                line
                for line in block.commands
                if not _elsewhere(line) or (shows and PIPELINE.match(line)) or STAGE.match(line)
            ]
    return found


# Two pages have a test of their own, which asserts more.
OWN = {"github.md": "github/test_github.py", "on-call.md": "engine/release/test_on_call.py"}
PAGES = {
    path.relative_to(helpers.PROJECT).as_posix(): steps(path)
    for path in pages.manual(helpers.PROJECT)
    if path.name not in OWN
}
TEMPLATE = [helpers.ROOT / "README.md", *sorted((helpers.ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", [page for page in PAGES if PAGES[page]])
def test_a_page_can_be_followed(promoted: Workspace, tmp_path: Path, page: str) -> None:
    # By another process, which is sooner there than Python with a thousand files.
    subprocess.run(["cp", "-r", promoted.folder, promoted.folder.parent / "origin.git", tmp_path])
    world = World(Workspace(tmp_path / "project"))
    give_new(world.project)
    text = (world.project.folder / "environments/prod/release.env").read_text(encoding="utf-8")
    (release,) = re.findall(r"^RELEASE_ID=(.+)$", text, re.MULTILINE)
    day = world.git("log", "-1", "--format=%cs").strip()
    for step in PAGES[page]:
        if isinstance(step, str):
            for word, known in INSTEAD.items():
                step = step.replace(word, known.format(release=release, day=day))
            world.run(step)
        else:
            printed = iter(shown(world.printed.replace(SAMPLE, EXAMPLE)))
            missing = [line for line in shown(step.text) if line not in printed]
            assert missing == [], f"line {step.line}; printed:\n{world.printed}"


@pytest.mark.parametrize("page", TEMPLATE, ids=lambda page: str(page.name))
def test_commands_of_the_template_are_run(page: Path) -> None:
    """All of them elsewhere."""
    assert steps(page) == []


def test_what_is_run_elsewhere_is() -> None:
    tests = helpers.ROOT / "tests"
    lost = [
        begin
        for begin, (file, words) in ELSEWHERE.items()
        if words not in (tests / file).read_text(encoding="utf-8")
    ]
    assert lost == []
    assert [file for page, file in OWN.items() if page not in (tests / file).read_text()] == []
