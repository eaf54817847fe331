"""What images are built of, and under which names; the template's tests build them."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from engine.released import Repository

from mlops.errors import InputError
from mlops.git.revision import Revision
from mlops.release import declared, images
from mlops.release.declared import image_names
from mlops.release.evidence import release_id
from mlops.release.source import Source


def test_images_are_named_by_what_they_do() -> None:
    assert image_names("127.0.0.1:5000/x") == {
        "serving": "127.0.0.1:5000/x/serving",
        "training": "127.0.0.1:5000/x/training",
    }


@pytest.mark.parametrize("registry", ["ghcr.io", "ghcr.io/Team", "https://ghcr.io/x", "x/y:1", ""])
def test_what_is_no_registry_with_a_name_is_refused(registry: str) -> None:
    with pytest.raises(InputError, match="write HOST/NAME in lower case"):
        image_names(registry)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", []),
        ('platforms = ["linux/amd64", "linux/arm64"]', ["linux/amd64", "linux/arm64"]),
        ('platforms = ["linux/arm/v7", "linux/arm/v7"]', ["linux/arm/v7"]),
    ],
)
def test_images_are_for_the_platforms_that_are_declared(
    repository: Repository, line: str, expected: list[str]
) -> None:
    commit = repository.commit({"pyproject.toml": f"[tool.mlops]\n{line}\n"})
    assert declared.platforms(Revision(commit)) == expected


@pytest.mark.parametrize("what", ['"linux/arm64"', '["arm64"]', "[1]", '["linux/arm64 --push"]'])
def test_what_is_no_platform_is_one_line(repository: Repository, what: str) -> None:
    commit = repository.commit({"pyproject.toml": f"[tool.mlops]\nplatforms = {what}\n"})
    with pytest.raises(InputError, match=r"^pyproject\.toml: tool\.mlops: platforms: write a list"):
        declared.platforms(Revision(commit))


def test_an_image_is_made_of_the_commit_and_its_model_alone(
    repository: Repository, tmp_path: Path
) -> None:
    commit = repository.commit({"src/code.py": "committed\n", ".gitignore": "models/\n"})
    Path("src/code.py").chmod(0o600)
    Path("src/left_over.py").write_text("nobody committed this\n")
    Path("models").mkdir()
    Path("models/model.onnx").write_text("another model\n")
    model = tmp_path / "model.onnx"
    model.write_text("the model\n")
    model.chmod(0o600)
    source = Source(Revision(commit), datetime.now(UTC), model)
    assert source.id == release_id(commit, source.committed)
    with images._context(source) as folder:
        found = {
            str(path.relative_to(folder)): (path.read_text(), path.stat().st_mode & 0o777)
            for path in folder.rglob("*")
            if path.is_file() and "environments" not in path.parts and path.name != "pyproject.toml"
        }
    assert found == {
        ".gitignore": ("models/\n", 0o644),
        "models/model.onnx": ("the model\n", 0o644),
        "src/code.py": ("committed\n", 0o644),
    }
