"""The benchmark's report on made numbers, and its tools; nothing here depends on how fast it is."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from bench import bench, measuring, worker

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
def project(template: Path, tmp_path: Path) -> Path:
    measuring.bake(template, tmp_path / "baked")
    return next((tmp_path / "baked").iterdir())


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
    bench.require_ran(measuring.Done(1.0, 1, log), ["train"])
    with pytest.raises(SystemExit, match="train"):
        bench.require_ran(measuring.Done(1.0, 1, log), [])


@pytest.mark.parametrize(("module", "function"), worker.PARTS.values())
def test_parts_of_the_report_are_functions_of_the_bake(
    baked: Callable[..., Path], module: str, function: str
) -> None:
    file = baked() / "mlops" / "src" / "mlops" / f"{module.replace('.', '/')}.py"
    defined = [each.name for each in ast.parse(file.read_text()).body if hasattr(each, "name")]
    assert function in defined


def test_one_measure_runs(template: Path, tmp_path: Path) -> None:
    pair = bench.measure_bake(template, tmp_path, turns=1)
    assert len(pair.ratios) == 1
    assert all(taken > 0 for taken in [*pair.ours, *pair.theirs])
    assert all((tmp_path / name / "flight-delays").is_dir() for name in ("bake0", "bake1"))
