"""The judge: an engine that is not the change's own, which runs nothing of the change."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import joblib
import pytest
from engine.stored import Stored

from mlops import paths
from mlops.files import read_json, write_json, write_text
from mlops.git.engine import ENGINE
from mlops.git.revision import Revision, git
from mlops.judge import Judgement, judge
from mlops.judging.recount import recount
from mlops.project import VARIABLE
from mlops.release.state import policy_path
from mlops.report import card

Begin = Callable[[str], Stored]
REGRESSION = {"roc_auc": {"regression": 0}}


@pytest.fixture(autouse=True)
def _environ(monkeypatch: pytest.MonkeyPatch) -> None:
    """The judge takes the base's package for the owner's: not for tests that come later."""
    monkeypatch.setenv(VARIABLE, "")


def judged(base: str) -> Judgement:
    """What this engine, which is checked out elsewhere, says of what is checked out here."""
    write_text(policy_path("dev"), "requires: null\n")
    git("add", str(policy_path("dev")))
    who = ("-c", "user.name=A", "-c", "user.email=a@example.com")
    git(*who, "commit", "--quiet", "--allow-empty", "--message=x", "--", str(policy_path("dev")))
    found = judge(base, datetime.now(UTC), card.stale)
    assert found.engine is not None
    assert found.base == Revision.of(base).commit  # type: ignore[union-attr]
    return found


def test_what_is_as_good_may_be_merged(planted: Stored) -> None:
    planted.params(REGRESSION)
    planted.ran()
    planted.commit()
    planted.push()
    found = judged("poor")
    assert found.refusals == {}
    assert found.lines()[0].startswith("judged by the engine of ")
    assert "[!NOTE]" in found.markdown()


def test_a_worse_model_is_refused(planted: Stored) -> None:
    planted.params(REGRESSION)
    planted.made("poor")
    planted.push()
    found = judged("good")
    assert [*found.refusals] == ["gates"]
    assert "is worse than the champion's" in found.refusals["gates"][0]
    assert f"> - {found.refusals['gates'][0]}" in found.markdown()
    assert not found.is_unread


@pytest.mark.parametrize(("base", "how"), [("good", "poor"), ("poor", "good")])
def test_a_model_that_is_no_better_than_none_is_refused(
    planted: Stored, base: str, how: str
) -> None:
    planted.params({"roc_auc": {"naive": 0}})
    planted.made(how)
    planted.push()
    lines = judged(base).refusals.get("gates", [])
    assert [line for line in lines if "the best answer without a model (constant)" in line] == lines
    assert len(lines) == (how == "poor")


def test_metrics_that_somebody_wrote_are_refused(stored: Stored) -> None:
    base = stored.made("poor")
    write_json(paths.METRICS, read_json(paths.METRICS) | {"roc_auc": 0.99})
    stored.ran()
    stored.commit()
    stored.push()
    assert "reports/metrics.json says 0.99" in judged(base).refusals["gates"][0]


def test_a_lock_that_is_stale_or_gone_is_refused(planted: Stored) -> None:
    planted.push()
    write_text(planted.folder / "code.py", "changed\n")
    assert "dvc.lock is stale: train" in judged("good").refusals["lock"][0]
    write_text(planted.folder / "code.py", "pass\n")
    paths.LOCK.unlink()
    assert judged("good").refusals["lock"] == [
        "dvc.lock is gone: `uv run dvc repro` makes it; commit it"
    ]


def test_a_model_card_that_is_stale_is_refused(planted: Stored) -> None:
    planted.push()
    card.write()
    planted.commit()
    assert judged("good").refusals == {}
    write_text(paths.STATEMENT, "problem: Nobody knows\n")
    planted.commit()
    assert judged("good").refusals == {
        "card": [
            "reports/model-card.md and reports/model-card.html are not what the files of this "
            "commit say: run `uv run mlops card`, and commit"
        ]
    }


def test_a_model_card_that_is_gone_is_refused_and_one_that_never_was_is_not(
    planted: Stored,
) -> None:
    planted.push()
    found = judged("good")
    assert found.refusals == {}
    assert "there is no model card yet: `uv run mlops card` writes it" in found.notes
    card.write()
    base = planted.commit()
    paths.CARD_PAGE.unlink()
    planted.commit()
    assert judged(base).refusals["card"] == [
        "reports/model-card.html is missing: run `uv run mlops card`, and commit"
    ]
    paths.CARD.unlink()
    planted.commit()
    assert "are gone" in judged(base).refusals["card"][0]


def test_a_model_card_of_another_engine_is_not_judged(planted: Stored) -> None:
    write_text(ENGINE / "pyproject.toml", "")
    card.write()
    base = planted.commit()
    write_text(ENGINE / "pyproject.toml", "[project]\n")
    write_text(paths.CARD, "laid out otherwise\n")
    planted.commit()
    planted.push()
    found = judged(base)
    assert "card" not in found.refusals
    assert "not judged: the model card, which the change's own engine writes" in found.notes


def test_before_the_first_lock_there_is_nothing_to_judge(stored: Stored) -> None:
    stored.commit()
    found = judge("0" * 40, datetime.now(UTC), card.stale)
    assert found.refusals == {}
    assert "with nothing before it" in found.lines()[0]
    assert "no model to judge" in found.lines()[-1]


@pytest.mark.parametrize("text", ["gates: {roc_auc: {lowest: 1}}\n", "task: [\n"])
def test_what_this_engine_cannot_read_is_told_apart(planted: Stored, text: str) -> None:
    planted.push()
    params = planted.folder / "params.yaml"
    content = planted.load("params.yaml")
    if text.startswith("gates"):
        planted.write("params.yaml", content | {"gates": {"roc_auc": {"lowest": 1}}})
    else:
        params.write_text(text)
    found = judged("good")
    assert found.is_unread
    assert "params.yaml" in str(found.refusals["gates"])


def test_what_cannot_be_read_opens_nothing_else_to_another_engine(planted: Stored) -> None:
    """A change with a key that no engine knows, and something in prod that nobody released."""
    planted.push()
    content = planted.load("params.yaml")
    planted.write("params.yaml", content | {"gates": {"roc_auc": {"lowest": 1}}})
    prod = planted.folder / policy_path("prod").parent
    write_text(prod / "policy.yaml", "requires: dev\n")
    write_text(prod / "release.env", "RELEASE_ID=mine\n")
    planted.commit()
    found = judged("good")
    assert {*found.refusals} == {"gates", "environments"}
    assert found.unread == {"gates"}
    assert not found.is_unread


def test_an_estimator_that_only_the_change_knows_does_not_matter(planted: Stored) -> None:
    content = planted.load("params.yaml")
    content["train"]["estimator"] = "theirs"
    planted.write("params.yaml", content | {"new_section": {"of": "a newer engine"}})
    planted.ran()
    planted.commit()
    planted.push()
    assert judged("good").refusals == {}


class Planted:
    """What runs code where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path.mkdir, (self.path,))  # type: ignore[return-value]


