"""Which release answered at a time, by whom, and what went wrong then: of true histories, and of
some that somebody gave another time, another line or other evidence."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from engine.released import Repository

from mlops.errors import InputError
from mlops.facts import as_json
from mlops.files import write_json
from mlops.git.revision import Revision
from mlops.paths import INTERVALS, MONITOR
from mlops.release import changes
from mlops.release.audit import Audit, audit, had, period
from mlops.release.hop import Hop
from mlops.release.state import QUARANTINE, policy_path, release_path
from mlops.release.status import status
from mlops.release.watched import alarms
from mlops.report import terminal
from mlops.report.audit import markdown

DAY = timedelta(days=1)


def head(repository: Repository) -> Revision:
    return Revision(repository.head)


def audited(repository: Repository, at: str, environment: str = "dev") -> Audit:
    now = repository.now
    return audit(environment, period(at, now), head(repository), now)


def others(hops: list[Hop]) -> dict[str, str]:
    """Why steps are wrong, by what was looked at."""
    return {hop.what: hop.why or "" for hop in hops if hop.state == "wrong"}


def step(hops: list[Hop], what: str) -> Hop:
    (found,) = (hop for hop in hops if hop.what == what)
    return found


@pytest.fixture(scope="module")
def _begun(tmp_path_factory: pytest.TempPathFactory) -> tuple[Repository, Path]:
    """r1 is in dev from 2 January 2030, r2 from the 4th; there is r1 again from the 6th."""
    folder = tmp_path_factory.mktemp("audit")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
        patch.chdir(folder)
        repository = Repository.begin()
        _live(repository)
    return repository, folder


@pytest.fixture
def lively(
    _begun: tuple[Repository, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Repository:
    """A copy of it, in the current folder."""
    repository, folder = _begun
    shutil.copytree(folder, tmp_path / "lively")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.chdir(tmp_path / "lively")
    return Repository(repository.now, {**repository.ids})


def _live(repository: Repository) -> None:
    for start in (2, 4):
        repository.now = datetime(2030, 1, start, 12, tzinfo=UTC)
        repository.live("dev")
    repository.now = datetime(2030, 1, 6, 12, tzinfo=UTC)
    back = changes.rollback("dev", head(repository), None, "answers were wrong")
    repository.commit({str(path): text for path, text in back.files.items()})
    repository.now = datetime(2030, 2, 1, tzinfo=UTC)


def test_what_answered_at_a_time(lively: Repository) -> None:
    for at, expected in (
        ("2030-01-02", ["r1"]),
        ("2030-01-03", ["r1"]),
        ("2030-01-04", ["r1", "r2"]),
        ("2030-01-04T12:00", ["r1"]),
        ("2030-01-04T12:02", ["r2"]),
        ("2030-01-04T14:00+01:00", ["r2"]),
        ("2030-01-04T13:00+01:00", ["r1"]),
        ("2030-01-06", ["r2", "r1"]),
        ("2030-02-01", ["r1"]),
    ):
        there = had("dev", period(at, lively.now), head(lively))
        texts = [each.at.read(release_path("dev")) or "" for each in there]
        assert [lively.short(text).split()[0][-2:] for text in texts] == expected, at


def test_what_came_next_and_why(lively: Repository) -> None:
    found = audited(lively, "2030-01-04")
    first, second = found.answering
    for each in found.answering:
        assert others([*found.history, *each.came, *each.incidents]) == {}
    assert first.until == second.since == datetime(2030, 1, 4, 12, 2, tzinfo=UTC)
    assert lively.short(step(first.came, "until").value) == ("2030-01-04 12:02 UTC, replaced by r2")
    assert lively.short(step(second.came, "until").value) == (
        "2030-01-06 12:01 UTC, rolled back to r1: answers were wrong"
    )
    (now,) = audited(lively, "2030-01-20").answering
    assert step(now.came, "until").value.startswith("still there in ")
    (hold,) = (hop for hop in now.incidents if hop.what == "hold")
    assert hold.value == "from 2030-01-06 12:01 UTC: answers were wrong"
    assert [hop.what for hop in second.incidents] == ["alarms"], "which no hold was in"


@pytest.mark.parametrize(
    ("environment", "at", "told"),
    [
        ("dev", "2030-01-01", "dev had no release before 2030-01-02 12:02 UTC: nothing answered"),
        ("dev", "2030-01-02T12:00", "dev had no release before 2030-01-02 12:02 UTC"),
        ("dev", "2030-02-02", "--at 2030-02-02: that is to come; it is 2030-02-01 00:00 UTC"),
        ("prod", "2030-01-03", "prod has no release yet"),
        ("elsewhere", "2030-01-03", "there is no environment elsewhere; there are dev, "),
        ("dev", "yesterday", "--at yesterday: give a day or a moment"),
        ("dev", "2030-02-30", "--at 2030-02-30: give a day or a moment"),
        ("dev", "0001-01-01T00:00+23:00", "give a day or a moment"),
        ("dev", "", "give a day or a moment"),
        ("dev", "20300104", "--at 20300104: give a day or a moment"),
        ("dev", "2030-W01", "--at 2030-W01: give a day or a moment"),
        ("dev", "2030-W01-5", "--at 2030-W01-5: give a day or a moment"),
        ("dev", "２０３０-01-04", "give a day or a moment"),
        ("dev", "2030-01-04 ", "give a day or a moment"),
        ("dev", "2030-01-04T25:00", "give a day or a moment"),
    ],
)
def test_a_question_without_an_answer_is_a_line(
    lively: Repository, environment: str, at: str, told: str
) -> None:
    with pytest.raises(InputError) as refused:
        had(environment, period(at, lively.now), head(lively))
    (line,) = str(refused.value).splitlines()
    assert told in line


def test_an_environment_that_was_retired_answered_all_the_same(lively: Repository) -> None:
    folder = release_path("dev").parent
    lively.commit({str(each): None for each in [*folder.iterdir()]})
    lively.now += 9 * DAY
    (found,) = audited(lively, "2030-01-03").answering
    assert lively.short(found.release) == "r1"
    (found,) = audited(lively, "2030-01-31").answering
    assert step(found.came, "until").value == "2030-02-01 00:01 UTC, taken away"
    with pytest.raises(InputError, match="dev had no release on 2030-02-05: .* took it away"):
        audited(lively, "2030-02-05")


def test_a_history_that_is_cut_off_is_a_line(
    lively: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = tmp_path / "clone"
    lively.git("clone", "--quiet", "--depth=1", f"file://{Path.cwd()}", str(where))
    monkeypatch.chdir(where)
    with pytest.raises(InputError, match="git fetch --unshallow"):
        audited(lively, "2030-01-03")


# --- by whom


def test_who_wrote_and_who_merged_by_which_pull_request(repository: Repository) -> None:
    evidence = repository.evidence()
    repository.git("config", "user.name", "Grace")
    branch = repository.branch(repository.files(evidence, "dev"))
    repository.git("config", "user.name", "Ada")
    subject = "Merge pull request #12 from org/release"
    repository.now += timedelta(minutes=5)
    repository.git("merge", "--quiet", "--no-ff", "--message", subject, branch)
    merge = head(repository)
    (found,) = audited(repository, "2030-01-01").answering
    approved = step(found.came, "approved")
    assert approved.value == "written by Grace, merged by Ada, pull request 12"
    assert (approved.state, approved.landed is not None) == ("not checked", True)
    assert approved.landed is not None
    assert (approved.landed.commit, approved.landed.pull) == (merge.commit, 12)
    assert "not signed" in (approved.why or "")


@pytest.fixture
def _signing(repository: Repository, tmp_path: Path) -> None:
    """Git signs with a key that it knows as Ada's."""
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    signers = tmp_path / "signers"
    signers.write_text(f"ada@example.com {Path(f'{key}.pub').read_text()}")
    for name, value in (
        ("gpg.format", "ssh"),
        ("user.signingKey", str(key)),
        ("gpg.ssh.allowedSignersFile", str(signers)),
        ("commit.gpgSign", "true"),
    ):
        repository.git("config", name, value)


