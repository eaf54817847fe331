"""Everything that should stop the pipeline does, says why in plain words, and can be mended.

The tests break a copy of a small project that ran well, and mend it again.
"""

from __future__ import annotations

import functools
import gzip
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers import PROJECT, ROOT
from pipeline.running import ENGINE, OWN, STAGES, Project, Reproduced, one_line


@pytest.fixture
def project(copy: Reproduced) -> Project:
    """A private copy of the small classification project."""
    return copy("classification")


def forget(project: Project, stage: str) -> None:
    """Make DVC run a stage and those after it again, without help from its caches."""
    lock = project.read("dvc.lock")
    gone = STAGES[STAGES.index(stage) :]
    for name in gone:
        for out in lock["stages"].pop(name)["outs"]:
            path = project.folder / out["path"]
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    project.write("dvc.lock", lock)
    shutil.rmtree(project.folder / ".dvc" / "cache" / "runs")


def state(project: Project) -> tuple[dict[str, str], str]:
    """Return what the stages wrote, and what Git finds changed or new."""
    return project.outputs(), project.git("status", "--porcelain", "--untracked-files=all")


def test_copy_runs_its_own_code(project: Project) -> None:
    """Without this, every mutation below would test the original."""
    project.append(f"{ENGINE}/__init__.py", "print('the copy speaks')")
    assert "the copy speaks" in project.stage("validate").stdout
    assert "the copy speaks" in project.run("mlops", "--help").stdout


# --- validate


def test_broken_contract_stops_the_pipeline(project: Project) -> None:
    before = state(project)
    project.set(
        "contract.yaml",
        columns__distance__range=[1, 500],
        columns__origin__allowed=["EWR", "JFK"],
        columns__temp__nullable=False,
        columns__dest__kind="numeric",
    )
    ran, done = project.repro(code=255)
    assert ran == ["validate"]
    lines = [line[7:] for line in done.stderr.splitlines()]  # "error: ", or as many blanks
    table = {tuple(line.split()[:2]): line for line in lines}
    report = project.read("reports/validation.json")
    assert not report["valid"]
    found = {each["column"]: each for each in report["violations"]}
    assert found.keys() == {"distance", "origin", "temp", "dest"}
    for column, first_word in (
        ("distance", "at"),
        ("origin", "allowed"),
        ("temp", "not"),
        ("dest", "kind"),
    ):
        violation = found[column]
        line = table[column, first_word]
        assert f"{violation['count']:,}" in line
        row, value = violation["rows"][0]
        assert f"{row}: {value}" in line
        assert 1 <= row <= 2000
        assert violation["count"] >= len(violation["rows"])
    assert found["dest"]["count"] == 2000
    assert "Traceback" not in done.stderr
    assert project.repro(code=255)[0] == ["validate"], "a failed validation was taken for done"
    project.restore("contract.yaml")
    project.repro()
    assert state(project) == before


def test_column_that_the_data_lacks(project: Project) -> None:
    project.set("contract.yaml", columns__gate_number={"kind": "numeric", "role": "feature"})
    line = one_line(project.stage("validate", code=2))
    assert "gate_number" in line
    assert "contract" in line
    ran, done = project.repro(code=255)
    assert ran == ["validate"]
    assert "gate_number" in done.stderr


# --- the two files that people edit

SLIPS: dict[str, tuple[str, dict[str, Any], str, str]] = {
    "unknown key": ("params.yaml", {"train__sede": 1}, "train.sede", "unknown key"),
    "unknown section": ("params.yaml", {"trian": {}}, "trian", "unknown key"),
    "text for a number": ("params.yaml", {"train__seed": "1"}, "train.seed", "'1'"),
    "out of bounds": ("params.yaml", {"split__test": 1.5}, "split.test", "1.5"),
    "no rows to train on": ("params.yaml", {"split__test": 0.95}, "split", "train"),
    "unknown hyperparameter": (
        "params.yaml",
        {"estimators__boosting__depth": 3},
        "estimators.boosting.depth",
        "unknown key",
    ),
    "bad hyperparameter": (
        "params.yaml",
        {"estimators__boosting__max_iter": 0},
        "estimators.boosting.max_iter",
        "0",
    ),
    "bad search space": (
        "params.yaml",
        {"train__search__space": {"boosting": {"max_iter": [10, "many"]}}},
        "train.search.space.boosting.max_iter",
        "many",
    ),
    "gate without a bound": ("params.yaml", {"gates__f1": {}}, "gates.f1", "min"),
    "interval of a class": (
        "params.yaml",
        {"train__interval": 0.9},
        "train.interval",
        "regression",
    ),
    "unknown column key": (
        "contract.yaml",
        {"columns__temp__nulable": True},
        "columns.temp.nulable",
        "unknown key",
    ),
    "unknown kind": (
        "contract.yaml",
        {"columns__temp__kind": "number"},
        "columns.temp.kind",
        "number",
    ),
    "unknown role": (
        "contract.yaml",
        {"columns__temp__role": "label"},
        "columns.temp.role",
        "label",
    ),
    "reversed range": ("contract.yaml", {"columns__temp__range": [9, 1]}, "columns.temp", "range"),
    "two targets": ("contract.yaml", {"columns__weekend__role": "target"}, "columns", "weekend"),
    "list for a mapping": ("contract.yaml", {"columns": ["temp"]}, "columns", "temp"),
}


