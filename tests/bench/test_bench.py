"""The benchmark's report on made numbers, and its tools; nothing here depends on how fast it is."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import helpers
import pytest
from bench import bench, measuring, worker
from bench.contenders import HELLO, MLFLOW, PLAIN, UNLOGGED


def done(seconds: float, cpu: float, peak: float) -> measuring.Done:
    return measuring.Done(seconds, cpu, int(peak), "")


MADE = bench.Results(
    facts="3 cores, made up",
    turns=(3, 2),
    pairs=[
        bench.Pair("baking", "importing", [4.0, 3.0, 9.0], [2.0, 2.0, 3.0], measuring.seconds),
        bench.Pair("repro", "status", [2.0], [1.0], measuring.seconds),
        bench.Pair("predict", "ort", [5.0, 5.0], [4.0, 2.0], lambda s: f"{1e6 / s:,.0f} rows/s"),
    ],
    stages=[
        bench.Stage("ingest", whole=[2.0, 3.0], start=[1.0, 1.0]),
        bench.Stage("verify", whole=[6.0, 7.0], start=[2.0, 2.0]),
    ],
    parts=[
        bench.Parts.of("CI", [{"lock": 1.0, "gate": 2.0}, {"lock": 2.0, "gate": 5.0}]),
        bench.Parts.of("DVC", [{"diff": 3.0}]),
    ],
    memory=[
        bench.Memory(10_000_000, peak=[330e6, 360e6], seconds=[50.0, 50.0]),
        bench.Memory(1_000_000, peak=[300e6, 300e6], seconds=[5.0, 5.0]),
        bench.Memory(100_000, peak=[200e6, 200e6], seconds=[1.0, 1.0]),
    ],
    table=bench.FromNothing(
        2_000_000,
        init=[done(4.0, 5.0, 1e9), done(8.0, 5.0, 1e9)],
        repro=[done(60.0, 95.0, 2.0e9), done(60.0, 135.0, 2.4e9)],
        plain=[done(70.0, 100.0, 1e9), done(70.0, 100.0, 1e9)],
    ),
)


def test_report_tells_every_ratio_with_its_numbers() -> None:
    text = bench.report(MADE)
    for line in (
        "3 cores, made up",
        "| baking | 4.00 s | importing | 2.00 s | **2.00** (1.50 to 3.00) |",
        "| repro | 2.00 s | status | 1.00 s | **2.00** |",
        "| start-up of the seven stages | 3.00 s | their work | 6.00 s | **0.51** (0.43 to 0.60) |",
        "| predict | 200,000 rows/s | ort | 333,333 rows/s | **1.88** (1.25 to 2.50) |",
        "| peak memory of `mlops predict`, 10,000,000 rows | 345 MB | the same, 1,000,000 rows "
        "| 300 MB | **1.15** (1.10 to 1.20) |",
        "| ingest | 2.50 s | 1.00 s | 1.50 s |",
        "| **all** | 9.00 s | 3.00 s | 6.00 s |",
        "| CI | time |",
        "| lock | 1.50 s |",
        "| gate | 3.50 s |",
        "| **all** | 5.00 s |",
        "| diff | 3.00 s |",
        "| 100,000 | 200 MB | 1.00 s | 100,000 |",
        "| processor time, to plain's | at most 1.30 | 1.20 (1.00 to 1.40) | holds |",
        "| peak memory | at most 3,000 MB | 2,200 MB (2,000 MB to 2,400 MB) | holds |",
        "| `mlops data init` | at most 5.00 s | 6.00 s (4.00 s to 8.00 s) | **does not hold** |",
        "| `dvc repro` | 60.00 s | 115.00 s | 2,200 MB |",
    ):
        assert line in text.splitlines()


def test_report_says_that_it_is_generated_and_by_what() -> None:
    assert "Written by `make bench`" in bench.report(MADE).splitlines()[2]


def test_report_is_replaced_and_nothing_is_left_beside(tmp_path: Path) -> None:
    (tmp_path / "bench.md").write_text("before")
    measuring.replace(tmp_path / "bench.md", "after")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("bench.md", "after")]


def test_measures_take_turns_after_a_round_that_does_not_count() -> None:
    calls: list[str] = []

    def called(name: str) -> int:
        calls.append(name)
        return len(calls)

    found = measuring.in_turns(2, {"a": lambda: called("a"), "b": lambda: called("b")})
    assert found == {"a": [3, 5], "b": [4, 6]}
    assert calls == list("ababab")


def test_peak_memory_is_that_of_the_process() -> None:
    ours = b"x" * 400_000_000
    large = measuring.run(sys.executable, "-c", "print(len(b'x' * 200_000_000))")
    assert large.output == "200000000\n"
    assert 200e6 < large.peak < 300e6 < len(ours)


def test_failed_command_ends_it_with_what_the_command_said() -> None:
    command = [sys.executable, "-c", "import sys; print('why'); sys.exit(3)"]
    with pytest.raises(SystemExit, match=r"(?s)exit code 3\nwhy"):
        measuring.run(*command)


@pytest.fixture
def project(baked: Callable[..., Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(baked(), tmp_path / "project"))


def test_estimator_is_chosen_in_the_baked_params(project: Path) -> None:
    bench.choose(project, "linear")
    found = re.findall(r"^  estimator: (\w+)", (project / "params.yaml").read_text(), re.MULTILINE)
    assert found == ["linear"]


def test_each_change_of_a_hyperparameter_is_a_new_one(project: Path) -> None:
    before = (project / "params.yaml").read_text().splitlines()
    assert "    learning_rate: 0.06" in before
    for rate in ("0.0601", "0.0602"):
        bench.tune(project)
        after = (project / "params.yaml").read_text().splitlines()
        assert [line for line in after if line not in before] == [f"    learning_rate: {rate}"]
        assert len(after) == len(before)


def test_params_that_cannot_be_changed_end_it(project: Path) -> None:
    (project / "params.yaml").write_text("train: {}\n")
    with pytest.raises(SystemExit, match="learning_rate"):
        bench.tune(project)


def test_comment_of_a_pull_request_is_committed_in_a_file_that_no_stage_reads(
    project: Path,
) -> None:
    measuring.run("git", "init", "--quiet", cwd=project)
    bench.commit(project)
    bench.comment(project)
    said = measuring.run("git", "show", "--name-only", "--format=", cwd=project).output.split()
    assert said == ["pyproject.toml"]
    assert "pyproject.toml" not in (project / "dvc.yaml").read_text()


def test_other_stages_than_expected_end_it() -> None:
    log = "Stage 'split' didn't change, skipping\nRunning stage 'train':\n> python\n"
    bench.require_ran(measuring.Done(1.0, 1.0, 1, log), ["train"])
    with pytest.raises(SystemExit, match="train"):
        bench.require_ran(measuring.Done(1.0, 1.0, 1, log), [])


@pytest.mark.parametrize(("module", "function"), worker.PARTS.values())
def test_parts_of_the_report_are_functions_of_the_bake(
    baked: Callable[..., Path], module: str, function: str
) -> None:
    file = baked() / "mlops" / "src" / "mlops" / f"{module.replace('.', '/')}.py"
    defined = [each.name for each in ast.parse(file.read_text()).body if hasattr(each, "name")]
    assert function in defined


@pytest.mark.long  # it measures servers that other tests ask, one after the other
@pytest.mark.skipif(
    shutil.which("wrk") is None, reason="wrk, which makes the load, is not installed"
)
def test_servers_are_measured_to_the_end() -> None:
    text = tried("bench.serving")
    for server in (HELLO, UNLOGGED, PLAIN):
        assert f"\n| {server} | " in text
    assert f"\n- {MLFLOW}: is left out by --quick" in text
    assert "The log dropped 0 rows." in text


@pytest.mark.long  # it bakes, installs and reproduces for minutes what other tests do one by one
def test_speed_is_measured_to_the_end() -> None:
    text = tried("bench.bench")
    for what in ("`mlops report` of a changed model", "`mlops predict`, boosting, CSV to CSV"):
        assert f"\n| {what} | " in text
    assert "\n| processor time, to plain's | at most 1.30 | " in text


def test_monitoring_is_measured_to_the_end() -> None:
    text = tried("monitoring.power")
    assert "\n| a boolean is true in 30% more of the rows | " in text
    assert "\n| 20,000 | " in text


def tried(benchmark: str) -> str:
    """What a benchmark reports with `--quick`; monitoring.year's is in monitoring/test_year.py."""
    one_thread = {"OMP_NUM_THREADS": "1"}  # others use these cores
    done = subprocess.run(
        [sys.executable, "-m", benchmark, "--quick"],
        env=os.environ | one_thread | {"PYTHONPATH": str(helpers.ROOT / "tests")},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
