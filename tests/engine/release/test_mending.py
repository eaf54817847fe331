"""What is broken on main can be mended, and stops nothing else; what is added changes no rule."""

import subprocess
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path

import pytest
from engine.released import POLICIES, Repository, copy
from typer.testing import CliRunner

from mlops import cli
from mlops.errors import CheckError, InputError
from mlops.git.revision import Revision, git
from mlops.release import changes
from mlops.release.guard import refusals
from mlops.release.history import route
from mlops.release.proposal import Proposal, _is_untouched
from mlops.release.state import environments, policy_path, quarantined, release_path
from mlops.release.status import status
from mlops.release.target import target

PROD, QUARANTINE = "environments/prod/policy.yaml", "releases/quarantine.txt"
BROKEN = {
    "no YAML": "requires: [\n",
    "unknown key": "requires: staging\nsoak: 1\n",
    "comments alone": "# requires: staging\n",
    "nothing": "",
    "no word of what it requires": "soak_minutes: 60\n",
    "a list": "- requires\n",
    "a stranger": "requires: qa\n",
    "a circle": "requires: prod\n",
    "a soak of ages": "requires: staging\nsoak_minutes: 99999999999999\n",
    "a freeze before all time": "requires: staging\nfreeze: [{start: '0001-01-01T00:00:00+14:00',"
    " end: 2030-01-01, reason: x}]\n",
}
each_broken = pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)


def head(repository: Repository) -> Revision:
    return Revision(repository.head)


def merge(repository: Repository, proposal: Proposal) -> None:
    commit = changes.propose(proposal, head(repository), repository.now)
    repository.git("merge", "--quiet", "--ff-only", commit)


# --- What is broken


@each_broken
def test_a_policy_that_cannot_be_read_is_refused(repository: Repository, text: str) -> None:
    told = repository.refused({PROD: text})
    assert len(told) == 1
    assert "environments" in told[0]
    assert "Traceback" not in told[0]


@each_broken
def test_a_broken_policy_on_main_lets_nothing_in_and_can_be_mended(
    repository: Repository, text: str
) -> None:
    first, second = (repository.live("dev", "staging", "prod") for _ in range(2))
    third = repository.live("dev", "staging")
    repository.policy("prod", text)
    repository.commit({}, wait=100)
    (told,) = repository.refused(copy(third, "prod"))
    assert told in environments(head(repository))["prod"].problems
    # Not even by what mends it: its rules are those of main.
    mended: dict[str, str | None] = {PROD: POLICIES["prod"]}
    assert repository.refused(copy(third, "prod") | mended) != []
    assert repository.refused(copy(first, "prod")) == []
    assert repository.refused({"code": "new"}) == []
    assert repository.refused(mended, keep=True) == []
    assert repository.refused(copy(third, "prod")) == []
    assert second == environments(head(repository))["prod"].release


@each_broken
def test_a_rollback_works_with_a_broken_policy(repository: Repository, text: str) -> None:
    """It puts back the last policy that could be read, on hold."""
    first, _ = (repository.live("dev", "staging", "prod") for _ in range(2))
    repository.policy("prod", text)
    merge(repository, changes.rollback("prod", head(repository), None, "wrong"))
    known = environments(head(repository))["prod"]
    assert known.release == first
    assert known.policy.hold is not None
    with pytest.raises((CheckError, InputError)):
        changes.propose(changes.promote("prod", head(repository)), head(repository), repository.now)


@each_broken
@pytest.mark.parametrize("name", ["dev", "staging"])
def test_one_broken_policy_stops_no_other_environment(
    repository: Repository, text: str, name: str
) -> None:
    first, _ = (repository.live("dev", "staging", "prod") for _ in range(2))
    repository.policy(name, text)
    merge(repository, changes.rollback("prod", head(repository), None, "wrong"))
    assert environments(head(repository))["prod"].release == first
    repository.commit(
        {"environments/prod/config.env": ("LISTEN=127.0.0.1:1\nREPLICAS=1\nCPUS=1\nMEMORY=1M\n")}
    )
    assert target("prod", head(repository)).release == first