@pytest.mark.usefixtures("_signing")
def test_a_signature_proves_who_it_was_and_a_forged_one_is_wrong(repository: Repository) -> None:
    repository.live("dev")
    (found,) = audited(repository, "2030-01-01").answering
    approved = step(found.came, "approved")
    assert approved.state == "ok"
    assert approved.value.endswith("signed by ada@example.com")
    content = repository.git("cat-file", "commit", "HEAD").replace("author Ada", "author Eve")
    done = subprocess.run(
        ["git", "hash-object", "-t", "commit", "-w", "--stdin"],
        input=f"{content}\n",
        capture_output=True,
        text=True,
        check=True,
    )
    repository.git("reset", "--quiet", "--hard", done.stdout.strip())
    (found,) = audited(repository, "2030-01-01").answering
    approved = step(found.came, "approved")
    assert (approved.state, approved.why) == ("wrong", "its signature is of something else")
    assert "written by Eve" in approved.value


# --- tampering


def backdated(repository: Repository) -> None:
    """r3 comes as if it had on 3 January, on top of what came on the 6th."""
    evidence = repository.evidence()
    repository.now = datetime(2030, 1, 3, tzinfo=UTC)
    repository.commit(repository.files(evidence, "dev"))


def forward(repository: Repository) -> None:
    """What replaces r1 is of a year to come, so that r1 would answer until then."""
    evidence = repository.evidence()
    repository.now = datetime(2040, 1, 1, tzinfo=UTC)
    repository.commit(repository.files(evidence, "dev"))


