"""An update in a project whose pipeline ran: nothing is stale that the template did not change."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from pipeline.running import OWN, STAGES, Reproduced
from update.worlds import Versions, commit, git, replace


def calm(versions: Versions, folder: Path) -> str:
    """Make a newer version that changes nothing which a stage depends on, and return its commit."""
    shutil.copytree(versions.folder, folder)
    git(folder, "switch", "--quiet", "main")
    params = "<<cookiecutter.project_slug>>/*params.yaml*"
    git(folder, "checkout", versions.old, "--", params)
    return commit(folder, "Calm")


def test_no_stage_is_stale_and_what_judges_passes(
    small: Reproduced, versions: Versions, tmp_path: Path
) -> None:
    project = small("classification").copy(tmp_path / "project")
    project.git("branch", "--move", "--force", "main")
    project.set("params.yaml", gates__roc_auc__min=0.5, gates__log_loss__max=1.0)
    replace(project.folder / "environments/prod/policy.yaml", "soak_minutes: ", "soak_minutes: 1")
    project.append(f"{OWN}/hooks.py", "# Ours.")
    project.commit()
    assert project.status() == set()
    template = tmp_path / "mlops-template"
    to = calm(versions, template)
    at = ("--template", str(template), "--from", versions.old, "--to", to)
    # By the project's own command: cookiecutter is fetched by uv.
    said = project.run("mlops", "update", *at).stdout
    assert "from 0.2.0 to 9.0.0: no conflict" in said
    before = project.git("rev-parse", "HEAD").strip()
    project.git("merge", "--quiet", "--ff-only", "update/9.0.0")
    assert "NEWER = True" in (project.folder / "mlops/src/mlops/judging/gate.py").read_text()
    assert project.status() == set()
    assert project.repro()[0] == []
    assert "gates kept" in project.run("mlops", "gate", "--base", before).stdout
    assert "by the rules" in project.run("mlops", "guard", "--base", before).stdout
    told = project.run("mlops", "engine", "--check", "--base", before).stdout
    assert re.search(r"^no file differs", told, re.MULTILINE)


def test_a_new_key_makes_its_stage_stale(
    small: Reproduced, versions: Versions, tmp_path: Path
) -> None:
    """And no other: what the template says of one stage is no reason to train again."""
    project = small("classification").copy(tmp_path / "project")
    project.git("branch", "--move", "--force", "main")
    at = ("--template", str(versions.folder), "--from", versions.old, "--to", versions.new)
    project.run("mlops", "update", *at)
    project.git("merge", "--quiet", "--ff-only", "update/9.0.0")
    assert project.status() == {"verify"} < {*STAGES}
