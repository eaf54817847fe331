"""Sign-off: whose approval of which commit counts, who is asked, and what history tells of it."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from engine.released import POLICIES, Repository, copy

from mlops.errors import InputError, ProjectError
from mlops.git.revision import Revision
from mlops.github.api import Api
from mlops.github.reviews import Pull, Review, pull_request
from mlops.release import sign_off
from mlops.release.audit import audit, period
from mlops.release.hop import Hop
from mlops.release.sign_off import NOTES, Asked, approvals, asked, record, signed, unsigned
from mlops.release.state import environments, policy_path
from mlops.release.trace import trace
from mlops.report.notes import notes
from mlops.statement import parse_statement

HEAD, OLD = "a" * 40, "b" * 40
API = Api("example-org/made")
NAMED = {"business": ["ada", "bob"], "technical": ["grace"]}
STATEMENT = json.dumps({"approvers": {role: [f"@{w}" for w in who] for role, who in NAMED.items()}})


def change(**approvers: list[str]) -> Asked:
    known = {"business": ["ada", "bob"], "technical": ["grace"], **approvers}
    return Asked("prod", "r1", known)  # type: ignore[arg-type]


def review(
    login: str, state: str = "APPROVED", commit: str = HEAD, hour: int = 9, **_: object
) -> Review:
    return Review(login, state, datetime(2030, 1, 1, hour, tzinfo=UTC), commit)


def pull(*reviews: Review, authors: frozenset[str] = frozenset({"bot"}), head: str = HEAD) -> Pull:
    return Pull(12, head, None, authors, [*reviews])


WAITS = "prod: aaaaaaa waits for the approval of "


@pytest.mark.parametrize(
    ("reviews", "line"),
    [
        ([], f"{WAITS}business (@ada or @bob) and technical (@grace)"),
        ([review("ada")], f"{WAITS}technical (@grace)"),
        ([review("grace")], f"{WAITS}business (@ada or @bob)"),
        ([review("mallory"), review("ada")], f"{WAITS}technical (@grace)"),
        (
            [review("bob"), review("grace", commit=OLD)],
            f"{WAITS}technical (@grace); @grace approved bbbbbbb, which is not its last commit",
        ),
        (
            [review("bob"), review("grace", "CHANGES_REQUESTED")],
            f"{WAITS}technical (@grace); @grace wants changes",
        ),
        (
            [review("bob"), review("grace", "DISMISSED")],
            f"{WAITS}technical (@grace); @grace no longer approves it",
        ),
    ],
)
def test_each_role_signs_for_the_last_commit(reviews: list[Review], line: str) -> None:
    assert unsigned(change(), pull(*reviews)) == line


def test_one_of_each_role_is_enough() -> None:
    given = pull(review("Grace"), review("ADA"), review("bob", "CHANGES_REQUESTED"))
    assert unsigned(change(), given) is None
    assert [(each.role, each.login) for each in approvals(change(), given)] == [
        ("business", "ADA"),
        ("technical", "Grace"),
    ]


def test_who_wrote_it_does_not_sign_for_it() -> None:
    given = pull(review("ada"), review("grace"), authors=frozenset({"grace"}))
    assert unsigned(change(), given) == f"{WAITS}technical (@grace); @grace is an author of it"


def test_nobody_signs_for_two_roles() -> None:
    both = change(business=["ada"], technical=["ada", "grace"])
    assert unsigned(both, pull(review("ada"))) == (
        f"{WAITS}technical (@ada or @grace); @ada signed for business, and nobody signs for two"
    )
    assert unsigned(both, pull(review("ada"), review("grace"))) is None
    # Whoever comes first: ada counts for what only she may sign.
    assert unsigned(change(business=["grace", "ada"]), pull(review("grace"), review("ada"))) is None


def test_where_nobody_is_named_a_line_says_so() -> None:
    assert unsigned(change(business=[]), pull(review("grace"))) == (
        "prod: model.yaml: approvers: names nobody who signs for business: "
        "mlops/docs/governance.md#sign-off"
    )


ANSWER: dict[str, Any] = {
    "pulls/12": {"head": {"sha": HEAD}, "merged_at": None, "user": {"login": "mlops[bot]"}},
    "pulls/12/commits": [
        {"author": {"login": "Ada"}, "committer": {"login": "web-flow"}},
        {"author": None, "committer": None},  # an address that GitHub does not know
    ],
    "pulls/12/reviews": [
        {"user": {"login": "Bob"}, "state": state, "commit_id": HEAD, "submitted_at": when}
        for state, when in [
            ("CHANGES_REQUESTED", "2030-01-01T08:00:00Z"),
            ("APPROVED", "2030-01-01T09:00:00Z"),
            ("COMMENTED", "2030-01-01T10:00:00Z"),
            ("DISMISSED", "2030-01-01T12:00:00Z"),
        ]
    ]
    + [{"user": None, "state": "APPROVED", "commit_id": HEAD, "submitted_at": None}],
}


def answering(monkeypatch: pytest.MonkeyPatch, **about: Any) -> None:
    answer = ANSWER | {"pulls/12": ANSWER["pulls/12"] | about}
    for name in ("get", "all"):
        monkeypatch.setattr(Api, name, lambda api, path: answer[path])


def test_the_last_opinion_counts_and_no_comment_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch)
    found = pull_request(12, API)
    assert found.authors == {"mlops[bot]", "ada"}
    assert [(each.login, each.state) for each in found.reviews] == [("Bob", "DISMISSED")]


def test_what_is_said_after_the_merge_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, merged_at="2030-01-01T11:00:00Z")
    assert [each.state for each in pull_request(12, API).reviews] == ["APPROVED"]
    answering(monkeypatch, merged_at="2030-01-01T08:30:00Z")
    assert [each.state for each in pull_request(12, API).reviews] == ["CHANGES_REQUESTED"]


def test_another_form_of_answer_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, head=None)
    with pytest.raises(ProjectError, match=r"^GitHub's answer for pulls/12 is of another form"):
        pull_request(12, API)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("approvers: {business: ['@org/team']}", "no workflow may look into a team"),
        ("approvers: {business: ['Ada Lovelace']}", "'Ada Lovelace' is no login of GitHub's"),
        ("approvers: {business: [ada]}", "'ada' is no login of GitHub's, as @ada"),
        ("approvers: {business: ['@a\"><b>']}", "is no login"),
        ("approvers: {business: ['@ada\n@bob']}", "is no login"),
        ("approvers: {business: []}", "approvers.business"),
        ("approvers: {legal: ['@ada']}", "approvers.legal"),
        ("approvers: ['@ada']", "approvers"),
    ],
)
def test_approvers_are_logins_by_role(text: str, told: str) -> None:
    with pytest.raises(InputError) as refused:
        parse_statement(text)
    (line,) = str(refused.value).splitlines()
    assert told in line


def test_a_policy_asks_for_roles_that_there_are(repository: Repository) -> None:
    repository.policy("prod", f"{POLICIES['prod']}approvals: [legal]\n")
    (problem,) = environments(head(repository))["prod"].problems
    assert "approvals.0" in problem


# --- what changes ask for, and what history tells ---


def head(repository: Repository) -> Revision:
    return Revision(repository.git("rev-parse", "HEAD"))


@pytest.fixture
def waiting(repository: Repository) -> Repository:
    """A release in staging; prod asks business and technical owners, whom model.yaml names."""
    repository.policy("prod", f"{POLICIES['prod']}approvals: [business, technical]\n")
    repository.commit({"model.yaml": STATEMENT})
    repository.live("dev", "staging")
    repository.now += timedelta(hours=2)
    return repository


def proposed(repository: Repository, **further: str) -> tuple[Revision, Revision]:
    """The commit of a branch that gives prod the release, and main."""
    (release,) = (
        each.release for each in environments(head(repository)).values() if each.name == "staging"
    )
    assert release is not None
    main = head(repository)
    repository.git("checkout", "--quiet", "-b", "promote")
    commit = repository.commit({**copy(release, "prod"), **further})
    repository.git("checkout", "--quiet", "main")
    return Revision(commit), main


def merged(repository: Repository, commit: Revision) -> Revision:
    """Main with the branch as pull request 12."""
    repository.now += timedelta(minutes=1)
    subject = "Merge pull request #12 from example-org/promote"
    repository.git("merge", "--quiet", "--no-ff", "--message", subject, str(commit.commit))
    return head(repository)


def test_a_change_names_neither_its_approvers_nor_that_there_are_none(waiting: Repository) -> None:
    others = json.dumps({"approvers": {"business": ["@mallory"], "technical": ["@eve"]}})
    policy = {str(policy_path("prod")): POLICIES["prod"]}
    commit, main = proposed(waiting, **{"model.yaml": others}, **policy)
    (found,) = asked(main, commit)
    assert (found.environment, found.approvers) == ("prod", NAMED)


def test_environments_that_ask_nobody_and_ways_back_wait_for_nobody(waiting: Repository) -> None:
    commit, main = proposed(waiting)
    merged(waiting, commit)
    first = environments(head(waiting))["prod"].release
    assert first is not None
    waiting.live("dev", "staging", "prod")
    waiting.git("checkout", "--quiet", "-b", "back")
    back = Revision(waiting.commit(copy(first, "prod")))
    assert asked(Revision(waiting.git("rev-parse", "main")), back) == []
    assert asked(Revision(f"{main.commit}^"), main) == [], "which came to staging"


def answers(monkeypatch: pytest.MonkeyPatch, found: Pull | Exception) -> None:
    def ask(number: int, api: Api) -> Pull:
        assert number == 12
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(sign_off, "pull_request", ask)


def steps(repository: Repository, api: Api | None = API) -> list[tuple[str, str, str]]:
    found = signed("prod", head(repository), head(repository), api)
    return [(hop.what.removeprefix("signed for "), hop.state, hop.why or "") for hop in found]


Story = Callable[..., tuple[Repository, Pull]]


@pytest.fixture
def story(waiting: Repository, monkeypatch: pytest.MonkeyPatch) -> Story:
    """Prod has the release, which these people approved; a note says so."""

    def tell(*logins: str, note: bool = True) -> tuple[Repository, Pull]:
        commit, _ = proposed(waiting)
        tip = str(commit.commit)
        found = pull(*(review(each, commit=tip) for each in logins), head=tip)
        answers(monkeypatch, found)
        merged(waiting, commit)
        if note:
            (line,) = record(head(waiting), API)
            assert line.startswith("prod has ")
            assert [*record(head(waiting), API)] == [], "it is noted once"
        return waiting, found

    return tell


def test_who_signed_is_noted_and_told(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    repository, found = story("ada", "grace")
    assert steps(repository) == [("business", "ok", ""), ("technical", "ok", "")]
    (hop, _) = signed("prod", head(repository), head(repository), API)
    assert hop.value == f"@ada on 2030-01-01 09:00 UTC, commit {found.head[:12]}"
    assert hop.landed is not None
    assert hop.landed.pull == 12
    # Where GitHub is out of reach, the note still tells, and proves nothing.
    why = "a note of Git's says so; "
    for api, reason in ((None, "GitHub is not asked from here"), (API, "GitHub was not asked: no")):
        answers(monkeypatch, ProjectError("no network"))
        for _, state, told in steps(repository, api):
            assert state == "not checked"
            assert told.startswith(why + reason)


def test_who_did_not_sign_is_told(story: Story) -> None:
    repository, _ = story("ada")
    assert steps(repository) == [
        ("business", "ok", ""),
        ("technical", "wrong", "pull request 12 has no approval of @grace that counts"),
    ]
    offline = signed("prod", head(repository), head(repository), None)
    assert [hop.value.partition(" on ")[0] for hop in offline] == ["@ada", "nobody"]


def test_without_a_note_github_still_proves_it(story: Story) -> None:
    repository, _ = story("ada", "grace", note=False)
    assert {state for _, state, _ in steps(repository)} == {"ok"}
    for _, state, why in steps(repository, None):
        assert state == "not checked"

        assert why.startswith("no note of Git's says who, which may be to come: git fetch origin ")


def noted(repository: Repository, edit: Callable[[dict[str, Any]], object]) -> None:
    told = json.loads(repository.git("notes", f"--ref={NOTES}", "show", "HEAD"))
    edit(told)
    repository.git(
        "notes", f"--ref={NOTES}", "add", "--force", "--message", json.dumps(told), "HEAD"
    )


@pytest.mark.parametrize(
    ("edit", "online", "offline"),
    [
        (
            lambda told: told["approvals"][0].update(login="bob"),
            "the note of its commit says @bob on ",
            "",
        ),
        (
            lambda told: told["approvals"][0].update(login="mallory"),
            "the note of its commit says @mallory on ",
            "a note says so, and model.yaml named @ada or @bob",
        ),
        (
            lambda told: told["approvals"][0].update(commit=OLD),
            "the note has approvals of other commits",
            "the note has approvals of other commits",
        ),
        (lambda told: told.update(head=OLD), "the note is of bbbb", "the note is of bbbb"),
        (
            lambda told: told.update(release="another"),
            "the note of its commit is of another in prod",
            "the note of its commit is of another in prod",
        ),
        (
            lambda told: told["approvals"][0].update(login="ada\x1b[2J"),
            "approvals.0.login: string should match pattern",
            "approvals.0.login: string should match pattern",
        ),
        (lambda told: told.pop("head"), "head: this key is missing", "head: this key is missing"),
    ],
)
def test_a_note_that_somebody_edited_is_wrong(
    story: Story, edit: Callable[[dict[str, Any]], object], online: str, offline: str
) -> None:
    repository, _ = story("ada", "grace")
    noted(repository, edit)
    for api, told in ((API, online), (None, offline)):
        first, *_ = steps(repository, api)
        assert "\x1b" not in str([*signed("prod", head(repository), head(repository), api)])
        assert first[1] == ("wrong" if told else "not checked")
        assert told in first[2]


def test_a_pull_request_of_another_commit_is_wrong(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository, _ = story("ada", "grace", note=False)
    answers(monkeypatch, pull(review("ada"), review("grace")))
    for _, state, why in steps(repository):
        assert state == "wrong"
        assert why.startswith("the pull request is of aaaaaaaaaaaa, and ")


def signatures(hops: list[Hop]) -> list[tuple[str, str]]:
    return [(hop.what, hop.state) for hop in hops if hop.what.startswith("signed")]


def test_audit_and_trace_say_who_signed(story: Story) -> None:
    repository, _ = story("ada", "grace")
    now = repository.now + timedelta(minutes=5)
    told = [("signed for business", "not checked"), ("signed for technical", "not checked")]
    found = audit("prod", period(f"{now:%Y-%m-%d}", now), head(repository), now)
    assert signatures(found.answering[0].came) == told
    config = "LISTEN=127.0.0.1:1\nREPLICAS=1\nCPUS=1\nMEMORY=512M\n"
    repository.commit({f"environments/{name}/config.env": config for name in ("staging", "prod")})
    assert signatures([*trace("prod", head(repository))]) == told
    assert signatures([*trace("staging", head(repository))]) == []


def test_the_pull_request_says_who_is_to_sign(waiting: Repository) -> None:
    main = head(waiting)
    evidence = waiting.evidence()
    text = notes(environments(main)["prod"], evidence, main, waiting.now)
    assert "- business: one of @ada, @bob\n- technical: one of @grace\n" in text
    waiting.commit({"model.yaml": None})
    text = notes(environments(main)["prod"], evidence, head(waiting), waiting.now)
    assert "- business: **nobody yet**: name them in `model.yaml`, `approvers`\n" in text
    assert "Signed" not in notes(environments(main)["dev"], evidence, main, waiting.now)