def before_evidence(repository: Repository) -> None:
    """Its evidence was made a year after it came."""
    evidence = repository.evidence()
    later = evidence.model_copy(update={"created": "2031-01-01T00:00:00Z"})
    repository.commit(repository.files(later, "dev"))


def by_hand(repository: Repository) -> None:
    """The file says of the release what its evidence does not."""
    evidence = repository.evidence()
    text = evidence.release.text().replace(evidence.model.md5, "e" * 32)
    repository.commit(repository.files(evidence) | {str(release_path("dev")): text})


def without_evidence(repository: Repository) -> None:
    evidence = repository.evidence()
    repository.commit({str(release_path("dev")): evidence.release.text()})


def replaced(repository: Repository) -> None:
    """Its evidence was replaced after it came."""
    evidence = repository.evidence()
    repository.commit(repository.files(evidence, "dev"))
    other = evidence.model_copy(update={"metrics": {"roc_auc": 0.99}})
    repository.commit(repository.files(other))


def past_the_hold(repository: Repository) -> None:
    """dev is on hold since it went back: nobody but the guard would know."""
    repository.live("dev")


def unreadable(repository: Repository) -> None:
    repository.commit({str(release_path("dev")): "RELEASE_ID=what\n"})


@pytest.mark.parametrize(
    ("tamper", "wrong"),
    [
        (
            backdated,
            {"dev had r3": "is of 2030-01-03 00:01 UTC, and stands on one of 2030-02-01 00:01 UTC"},
        ),
        (forward, {"until": "is of 2040-01-01 00:01 UTC: that is to come"}),
        (before_evidence, {"dev had r3": "was made on 2031-01-01T00:00:00Z, after it came"}),
        (
            by_hand,
            {
                "dev had r3": "it is not what its evidence says",
                "guard": "copy the file, do not edit it",
            },
        ),
        (without_evidence, dict.fromkeys(("release", "guard"), "there is no releases/r3.json")),
        (
            replaced,
            {
                "release": "was changed after it was written",
                "metrics.roc_auc": "it says 0.99, reports/metrics.json",
            },
        ),
        (past_the_hold, {"guard": "dev is on hold: answers were wrong"}),
        (unreadable, {"dev from 2030-02-01 00:01 UTC": "GIT_SHA, SERVING_IMAGE"}),
    ],
)
def test_what_somebody_tampered_with_is_wrong(
    lively: Repository, tamper: Callable[[Repository], None], wrong: dict[str, str]
) -> None:
    now = lively.now + timedelta(hours=1)
    tamper(lively)
    found = audit("dev", period("2030-02-01T00:30", now), head(lively), now)
    lines = {lively.short(what): lively.short(why) for what, why in others(found.hops).items()}
    for what, why in wrong.items():
        assert why in lines.get(what, ""), lines


def test_what_another_line_of_main_had_is_wrong(lively: Repository) -> None:
    """main was merged into a branch, and that pushed as main: what main had since is aside."""
    forked = lively.head
    lively.policy("dev", "requires: null\n")
    lively.live("dev")
    lively.live("dev")
    main = lively.head
    lively.git("checkout", "--quiet", "--detach", forked)
    lively.commit({"note": "x"})
    lively.git("merge", "--quiet", "--no-edit", main)
    lively.git("checkout", "--quiet", "-B", "main")
    (history,) = audited(lively, "2030-02-01").history
    assert history.state == "wrong"
    assert "is on no first parent of" in (history.why or "")


def test_a_branch_that_was_merged_as_it_should_is_no_other_line(lively: Repository) -> None:
    lively.policy("dev", "requires: null\n")
    evidence = lively.evidence()
    branch = lively.branch(lively.files(evidence, "dev"))
    lively.commit({"meanwhile": "x"})
    lively.git("merge", "--quiet", "--no-ff", "--no-edit", branch)
    (history,) = audited(lively, "2030-02-01").history
    assert history == Hop("history", "3 versions of environments/dev/release.env", "ok")


# --- what went wrong then


def test_a_line_of_quarantine_is_told_and_one_that_is_taken_out_is_wrong(
    lively: Repository,
) -> None:
    lively.commit({str(QUARANTINE): f"{lively.ids['r2']} leaks the target\n"})
    _, second = audited(lively, "2030-01-04").answering
    line = step(second.incidents, "quarantine")
    assert line.value == "from 2030-02-01 00:01 UTC: leaks the target"
    assert line.landed is not None
    lively.commit({str(QUARANTINE): "# nothing\n"})
    first, second = audited(lively, "2030-01-04").answering
    assert others(first.incidents) == {}
    assert "took the line out" in others(second.incidents)["quarantine"]