def test_a_release_that_nobody_can_read_is_gone_back_from(repository: Repository) -> None:
    """On main, where somebody pushed it past the guard."""
    first = repository.live("dev", "staging")
    second = repository.live("dev")
    file = str(release_path("staging"))
    for bad in ("RELEASE_ID=\n", first.text().replace(first.id, f"{first.id}\xff")):
        repository.commit({file: bad})
        assert repository.refused({"code": bad}) == []
        assert repository.refused(copy(second, "staging")) != []
        assert repository.refused({file: bad + "X"}) != []
        assert repository.refused(copy(first, "staging"), keep=True) == []


def test_what_is_no_utf8_is_told_in_a_line(repository: Repository) -> None:
    release = repository.live("dev", "staging")
    base = head(repository)
    for name in (PROD, str(release_path("staging")), "releases/r9.json", QUARANTINE):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(b"\xff\xfe\n")
        repository.git("add", "--all")
        repository.git("commit", "--quiet", "--message", "x")
        (told,) = refusals(base, head(repository), repository.now)
        assert told == f"{name}: not UTF-8 text"
        repository.git("reset", "--quiet", "--hard", str(base.commit))
    # Where it is on main nevertheless, it lets out none of those that it lists.
    Path(QUARANTINE).write_bytes(release.id.encode() + b" it l\xffaks\n")
    repository.commit({})
    assert quarantined(head(repository)) == {release.id: "it l\\xffaks"}


# --- What Git keeps besides plain files


def link(path: str) -> None:
    Path(path).unlink()
    Path(path).symlink_to("../staging/release.env")


def executable(path: str) -> None:
    Path(path).chmod(0o755)


def a_folder(path: str) -> None:
    Path(path).unlink()
    Path(path).mkdir()
    Path(path, "file").write_text("x", encoding="utf-8")


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (link, "environments/dev/release.env: is a symbolic link; commit a plain file"),
        (
            executable,
            "environments/dev/release.env: is a file that can be executed; commit a plain",
        ),
        (a_folder, "environments/dev/release.env: taken away"),
    ],
)
def test_what_is_no_plain_file_is_refused(
    repository: Repository, make: Callable[[str], None], told: str
) -> None:
    repository.live("dev")
    base = head(repository)
    make("environments/dev/release.env")
    repository.commit({})
    assert any(
        line.startswith(told)
        for line in repository.judged(str(head(repository).commit), str(base.commit))
    )


def test_all_environments_as_a_link_are_refused(repository: Repository) -> None:
    repository.live("dev")
    base = head(repository)
    Path("environments").rename("elsewhere")
    Path("environments").symlink_to("elsewhere")
    repository.commit({})
    assert repository.judged(str(head(repository).commit), str(base.commit)) == [
        "environments: is a symbolic link; commit a plain file"
    ]


@pytest.mark.parametrize("name", ["Prod", "a b", "ü", "-x", "x\ny", "a" * 41, "..x", "*"])
def test_an_odd_name_is_refused(repository: Repository, name: str) -> None:
    told = repository.refused({f"environments/{name}/policy.yaml": "requires: prod\n"})
    assert len(told) == 1
    assert told[0].endswith("the name of an environment is of a-z, 0-9, - and _, 40 at most")
    assert "\n" not in told[0]


# --- Where it is run, and how Git is configured


def test_a_folder_below_passes_nothing(repository: Repository) -> None:
    """The files are not where they are looked for there: nothing was compared."""
    release = repository.live("dev")
    head = repository.branch(copy(release, "prod"))
    assert repository.judged(head) != []
    with chdir("environments/dev"), pytest.raises(InputError, match="run this at the root"):
        repository.judged(head)


def test_edits_that_are_not_committed_are_told(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.live("dev", "staging")
    repository.commit({"pyproject.toml": "[tool.mlops]\n", ".gitignore": "ignored\n"})

    def told() -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["mlops", "guard"])
        done = CliRunner().invoke(cli.app, ["guard", "--base", "HEAD"])
        return done.exit_code, str(done.exception)

    assert told()[0] == 0
    for name in ("code", "environments/ignored"):
        Path(name).write_text("x", encoding="utf-8")
        assert told()[0] == 0
    for name in (
        "environments/dev/release.env",
        "environments/new/policy.yaml",
        "releases/r8.json",
    ):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text("x", encoding="utf-8")
        assert f"{name}: is not as it is committed" in told()[1]


