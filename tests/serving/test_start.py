"""What a server refuses to start with, in one line and with exit code 2, and how it is told."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from pipeline.running import Project, one_line
from serving.conftest import Start
from serving.running import COMMAND, MODULE, PATIENCE, Server, serving

# Writes a model that is not what it should be.
ALTER = """
import json, sys, onnx
from onnx import TensorProto, helper
model = onnx.load("models/model.onnx")
facts = {each.key: each for each in model.metadata_props}
def leave_out(name):
    kept = [each for each in model.metadata_props if each.key != name]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
def foreign():
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 1])
    other = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 1])
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", [value], [other])
    model.CopyFrom(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]))
    model.ir_version = 9
    model.metadata_props.add(key="author", value="somebody")
def rename():
    contract = json.loads(facts["contract"].value)
    contract["columns"]["altitude"] = contract["columns"].pop("distance")
    facts["contract"].value = json.dumps(contract)
def unreadable():
    facts["contract"].value = "5"
exec(sys.argv[2])
onnx.save(model, sys.argv[1])
print("null")
"""


def refused(project: Project, *command: str, env: dict[str, str] | None = None) -> str:
    """Return the line of a server that does not start; one that does is ended."""
    done = project.run("timeout", str(PATIENCE), *command, code=2, env=env)
    assert done.stdout == ""
    return one_line(done)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("foreign()", "serve a model that `uv run dvc repro` made"),
        ("leave_out('contract')", "its metadata has no contract"),
        ("rename()", "its inputs are not those of its contract"),
        ("unreadable()", "serve a model that `uv run dvc repro` made"),
    ],
    ids=["foreign", "without contract", "renamed", "unreadable"],
)
def test_model_of_another_kind_is_refused(
    project: Project, tmp_path: Path, change: str, says: str
) -> None:
    model = tmp_path / "other.onnx"
    project.python(ALTER, str(model), change)
    told = refused(project, *COMMAND, "--model", str(model))
    assert f"{model}: " in told
    assert says in told


@pytest.mark.parametrize("how", ["missing", "folder", "empty", "cut", "noise", "overwritten"])
def test_corrupted_model_is_refused(project: Project, tmp_path: Path, how: str) -> None:
    content = (project.folder / "models/model.onnx").read_bytes()
    model = tmp_path / "model.onnx"
    broken = {
        "empty": b"",
        "cut": content[: len(content) // 2],
        "noise": bytes(range(256)) * 40,
        "overwritten": content[:1000] + b"\0" * 1000 + content[2000:],
    }
    if how == "folder":
        model.mkdir()
    elif how != "missing":
        model.write_bytes(broken[how])
    for command in ((*COMMAND, "--model", str(model)), MODULE):
        assert f"{model}: " in refused(project, *command, env={"MLOPS_MODEL": str(model)})


def test_port_that_is_taken(project: Project, server: Server) -> None:
    told = refused(project, "mlops", "serve", "--port", str(server.port))
    assert f"127.0.0.1:{server.port}: Address already in use" in told
    assert "--port" in told


def test_host_that_is_not_here(project: Project) -> None:
    assert "192.0.2.1:0: " in refused(project, *COMMAND, "--host", "192.0.2.1")
    assert "nowhere.invalid:0: " in refused(project, *COMMAND, "--host", "nowhere.invalid")


BAD = {
    "MLOPS_PORT": ["abc", "-1", "65536", "", "80.5"],
    "MLOPS_WORKERS": ["-1", "two"],
    "MLOPS_MAX_ROWS": ["0"],
    "MLOPS_MAX_BYTES": ["16 MB"],
    "MLOPS_CONNECTIONS": ["0"],
    "MLOPS_RECEIVE_SECONDS": ["0", "nan"],
    "MLOPS_DRAIN_SECONDS": ["-1", "soon", "nan", "inf"],
    "MLOPS_LOG_SAMPLE": ["1.1", "-0.1", "nan", "true"],
}


def test_bad_settings_are_told_one_a_line(project: Project) -> None:
    for i in range(max(map(len, BAD.values()))):
        env = {name: values[i] for name, values in BAD.items() if i < len(values)}
        done = project.run("timeout", str(PATIENCE), *MODULE, code=2, env=env)
        lines = done.stderr.removeprefix("error: ").splitlines()
        assert len(lines) == len(env), done.stderr
        for name, value in env.items():
            (line,) = [line.strip() for line in lines if line.strip().startswith(f"{name}: ")]
            assert line.endswith(f", not {value!r}")
        assert done.stdout == ""


@pytest.mark.parametrize("workers", ["1", "2"])
def test_log_that_cannot_be_written_is_told_at_the_start(
    project: Project, tmp_path: Path, workers: str
) -> None:
    (tmp_path / "file").write_text("no folder")
    for log, says in {
        str(tmp_path / "file" / "log"): "Not a directory",
        str(tmp_path / "file"): "File exists",
        "nothing://here": "nothing",
        f"file://{tmp_path}/file/log": "",
    }.items():
        told = refused(project, *COMMAND, "--workers", workers, "--log", log)
        assert told.startswith("error: MLOPS_LOG: ")
        assert says in told


def test_ipv6(start: Start) -> None:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("this machine has no IPv6")
    server = start("--host", "::1")
    assert server.get("/v2")["name"] == server.name


def test_module_is_told_by_the_environment(project: Project, tmp_path: Path) -> None:
    """As a container runs it."""
    env = {"MLOPS_RELEASE": "r-7", "MLOPS_MAX_ROWS": "2", "MLOPS_LOG": str(tmp_path / "log")}
    with serving(project, tmp_path, command=MODULE, env=env) as server:
        assert server.release == "r-7"
        assert server.get("/v2")["version"] == "r-7"
        row = server.example()
        assert server.ask("/predict", [row] * 3).status == 413
        assert len(server.predict(row, row)) == 2
    assert list((tmp_path / "log").rglob("*.parquet"))