@pytest.mark.parametrize("slip", SLIPS)
def test_slip_is_one_clear_line(project: Project, slip: str) -> None:
    file, change, key, reason = SLIPS[slip]
    project.set(file, **change)
    line = one_line(project.stage("validate", code=2))
    assert line.startswith(f"error: {file}: {key}")
    assert reason in line


@pytest.mark.parametrize(
    ("file", "text", "reason"),
    [
        ("params.yaml", "task: [", "not valid YAML"),
        ("params.yaml", "\ttask: x", "not valid YAML"),
        ("params.yaml", "task: classification\ntask: regression\n", "task"),
        ("contract.yaml", "", "columns"),
        ("contract.yaml", "[]", "contract.yaml"),
    ],
    ids=["unclosed", "tab", "key twice", "empty", "list"],
)
def test_file_that_is_no_mapping_is_one_clear_line(
    project: Project, file: str, text: str, reason: str
) -> None:
    project.write(file, text)
    line = one_line(project.stage("validate", code=2))
    assert line.startswith(f"error: {file}")
    assert reason in line


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_explains_a_slip(project: Project, stage: str) -> None:
    project.set("params.yaml", train__sede=1)
    line = one_line(project.stage(stage, code=2))
    assert line == "error: params.yaml: train.sede: unknown key; check its spelling"


def test_stack_trace_is_shown_on_demand(project: Project) -> None:
    project.set("params.yaml", train__sede=1)
    traced = project.stage("ingest", code=2, env={"MLOPS_DEBUG": "1"})
    assert "Traceback (most recent call last)" in traced.stderr
    assert "InputError" in traced.stderr
    one_line(project.run("mlops", "predict", "missing.csv", code=2))
    traced = project.run("mlops", "--debug", "predict", "missing.csv", code=2)
    assert "Traceback (most recent call last)" in traced.stderr


def test_slip_stops_dvc(project: Project) -> None:
    project.set("params.yaml", train__sede=1)
    ran, done = project.repro(code=255)
    assert ran == ["train"]
    assert "train.sede" in done.stderr
    assert "Traceback" not in done.stderr


def test_defect_is_one_line_too(project: Project) -> None:
    project.append(f"{ENGINE}/data/contract.py", "def load_contract(): return 1 / 0")
    line = one_line(project.stage("validate", code=1))
    assert "ZeroDivisionError" in line
    assert "MLOPS_DEBUG=1" in line


# --- ingest

HEADER = "flight_id,late,distance\n"