@pytest.mark.parametrize(
    "encoding", [{"i18n.logOutputEncoding": "latin1"}, {"i18n.commitEncoding": "latin1"}]
)
def test_the_configuration_of_git_changes_nothing(
    repository: Repository, tmp_path: Path, encoding: dict[str, str]
) -> None:
    """Signatures that are shown, encodings of a terminal's, colours, orders and renames."""
    key = tmp_path / "key"
    keygen = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)]
    subprocess.run(keygen, check=True)
    allowed = tmp_path / "allowed"
    allowed.write_text(f"ada@example.com {key.with_suffix('.pub').read_text()}", encoding="utf-8")
    signing = {
        "gpg.format": "ssh",
        "user.signingKey": str(key),
        "gpg.ssh.allowedSignersFile": str(allowed),
        "commit.gpgSign": "true",
        "log.showSignature": "true",
    }
    settings = (
        signing
        | encoding
        | {
            "color.ui": "always",
            "core.quotePath": "true",
            "diff.renames": "copies",
            "diff.noprefix": "true",
            "log.follow": "true",
            "status.showUntrackedFiles": "no",
            "core.abbrev": "40",
        }
    )
    for name, value in settings.items():
        repository.git("config", name, value)
    first = repository.live("dev", "staging")
    second = repository.live("dev")
    assert "Good" in repository.git("log", "-1", "--format=%H")
    assert git("log", "-1", "--format=%s") == "x"
    (waiting,) = repository.refused(copy(first, "prod"))
    assert waiting == "r1 was live in staging for 2 minutes; prod wants 60"
    assert repository.refused(copy(second, "staging")) == []
    proposal = changes.rollback("dev", head(repository), None, "schlägt fehl")
    commit = changes.propose(proposal, head(repository), repository.now)
    assert _is_untouched(commit)


# --- What is added, and what is retired


def test_an_environment_that_is_added_changes_no_rule(repository: Repository) -> None:
    release = repository.live("dev", "staging", "prod")
    for name, requires in {"zzz": "prod", "aaa": "null", "zz": "staging", "a": "dev"}.items():
        file = f"environments/{name}/policy.yaml"
        assert repository.refused({file: f"requires: {requires}\n"}, keep=True) == []
    known = route(head(repository))
    assert [each.name for each in known] == ["dev", "staging", "prod"]
    assert known[-1].release == release
    made = changes.release(repository.evidence(), head(repository))
    assert release_path("dev") in made.files
    # One that is as far as prod does not become the last by a release of its own.
    assert repository.refused(copy(release, "zz"), keep=True) == []
    assert route(head(repository))[-1].name == "prod"
    assert repository.refused(copy(release, "zzz"), keep=True) == []
    assert route(head(repository))[-1].name == "zzz"


@pytest.mark.parametrize("requires", ["null", "dev", "staging"])
def test_a_new_environment_has_no_release_before_its_rules_are_on_main(
    repository: Repository, requires: str
) -> None:
    release = repository.live("dev", "staging")
    policy: dict[str, str | None] = {"environments/new/policy.yaml": f"requires: {requires}\n"}
    told = ["new is new: its rules have to be on main before it has a release"]
    assert repository.refused(policy | copy(release, "new")) == told
    assert repository.refused(policy, keep=True) == []
    assert repository.refused(copy(release, "new")) == []


def test_an_environment_is_retired_as_a_whole_once_it_is_on_hold(repository: Repository) -> None:
    release = repository.live("dev", "staging", "prod")
    whole: dict[str, str | None] = {PROD: None, str(release_path("prod")): None}
    (told,) = repository.refused(whole)
    assert told == (
        "environments/prod: taken away while it is in use; to retire it, `mlops hold prod` first, "
        "and take its folder away once that is merged"
    )
    lifted = POLICIES["prod"].replace("hold: null", "hold: retired")
    assert repository.refused({PROD: lifted}, keep=True) == []
    assert repository.refused({str(release_path("prod")): None}) == [
        "environments/prod/release.env: taken away; promote or roll back instead"
    ]
    repository.live("dev")
    newer = environments(head(repository))["dev"].release
    assert newer is not None
    (told,) = repository.refused(whole | copy(newer, "staging"))
    assert told == "staging and prod change at once: one environment a pull request"
    assert repository.refused(whole, keep=True) == []
    # What comes back under its name begins anew.
    assert repository.refused({PROD: "requires: staging\nsoak_minutes: 9999\n"}, keep=True) == []
    assert repository.refused(copy(release, "prod")) != []


