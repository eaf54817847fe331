"""Pages for people can be read by all of them: axe finds nothing, and no page is too wide."""

import shutil
import subprocess
from pathlib import Path

import axe
import pytest
from engine.followed import World
from engine.monitoring.test_page import result
from engine.workspace import Workspace

from mlops.monitoring.result import Result
from mlops.paths import ONNX
from mlops.report import monitoring
from mlops.serving.model import ServedModel
from mlops.serving.page import page
from mlops.serving.settings import Settings

pytestmark = pytest.mark.slow

__all__ = ["result"]  # a fixture

needs_browser = pytest.mark.skipif(
    axe.CHROMIUM is None or shutil.which("npm") is None,
    reason="not installed: chromium or google-chrome, and npm",
)


@needs_browser
def test_pages_can_be_read_by_all(promoted: Workspace, result: Result, tmp_path: Path) -> None:
    folder = tmp_path / "pages"
    folder.mkdir()
    subprocess.run(["cp", "-r", promoted.folder, tmp_path], check=True)
    world = World(Workspace(tmp_path / "project"))
    world.run("uv run mlops data show")
    world.run("uv run mlops trace prod --html > build/evidence.html")
    for name in ("build/data.html", "build/evidence.html", "reports/model-card.html"):
        shutil.copy2(world.project.folder / name, folder)
    (folder / "monitoring.html").write_text(monitoring.page(result), encoding="utf-8")
    model = ServedModel(Settings(model=promoted.folder / ONNX))
    (folder / "server.html").write_bytes(page(model).body)
    assert axe.findings(folder, 1280, dark=False) + axe.findings(folder, 390, dark=True) == []


@needs_browser
def test_what_keeps_people_from_reading_is_found(tmp_path: Path) -> None:
    """No language, no title, grey on grey, a picture without words, and wider than the screen."""
    (tmp_path / "bad.html").write_text(
        '<p style="color: #999; background: #aaa; width: 900px">Hardly to be seen</p><img src="x">',
        encoding="utf-8",
    )
    found = axe.findings(tmp_path, 390, dark=False)
    for rule in ("color-contrast", "document-title", "html-has-lang", "image-alt", "wide, on a"):
        assert any(f": {rule}" in line or rule in line for line in found), found