def test_nothing_of_the_change_is_unpickled(begin: Begin) -> None:
    stored = begin("clustering")
    base = stored.made("good")
    stored.put("poor")
    marker = stored.folder / "ran"
    for path in (paths.CANDIDATE, paths.MODEL):
        path.unlink()
        joblib.dump(Planted(marker), path)
    stored.ran()
    stored.commit()
    stored.push()
    found = judged(base)
    assert not marker.exists()
    assert any("compared, not counted again" in note for note in found.notes)
    # What judges one's own work at home does load it.
    with pytest.raises(AssertionError):
        recount(stored.params(), Revision.of(base))
    assert marker.exists()


def test_nothing_of_the_change_is_made_again(
    planted: Stored, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where no store has its model, its pipeline is not run for it; that of the base may be."""
    planted.params(REGRESSION)
    head = planted.made("poor")
    planted.push()
    planted.forget(remote=True)
    found = judged("good")
    assert "neither in DVC's cache nor on the remote" in str(found.refusals["gates"])
    assert f"making the model of {head[:7]}" not in capsys.readouterr().err


def test_metrics_that_the_change_computes_are_not_judged(planted: Stored) -> None:
    write_text(planted.folder / "pyproject.toml", '[tool.mlops]\npackage = "engine"\n')
    base = planted.made("good")
    planted.push()
    write_text(planted.folder / "src/engine/metrics.py", "METRICS = {}\n")
    planted.params({"surest": {"min": 2}, "roc_auc": {"min": 0.999}})
    planted.ran()
    planted.commit()
    found = judged(base)
    assert [*found.refusals] == ["gates"]
    assert ["roc_auc" in line for line in found.refusals["gates"]] == [True]
    assert "not judged: gates on surest" in str(found.notes)


def test_a_main_that_was_merged_into_a_branch_is_refused_after_the_push(planted: Stored) -> None:
    """Foxtrot: what main was is no longer among its first parents, and environments lose it."""
    planted.push()
    who = ("-c", "user.name=A", "-c", "user.email=a@example.com")
    git("checkout", "--quiet", "--detach", "good~1")
    git(*who, "commit", "--quiet", "--allow-empty", "--message=x")
    git(*who, "merge", "--quiet", "--no-ff", "--no-edit", "good")
    assert "environments" not in judged("good").refusals
    git("branch", "--force", "main", "HEAD")
    (told,) = judge("good", datetime.now(UTC), card.stale).refusals["environments"]
    assert "is not among the first parents" in told


def test_terms_that_the_change_alters_are_told(planted: Stored) -> None:
    """The gates are its author's to move; whoever approves it sees that they moved."""
    planted.params(REGRESSION | {"log_loss": {"max": 0.9}})
    planted.ran()
    base = planted.commit()
    planted.params({"roc_auc": {"min": 0.1}})
    planted.ran()
    planted.commit()
    planted.push()
    (told,) = (note for note in judged(base).notes if "terms" in note)
    assert "gates.roc_auc.regression was 0.0, now not there" in told
    assert "gates.roc_auc.min was not there, now 0.1" in told
    assert "gates.log_loss.max was 0.9, now not there" in told
    assert not any("terms" in note for note in judged("HEAD").notes)