def test_one_that_others_require_is_not_retired(repository: Repository) -> None:
    repository.live("dev", "staging")
    repository.policy("staging", "requires: dev\nhold: retired\n")
    whole: dict[str, str | None] = {
        str(policy_path("staging")): None,
        str(release_path("staging")): None,
    }
    (told,) = repository.refused(whole)
    assert told.startswith(f"{PROD}: requires: there is no environment staging")
    assert repository.refused(whole | {PROD: "requires: dev\n"}) == []


def test_a_branch_from_before_a_first_release_passes(repository: Repository) -> None:
    """And one from before an environment was there, or in quarantine, too."""
    branch = repository.branch({"note": "new"})
    release = repository.live("dev", "staging")
    repository.commit({"environments/new/policy.yaml": "requires: prod\n"})
    repository.commit({QUARANTINE: f"{release.id} bad\n"})
    assert repository.judged(branch) == []
    assert repository.judged(repository.merged(branch)) == []


# --- Quarantine


def test_quarantine_is_for_good(repository: Repository) -> None:
    for _ in range(2):
        repository.live("dev")
    one, two = repository.ids.values()
    repository.commit({QUARANTINE: f"{one} bad\n{two} worse\n"})
    told = "releases/quarantine.txt: r2 is taken out, and has to stay: make another release instead"
    assert repository.refused({QUARANTINE: f"{one} bad\n"}) == [told]
    assert repository.refused({QUARANTINE: f"{one} bad\n#{two} worse\n"}) == [told]
    assert repository.refused({QUARANTINE: f"{two} worse, see issue 7\n{one} bad\n"}) == []
    assert repository.refused({QUARANTINE: None})[0].startswith("releases/quarantine.txt: r")
    assert repository.refused({QUARANTINE: f"{one} bad\n{two} worse\nR3 x\n"}) == [
        "releases/quarantine.txt line 3: 'R3 x' begins with no id"
    ]


@pytest.mark.parametrize("there", ["r1 bad", "r1 bad\r\n", "# those that are bad", "\n\n", "r1"])
def test_what_is_put_into_quarantine_is_there(repository: Repository, there: str) -> None:
    """Also where an editor left out the last line's end."""
    repository.live("dev")
    repository.commit({QUARANTINE: there})
    for number in (2, 3):
        repository.live("dev")
        known = repository.ids[f"r{number}"]
        merge(repository, changes.quarantine(known, head(repository), "wrong"))
    found = quarantined(head(repository))
    assert [found[repository.ids[name]] for name in ("r2", "r3")] == ["wrong", "wrong"]
    assert ("r1" in found) == there.startswith("r1")


def test_status_says_what_is_held_and_what_must_not_run(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.live("dev", "staging")
    repository.commit({"pyproject.toml": "[tool.mlops]\n"})

    def told(*options: str) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["mlops", "status"])
        done = CliRunner().invoke(cli.app, ["status", "--base", "HEAD", *options])
        code = (
            done.exception.exit_code if isinstance(done.exception, CheckError) else done.exit_code
        )
        return code, " ".join(done.output.split())

    monkeypatch.setattr("mlops.release.status.drift", lambda _: [])
    monkeypatch.setattr("mlops.release.status.target", lambda *_: None)
    assert told("--check")[0] == 0
    repository.policy("dev", "requires: null\nhold: incident 7\n")
    assert told()[0] == 0
    code, said = told("--check")
    assert code == 3
    assert said.startswith("✗ dev: on hold: incident 7 → mlops unhold dev ")
    repository.policy("dev", POLICIES["dev"])
    (known,) = repository.ids.values()
    repository.commit({QUARANTINE: f"{known} it leaks\n"})
    code, said = told("--check")
    assert code == 3
    assert f"✗ staging: {known} is in quarantine: it leaks → mlops rollback staging" in said
    repository.commit({QUARANTINE: "# none\n"})
    repository.policy("dev", "requires: []\n")
    code, said = told("--check")
    assert code == 3
    assert "dev: environments/dev/policy.yaml: requires: " in said
    assert [each.needs_somebody for each in status(head(repository), repository.now)] == [
        *(True, False, False)
    ]