def truncated(project: Project, name: str) -> None:
    """Cut the example in two: its index is at its end."""
    content = (project.folder / "data/small.parquet").read_bytes()
    (project.folder / name).write_bytes(content[: len(content) // 2])


def holed(project: Project, name: str) -> None:
    """Lose a block in the middle of a file, as a failing disk does."""
    content = bytearray((project.folder / "data/small.parquet").read_bytes())
    start = len(content) // 3
    content[start : start + 4096] = bytes(4096)
    (project.folder / name).write_bytes(content)


def half_gzip(project: Project, name: str) -> None:
    rows = HEADER + "".join(f"f{i},true,{i * 7919 % 4000}\n" for i in range(5000))
    packed = gzip.compress(rows.encode())
    (project.folder / name).write_bytes(packed[: len(packed) // 2])


def written(content: bytes) -> Callable[[Project, str], None]:
    def write(project: Project, name: str) -> None:
        (project.folder / name).write_bytes(content)

    return write


def nothing(project: Project, name: str) -> None:
    (project.folder / name).unlink(missing_ok=True)


SOURCES: dict[str, tuple[str, Callable[[Project, str], None], str]] = {
    "no file": ("data/own.csv", nothing, "no such file"),
    "no bytes": ("data/own.csv", written(b""), "empty"),
    "no bytes in Parquet": ("data/own.parquet", written(b""), "empty"),
    "header only": ("data/own.csv", written(HEADER.encode()), "no rows"),
    "rows of two lengths": (
        "data/own.csv",
        written(f"{HEADER}a,true,1\nb,tr".encode()),
        "not readable",
    ),
    "column twice": ("data/own.csv", written(b"a,a\n1,2\n"), "twice"),
    "truncated Parquet": ("data/own.parquet", truncated, "not readable"),
    "holed Parquet": ("data/own.parquet", holed, "not readable"),
    "truncated gzip": ("data/own.csv.gz", half_gzip, "not readable"),
    "text called Parquet": ("data/own.parquet", written(HEADER.encode()), "not readable"),
    "another kind of file": ("data/own.docx", written(b"PK"), "kind of file"),
    "no workbook": ("data/own.xlsx", written(b"PK"), "own.xlsx"),
}


@pytest.mark.parametrize("source", SOURCES)
def test_bad_source_is_refused(project: Project, source: str) -> None:
    """Each is one line that names the file, and leaves the last good snapshot alone."""
    name, prepare, reason = SOURCES[source]
    prepare(project, name)
    project.set("params.yaml", source__path=name)
    snapshot = project.folder / "data/raw/snapshot.parquet"
    before = snapshot.read_bytes()
    line = one_line(project.stage("ingest", code=2))
    assert name in line
    assert reason in line
    assert snapshot.read_bytes() == before


def test_source_is_mended(project: Project) -> None:
    before = project.outputs()
    whole = (project.folder / "data/small.parquet").read_bytes()
    truncated(project, "data/small.parquet")
    ran, done = project.repro(code=255)
    assert ran == ["ingest"]
    assert "data/small.parquet: not readable" in done.stderr
    assert "Traceback" not in done.stderr
    (project.folder / "data/small.parquet").write_bytes(whole)
    project.repro()
    assert project.outputs() == before


# --- split

SPLITS = "tests/engine/unit/test_split.py"
LEAK = """
_sound = divide

def divide(data, contract, task, how):
    parts = _sound(data, contract, task, how)
    {}
    return parts
"""
LEAKS = {
    "none": "",  # so that a failure is that of the leak
    "a row in two parts": 'parts["test"] = pd.concat([parts["test"], parts["train"].tail(1)])',
    "a moment in two parts": """if contract.time:
        last = parts["train"].sort_values(contract.time).index[-1]
        parts["validation"] = pd.concat([parts["validation"], parts["train"].loc[[last]]])
        parts["train"] = parts["train"].drop(index=last)""",
    "the future in training": """if contract.time:
        parts["train"], parts["test"] = parts["test"], parts["train"]""",
    "equal rows apart": """if not contract.time:
        whole = pd.concat(parts.values()).sample(frac=1, random_state=0)
        for name, part in list(parts.items()):
            parts[name], whole = whole.iloc[: len(part)], whole.iloc[len(part) :]""",
}


@pytest.mark.parametrize("leak", LEAKS)
def test_leaking_split_fails_the_tests_of_the_engine(tmp_path: Path, leak: str) -> None:
    """The guard against leaks is the engine's own tests: a leak in its code must fail them."""
    engine = shutil.copytree(PROJECT / "mlops/src", tmp_path / "src")
    with (engine / "mlops/data/parts.py").open("a", encoding="utf-8") as module:
        module.write(LEAK.format(LEAKS[leak]))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-x", "--tb=no", "-p", "no:cacheprovider", SPLITS],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(engine)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == (0 if leak == "none" else 1), done.stdout
    assert (leak == "none") != (f"FAILED {SPLITS}::" in done.stdout)


# --- convert and verify


def test_inconvertible_estimator_is_named(project: Project) -> None:
    project.append(
        f"{OWN}/estimators.py",
        "from mlops.config.section import Section\n"
        "from sklearn.neighbors import NearestCentroid\n"
        'ESTIMATORS["classification"]["own"] = Entry(lambda **_: NearestCentroid(), True, Section)',
    )
    project.set("params.yaml", train__estimator="own", estimators__own={})
    ran, done = project.repro(code=255)
    assert ran == ["train"]  # it is known before hours of training
    assert not (project.folder / "models/model.joblib").exists()
    line = one_line(project.stage("train", code=3))
    assert line in done.stderr
    assert "NearestCentroid cannot be converted to ONNX" in line
    assert "mlops/docs/train.md lists what converts" in line
    project.restore("src", "params.yaml")
    project.repro()
    assert project.read("reports/parity.json")["within_tolerance"]


def test_absurd_tolerance_is_not_met(project: Project) -> None:
    """One that float32 cannot keep is not asked of it; a model of another training is stopped."""
    before = state(project)
    project.set("params.yaml", verify__tolerance=1e-9)
    assert project.repro()[0] == ["verify"]
    project.restore("params.yaml")
    project.repro()
    assert state(project) == before
    ours = (project.folder / "models/model.onnx").read_bytes()
    project.set("params.yaml", train__seed=7, estimators__boosting={"max_iter": 3})
    project.repro("convert")
    other = (project.folder / "models/model.onnx").read_bytes()
    project.restore("params.yaml")
    project.repro()
    assert state(project) == before
    file = project.folder / "models/model.onnx"
    file.unlink()
    file.write_bytes(other)
    said = project.stage("verify", code=3).stderr
    assert "verify.tolerance 0.0001" in said
    assert "Traceback" not in said
    report = project.read("reports/parity.json")
    assert not report["within_tolerance"]
    worst = report["groups"]["final test"]["worst"]
    assert len(worst) == 5
    assert f"row {worst[0]['row']}, {worst[0]['output']}: " in said
    file.unlink()
    file.write_bytes(ours)
    project.repro()
    assert state(project) == before


DISTURB = """
import sys, onnx
from onnx import numpy_helper
model = onnx.load("models/model.onnx")
touched = 0
for node in model.graph.node:
    for attribute in node.attribute:
        if attribute.name in ("base_values", "nodes_values") and attribute.floats:
            attribute.floats[0] += float(sys.argv[1])
            touched += 1
        if attribute.name in ("base_values_as_tensor", "nodes_values_as_tensor"):
            raise SystemExit("stored as a tensor")
onnx.save(model, "models/model.onnx")
print(touched)
"""


def test_other_model_is_noticed(project: Project) -> None:
    """ONNX that says something else than scikit-learn, however little, is not let through."""
    before = state(project)
    assert project.python(DISTURB, "0.5") > 0
    done = project.stage("verify", code=3)
    lines = done.stderr.splitlines()
    assert "differs from the scikit-learn model" in lines[0]
    assert any(line[7:].startswith("final test: ") and "; row " in line for line in lines)
    assert "Traceback" not in done.stderr
    project.repro()
    assert state(project) == before


def test_half_a_model_is_refused(project: Project) -> None:
    onnx = project.folder / "models/model.onnx"
    onnx.write_bytes(onnx.read_bytes()[:5000])
    line = one_line(project.stage("verify", code=2))
    assert "models/model.onnx" in line
    one_line(project.run("mlops", "predict", "data/small.parquet", code=2))


# --- gate


def test_gates_are_broken_and_mended(project: Project) -> None:
    project.set("params.yaml", gates={"roc_auc": {"min": 0.999}, "f1": {"max": 0.001}})
    lines = project.run("mlops", "gate", code=3).stderr.splitlines()
    assert [line[7:].split(":")[0] for line in lines] == ["roc_auc", "f1"]
    assert project.repro()[0] == []
    project.set("params.yaml", gates={"roc": {"min": 0.5}})
    line = one_line(project.run("mlops", "gate", code=2))
    assert "gates: roc: no metric of classification" in line
    project.set("params.yaml", gates={"roc_auc": {"min": 0.5}})
    project.run("mlops", "gate")


# --- the machine

# Where a stage writes, and the commands that fill that place up before it runs.
FULL = """
set -e
folder=$1; shift
mkdir -p "$folder"
cp -a "$folder" ../kept
mount -t tmpfs -o size=4m tmpfs "$folder"
cp -a ../kept/. "$folder"
cat /dev/zero > "$folder/.filler" 2>/dev/null || true
code=0
"$@" || code=$?
rm -f "$folder/.filler"
find "$folder" -type f | sort
exit $code
"""


@functools.cache
def namespace() -> list[str] | None:
    """Return the command that gives a process mounts of its own, if the machine allows it."""
    for command in (["unshare", "--mount"], ["unshare", "--map-root-user", "--mount"]):
        mounted = [*command, "sh", "-c", "mount -t tmpfs -o size=200k tmpfs /mnt"]
        try:
            if subprocess.run(mounted, capture_output=True).returncode == 0:
                return command
        except FileNotFoundError:
            break
    return None


DISK = "tmpfs" if namespace() else "file-size-limit"  # the limit is a stand-in


FOLDERS = {"ingest": "data/raw", "split": "data/split", "train": "models", "convert": "models"}


@pytest.mark.parametrize("disk", [DISK])
def test_full_disk_is_said_and_survived(project: Project, disk: str) -> None:
    """At each of some stages, on one way through all of them."""
    before = state(project)
    forget(project, "ingest")
    inside, ran = namespace(), list[str]()
    for stage, folder in FOLDERS.items():
        ran += before_stage(project, stage)
        kept = {path.name for path in (project.folder / folder).glob("*")}
        if inside:
            done = project.run(*inside, "sh", "-c", FULL, "sh", folder, "dvc", "repro", code=255)
            left = {Path(line).name for line in done.stdout.splitlines() if line.startswith(folder)}
            assert left == kept, "half a file is left"
            assert "No space left on device" in done.stderr
        else:
            limited = ("bash", "-c", 'ulimit -f 1; exec "$@"', "bash")
            done = project.run(*limited, "python", "-m", f"mlops.pipeline.{stage}", code=1)
            assert "File too large" in done.stderr
            assert {path.name for path in (project.folder / folder).glob("*")} == kept
        assert "Traceback" not in done.stderr
    ran += project.repro()[0]
    assert ran == STAGES
    assert state(project) == before


def before_stage(project: Project, stage: str) -> list[str]:
    """Run what comes before a stage, and return the stages that ran."""
    earlier = STAGES[: STAGES.index(stage)]
    return project.repro(earlier[-1])[0] if earlier else []


# Loaded by every Python process: when a stage is about to give a file its final name, leave half
# of it, tell the process's number, and wait to be killed.
PAUSE = """
import os, pathlib, time
replace, target, told = os.replace, os.environ["PAUSE_AT"], pathlib.Path(os.environ["PAUSE_TOLD"])

def pause(source, destination, **options):
    path = pathlib.Path(source)
    if str(destination) == target and path.name == pathlib.Path(target).name:
        for file in [path, *path.rglob("*")]:
            if file.is_file():
                os.truncate(file, file.stat().st_size // 2)
        temporary = told.with_suffix(".writing")
        temporary.write_text(str(os.getpid()))
        replace(temporary, told)
        time.sleep(600)
    return replace(source, destination, **options)

os.replace = pause
"""


# What is killed, and the output that the stage is about to put in its place.
KILLED = {
    "ingest": ("everything", "data/raw/snapshot.parquet"),
    "train": ("stage", "models/model.joblib"),
    "convert": ("stage", "models/model.onnx"),
    "evaluate": ("everything", "reports/plots"),
}


def test_killed_stage_is_run_again(project: Project, tmp_path: Path) -> None:
    """SIGKILL with half an output on disk: of the stage (out of memory), or of DVC with it.

    At each of some stages, on one way through all of them.
    """
    before = state(project)
    forget(project, "ingest")
    (tmp_path / "hook").mkdir()
    (tmp_path / "hook" / "sitecustomize.py").write_text(PAUSE, encoding="utf-8")
    ran = []
    for stage, (killed, target) in KILLED.items():
        ran += before_stage(project, stage)
        kill(project, tmp_path, killed, target)
        assert not (project.folder / target).exists()
        assert stage not in project.read("dvc.lock").get("stages", {})
    ran += project.repro()[0]
    assert ran == STAGES
    assert state(project) == before


def kill(project: Project, folder: Path, killed: str, target: str) -> None:
    """Reproduce, and kill what is to be killed where half of the target is on disk."""
    told = folder / f"{Path(target).name}.told"
    environ = project.environ()
    environ["PYTHONPATH"] += f"{os.pathsep}{folder / 'hook'}"
    environ |= {"PAUSE_AT": target, "PAUSE_TOLD": str(told)}
    with subprocess.Popen(
        ["dvc", "repro"],
        cwd=project.folder,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as running:
        deadline = time.monotonic() + 120
        while not told.exists():
            assert running.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        if killed == "stage":
            os.kill(int(told.read_text()), signal.SIGKILL)
        else:
            os.killpg(running.pid, signal.SIGKILL)
        assert running.wait() != 0