def test_what_people_wrote_commands_no_terminal(
    lively: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    reason = "evil \x1b[2J\u202e\n::error::x"
    lively.commit({str(policy_path("dev")): f"requires: null\nhold: {json.dumps(reason)}\n"})
    lively.now += DAY
    terminal.show_audit(audited(lively, "2030-02-01"))
    terminal.show_status(status(head(lively), lively.now))
    said = capsys.readouterr().out
    assert said.count("evil \\x1b[2J\\u202e\\n::error::x") == 2
    assert "\x1b[2J" not in said
    assert "\u202e" not in said


def test_a_review_that_was_overdue_on_that_day(lively: Repository) -> None:
    lively.now = datetime(2030, 2, 1, tzinfo=UTC)
    lively.commit({str(policy_path("dev")): "requires: null\ngovernance: [owner]\n"})
    lively.now += DAY
    (found,) = audited(lively, "2030-02-02").answering
    assert step(found.incidents, "governance").value == "model.yaml: owner: has no answer yet"
    (before,) = audited(lively, "2030-01-20").answering
    assert "governance" not in {hop.what for hop in before.incidents}


def test_alarms_are_those_that_this_machine_knows(lively: Repository) -> None:
    windows = [
        {"start": f"2030-01-{day:02}T00:00:00Z", "end": f"2030-01-{day + 7:02}T00:00:00Z",
         "alarms": [{"kind": "drift", "name": name, "told": "x"} for name in names]}
        for day, names in ((7, ["carrier"]), (14, []))
    ]  # fmt: skip
    (unknown,) = audited(lively, "2030-01-08").answering
    line = step(unknown.incidents, "alarms")
    assert line.state == "not checked"
    assert "no result of `mlops monitor`" in (line.why or "")
    write_json(MONITOR / "dev/result.json", {"release": lively.ids["r1"], "windows": windows})
    for at, expected in (
        ("2030-01-08", ["drift carrier"]),
        ("2030-01-14T00:00", []),
        ("2030-01-13T23:59", ["drift carrier"]),
        ("2030-01-22", None),
    ):
        asked = period(at, lively.now)
        assert alarms("dev", lively.ids["r1"], asked.start, asked.end) == expected, at
    assert alarms("dev", lively.ids["r2"], asked.start, asked.end) is None
    (found,) = audited(lively, "2030-01-08").answering
    assert step(found.incidents, "alarms").value == "drift carrier"


def test_metrics_have_the_intervals_that_the_lock_names(repository: Repository) -> None:
    ends = json.dumps({"roc_auc": {"low": 0.65, "high": 0.75}})
    locked = {str(INTERVALS): ends}
    params = json.dumps({"compare": {"resamples": 20, "confidence": 0.9, "rows": 100}})
    evidence = repository.evidence(locked=locked, files={"params.yaml": params})
    repository.commit(repository.files(evidence, "dev"))
    (found,) = audited(repository, "2030-01-01").answering
    assert found.measured == [Hop("roc_auc", "0.700, 90% interval 0.650 to 0.750", "ok")]
    for changed, why in (
        ({"roc_auc": {"low": 0.1, "high": 0.9}}, "has the MD5"),
        ({"roc_auc": {"low": "x"}}, "not readable"),
        (None, "has no reports/intervals.json"),
    ):
        text = None if changed is None else json.dumps(changed)
        files = {"params.yaml": params, str(INTERVALS): text}
        evidence = repository.evidence(locked=locked, files=files)
        repository.commit(repository.files(evidence, "dev"))
        found = audited(repository, f"{repository.now:%Y-%m-%dT%H:%M}").answering[-1]
        assert why in " ".join(hop.why or "" for hop in found.measured)
        assert {hop.state for hop in found.measured} <= {"wrong", "not checked"}


# --- faces


def test_faces_have_every_step_and_take_words_for_words(lively: Repository) -> None:
    nasty = "<script>x</script> | `y` [z](javascript:w)"
    lively.git("config", "user.name", nasty)
    changed = changes.promote("staging", head(lively)).files
    lively.commit({str(path): text for path, text in changed.items()})
    found = audited(lively, "2030-02-01", "staging")
    text = markdown(found, "2030-02-01", head(lively), lively.now)
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert sum(line.startswith(("| ok", "| **wrong", "| not checked")) for line in rows) == len(
        found.hops
    )
    assert "<script>" not in text
    assert "](javascript" not in text
    told = json.loads(as_json(found))
    assert told["answering"][0]["release"] == lively.ids["r1"]
    assert told["answering"][0]["came"][0]["landed"]["who"] == nasty.translate(
        {ord(each): None for each in "<>"}
    )  # Git's own doing
