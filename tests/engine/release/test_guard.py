"""The guard: each forbidden change of an environment is refused with its reason, no other is."""

from collections.abc import Callable
from contextlib import chdir
from pathlib import Path

import pytest
from engine.released import Repository, copy

from mlops.errors import InputError
from mlops.git.revision import Revision
from mlops.release.evidence import evidence_path
from mlops.release.guard import refusals


def test_a_release_goes_from_one_environment_to_the_next(repository: Repository) -> None:
    evidence = repository.evidence()
    assert repository.refused(repository.files(evidence, "dev"), keep=True) == []
    assert repository.refused(copy(evidence.release, "staging"), keep=True) == []
    repository.commit({}, wait=59)
    assert repository.refused(copy(evidence.release, "prod")) == [
        "r1 was live in staging for 59 minutes; prod wants 60"
    ]
    repository.commit({})
    assert repository.refused(copy(evidence.release, "prod"), keep=True) == []


def test_an_environment_cannot_be_left_out(repository: Repository) -> None:
    release = repository.live("dev")
    assert repository.refused(copy(release, "prod")) == [
        "r1 was never live in staging: promote it there first"
    ]


def test_two_environments_at_once_are_refused(repository: Repository) -> None:
    repository.live("dev")
    second = repository.live("dev")
    (told, *_) = repository.refused(copy(second, "staging", "prod"))
    assert told == "staging and prod change at once: one environment a pull request"


def test_a_release_edited_by_hand_is_refused(repository: Repository) -> None:
    release = repository.live("dev")
    text = release.text().replace(f"MODEL_MD5={release.model_md5}", f"MODEL_MD5={'f' * 32}")
    assert repository.refused({"environments/staging/release.env": text}) == [
        "environments/staging/release.env: not what releases/r1.json says; "
        "copy the file, do not edit it"
    ]


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (lambda text: text.replace("RELEASE_ID=", "RELEASE="), "line 1: 'RELEASE=r1' is none of"),
        (lambda text: text.replace("GIT_SHA=", "GIT_SHA=x"), "line 2: GIT_SHA='x"),
        (lambda text: text + "GIT_SHA=1\n", "line 7: GIT_SHA is listed twice"),
        (lambda text: "\n".join(text.splitlines()[:-1]) + "\n", "MODEL_MD5 missing"),
        (lambda text: "\n".join(reversed(text.splitlines())) + "\n", "not as `mlops` writes it"),
    ],
)
def test_a_file_that_is_no_release_is_told_with_its_line(
    repository: Repository, edit: Callable[[str], str], told: str
) -> None:
    release = repository.live("dev")
    (line,) = repository.refused({"environments/staging/release.env": edit(release.text())})
    assert line.startswith("environments/staging/release.env")
    assert told in line


def test_evidence_must_be_there_and_stay_as_it_is(repository: Repository) -> None:
    evidence = repository.evidence()
    assert repository.refused(copy(evidence.release, "dev")) == [
        "environments/dev/release.env: there is no releases/r1.json"
    ]
    repository.commit(repository.files(evidence, "dev"))
    better = evidence.model_copy(update={"metrics": {"roc_auc": 0.99}})
    told = ["releases/r1.json: evidence is written once and never changed"]
    assert repository.refused(repository.files(better)) == told
    assert repository.refused({str(evidence_path(evidence.id)): None}) == told
    assert repository.refused({"releases/r9.json": "{}"})[0].startswith("releases/r9.json: id:")


@pytest.mark.parametrize(
    ("policy", "told"),
    [
        (
            "requires: dev\nhold: incident 7\n",
            "staging is on hold: incident 7; `mlops unhold staging`",
        ),
        (
            "requires: dev\nfreeze: [{start: 2029-12-24, end: 2030-02-01, reason: holidays}]\n",
            "staging is frozen until 2030-02-01 00:00: holidays",
        ),
        ("requires: dev\ngates: {roc_auc: {min: 0.8}}\n", "staging: roc_auc: 0.7 is below 0.8"),
        ("requires: dev\ngates: {f1: {min: 0.8}}\n", "staging: f1: has no value"),
        ("requires: dev\nsoak_minutes: 500\n", "r1 was live in dev for"),
    ],
)
def test_a_policy_holds_a_release_back(repository: Repository, policy: str, told: str) -> None:
    release = repository.live("dev")
    assert repository.refused(copy(release, "staging")) == []
    repository.policy("staging", policy)
    (line,) = repository.refused(copy(release, "staging"))
    assert line.startswith(told)


