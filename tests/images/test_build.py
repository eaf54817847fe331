"""`mlops build`, with a real BuildKit and a real registry."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from images.engine import PYTHON, Builder, Engine
from pipeline.running import Project, Reproduced, Run, one_line

KINDS = ("serving", "training")


@pytest.fixture
def committed(copy: Reproduced, registry: str) -> Project:
    """A project whose model is committed."""
    project = copy("classification")
    project.declare(f"{registry}/team/flights")
    return project


class Build:
    """`mlops build` with a builder."""

    def __init__(self, engine: Engine, builder: Builder, registry: str) -> None:
        self.engine = engine
        self.name = f"{registry}/team/flights"
        self._options = ["--registry", self.name, *builder.options]
        host = {"DOCKER_HOST": engine.host} if engine.host else {}
        self.env = {**host, "BUILDX_BUILDER": builder.name}

    def __call__(self, project: Project, *arguments: str, code: int = 0, **env: str) -> Run:
        command = ["mlops", "build", *self._options, *arguments]
        return project.run(*command, code=code, env=self.env | env)

    def tag(self, project: Project) -> str:
        """Return the release that a project's commit would be."""
        return self(project, "--dry-run").stdout.split()[0].rpartition(":")[2]

    def digest(self, kind: str, tag: str) -> str:
        """Return what the registry has under a tag."""
        how = ("buildx", "imagetools", "inspect", "--format", "{{json .Manifest}}")
        return str(json.loads(self.engine.docker(*how, f"{self.name}/{kind}:{tag}"))["digest"])

    def forget(self) -> None:
        """Have the builder know nothing of what it built, but for the packages that uv fetched."""
        how = ("--builder", self.env["BUILDX_BUILDER"], "--filter", "type=regular")
        self.engine.docker("buildx", "prune", *how, "--all", "--force")


@pytest.fixture
def build(engine: Engine, builder: Builder, registry: str) -> Build:
    """Build with the builder of the session."""
    return Build(engine, builder, registry)


def evidence(project: Project) -> dict[str, Any]:
    """Return what was written for `mlops release`."""
    return dict(project.read("build/release/evidence.json"))


def packages(project: Project, kind: str) -> set[str]:
    """Return the packages of a bill of materials."""
    return {each["name"] for each in project.read(f"build/release/{kind}.cdx.json")["components"]}


def test_a_commit_makes_the_same_images_anywhere_and_they_become_a_release(
    committed: Project, build: Build, tmp_path: Path
) -> None:
    """Again from nothing: in a clone without the model, with other rights, beside other files."""
    build(committed)
    first = evidence(committed)
    tag = first["id"]
    for kind in KINDS:
        assert first["images"][kind] == f"{build.name}/{kind}@{build.digest(kind, tag)}"
    assert "onnxruntime" in packages(committed, "serving")
    assert "scikit-learn" in packages(committed, "training") - packages(committed, "serving")

    build.forget()
    clone = Project(tmp_path / "clone", committed.venv)
    committed.git("clone", "--quiet", str(committed.folder), str(clone.folder))
    clone.git("config", "core.sharedRepository", "0600")
    for path in (clone.folder / "src").rglob("*.py"):
        path.chmod(0o600)
    clone.write("src/left_over.py", "print('not of the commit')\n")
    done = build(clone)
    assert "making the model of" in done.stderr
    assert evidence(clone) | {"created": first["created"]} == first

    committed.run("mlops", "release", "--evidence", "build/release/evidence.json")
    committed.git("merge", "--quiet", "--ff-only", f"release/{tag}")
    traced = committed.run("mlops", "trace", tag, env=build.env).stdout
    for kind in KINDS:
        label = f"{kind} image, org.opencontainers.image.revision"
        assert f"ok  {label}: {first['git_sha']}\n" in traced
    assert f"ok  serving image, mlops.model.sha256: {first['model']['sha256']}\n" in traced
    facts = (committed.folder / "environments/dev/release.env").read_text(encoding="utf-8")
    assert f"SERVING_IMAGE={first['images']['serving']}\n" in facts
    committed.git("checkout", "--quiet", "--detach", first["git_sha"])
    done = build(committed)
    assert f"{tag} is released already: nothing is built" in done.stdout
    assert evidence(committed) == first


def test_images_for_several_processors_are_in_one_index(committed: Project, build: Build) -> None:
    """Nothing is run in them: what would take an emulator. Again, it is the same index."""
    for kind in KINDS:
        committed.write(f"deploy/images/{kind}.Dockerfile", "FROM scratch\nCOPY params.yaml /\n")
    text = (committed.folder / "pyproject.toml").read_text(encoding="utf-8")
    platforms = ["linux/amd64", "linux/arm64"]
    committed.write(
        "pyproject.toml",
        text.replace("[tool.mlops]\n", f"[tool.mlops]\nplatforms = {json.dumps(platforms)}\n"),
    )
    committed.commit()
    for _ in range(2):
        build(committed)
        image = evidence(committed)["images"]["serving"]
        how = ("buildx", "imagetools", "inspect", "--format", "{{json .Manifest}}", image)
        manifests = json.loads(build.engine.docker(*how))["manifests"]
        assert [
            f"{each['platform']['os']}/{each['platform']['architecture']}" for each in manifests
        ] == platforms
        assert image.endswith(build.digest("serving", evidence(committed)["id"]))


def test_a_release_in_the_registry_is_never_replaced(committed: Project, build: Build) -> None:
    other = f"{build.name}/serving:{build.tag(committed)}"
    build.engine.docker("tag", PYTHON, other)
    build.engine.docker("push", "--quiet", other)
    before = build.digest("serving", build.tag(committed))
    done = build(committed, code=3)
    assert f"{other} is {before} in the registry, and this commit makes sha256:" in done.stderr
    assert build.digest("serving", build.tag(committed)) == before
    assert not (committed.folder / "build/release").exists()


def test_nothing_is_pushed_of_what_cannot_be_a_release(committed: Project, build: Build) -> None:
    default = build(committed, code=2, BUILDX_BUILDER="default")
    assert "`docker buildx create --use` makes a builder that does not" in one_line(default)
    wrong = build(committed, "--build-arg", "BASE", code=2)
    assert "--build-arg BASE: write NAME=value" in one_line(wrong)
    upper = committed.run("mlops", "build", "--registry", "ghcr.io/Team/x", code=2)
    assert "ghcr.io/Team/x: write HOST/NAME in lower case" in one_line(upper)
    other = committed.run("mlops", "build", "--registry", "ghcr.io/team/x", code=2)
    assert f"ghcr.io/team/x: pyproject.toml declares {build.name} " in one_line(other)
    committed.write("params.yaml", (committed.folder / "params.yaml").read_text() + "\n")
    assert "there are changes that are not committed" in one_line(build(committed, code=2))
    committed.restore("params.yaml")
    (committed.folder / "deploy/images/training.Dockerfile").write_text("FROM scratch\nRUN no\n")
    committed.commit()
    broken = build(committed, code=1)
    assert "/training:" in broken.stderr
    assert "`docker buildx build` failed; it says why above" in broken.stderr
    assert not (committed.folder / "build/release").exists()


def test_a_registry_that_is_away_is_told(committed: Project, builder: Builder) -> None:
    env = {"BUILDX_BUILDER": builder.name}
    committed.declare("127.0.0.1:1/x")
    done = committed.run("mlops", "build", code=3, env=env)
    assert "connection refused" in one_line(done)