def test_a_hold_is_not_lifted_by_what_it_holds_back(repository: Repository) -> None:
    release = repository.live("dev")
    repository.policy("staging", "requires: dev\nhold: wait\n")
    lifted: dict[str, str | None] = {"environments/staging/policy.yaml": "requires: dev\n"}
    assert repository.refused(copy(release, "staging") | lifted) != []
    assert repository.refused(lifted) == []


def test_a_worse_model_is_refused(repository: Repository) -> None:
    release = repository.live("dev", verdict="worse", champion="r0")
    assert repository.refused(copy(release, "staging")) == [
        "r1 is worse than r0, which it was compared with"
    ]


def test_a_release_in_quarantine_goes_nowhere(repository: Repository) -> None:
    first = repository.live("dev", "staging")
    second = repository.live("dev", "staging")
    banned: dict[str, str | None] = {"releases/quarantine.txt": f"{first.id} it leaks\n"}
    told = ["environments/staging/release.env: r1 is in quarantine: it leaks"]
    assert repository.refused(copy(first, "staging") | banned) == told
    repository.commit(banned)
    assert repository.refused(copy(first, "staging")) == told
    assert repository.refused(copy(second, "prod")) == [
        "r2 was live in staging for 1 minutes; prod wants 60"
    ]


def test_a_way_back_is_always_open(repository: Repository) -> None:
    first = repository.live("dev", "staging")
    repository.live("dev", "staging")
    repository.policy("staging", "requires: dev\nhold: incident\nsoak_minutes: 999\n")
    assert repository.refused(copy(first, "staging")) == []


def test_the_way_forth_again_is_not(repository: Repository) -> None:
    """A hold keeps a release out that was rolled back from, though the environment had it."""
    first = repository.live("dev", "staging")
    second = repository.live("dev", "staging")
    repository.commit(copy(first, "staging"))
    assert repository.refused(copy(second, "staging")) == []
    repository.policy("staging", "requires: dev\nhold: incident\n")
    (told,) = repository.refused(copy(second, "staging"))
    assert told.startswith("staging is on hold: incident")


def test_an_environment_is_not_emptied(repository: Repository) -> None:
    repository.live("dev")
    assert repository.refused({"environments/dev/release.env": None}) == [
        "environments/dev/release.env: taken away; promote or roll back instead"
    ]


def test_only_what_is_merged_is_released(repository: Repository) -> None:
    main = repository.head
    evidence = repository.evidence()
    repository.git("reset", "--quiet", "--hard", main)
    (told,) = repository.refused(repository.files(evidence, "dev"))
    assert told.startswith(
        f"releases/r1.json: git_sha: it says {evidence.git_sha}, which is not merg"
    )


def test_a_change_is_held_against_what_main_is_now(repository: Repository) -> None:
    """Not against what it was when the branch was made."""
    release = repository.live("dev")
    fork = repository.head
    head = repository.commit(copy(release, "staging"))
    repository.git("reset", "--quiet", "--hard", fork)
    repository.policy("staging", "requires: dev\nhold: since then\n")
    base = repository.head
    (told,) = refusals(Revision(base), Revision(head), repository.now)
    assert told.startswith("staging is on hold: since then")


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        (
            "dev",
            "requires: null\nsoak: 1\n",
            "environments/dev/policy.yaml: soak: unknown key; check its spelling",
        ),
        (
            "dev",
            "requires: prod\n",
            "environments: dev, prod, staging require each other in a circle",
        ),
        (
            "prod",
            "requires: qa\n",
            "environments/prod/policy.yaml: requires: there is no environment qa",
        ),
        (
            "prod",
            "requires: dev\nfreeze: [{start: 2030-01-02, end: 2030-01-01, reason: x}]",
            "`end` must be after",
        ),
    ],
)
def test_a_policy_that_makes_no_sense_is_told(
    repository: Repository, name: str, text: str, told: str
) -> None:
    (line,) = repository.refused({f"environments/{name}/policy.yaml": text})
    assert told in line


def test_a_history_that_is_cut_off_is_told(repository: Repository, tmp_path: Path) -> None:
    release = repository.live("dev", "staging")
    head = repository.commit(copy(release, "prod"))
    repository.git(
        "clone", "--quiet", "--depth=2", f"file://{Path.cwd()}", str(tmp_path / "shallow")
    )
    with chdir(tmp_path / "shallow"), pytest.raises(InputError, match="git fetch --unshallow"):
        refusals(Revision(repository.git("rev-parse", "HEAD~1")), Revision(head), repository.now)
