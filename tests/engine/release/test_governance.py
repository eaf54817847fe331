"""What an environment wants model.yaml to say: without it no release comes, and `status` tells."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from engine.released import POLICIES, Repository, copy
from engine.workspace import root
from ruamel.yaml import YAML

from mlops.git.revision import Revision
from mlops.monitoring import run
from mlops.monitoring.account import Account
from mlops.monitoring.alarms import of_reviews
from mlops.monitoring.result import Feedback, Result, WindowResult
from mlops.release import governance
from mlops.release.state import Policy, Release, environments, policy_path
from mlops.release.status import Status, status
from mlops.report import monitoring
from mlops.report.notes import notes
from mlops.statement import Statement, parse_statement

SOURCE = "data/example/flights.parquet"
RUNBOOK = "mlops/docs/on-call.md"
WANTED = {"dev": "[]", "staging": "[problem, goal, owner]", "prod": "all"}

Edit = Callable[[dict[str, object]], object]


@pytest.fixture
def governed(repository: Repository) -> Repository:
    """The project's own statement and what it names, with the governance of its environments."""
    policies = {
        str(policy_path(name)): f"{POLICIES[name]}governance: {wanted}\n".replace("60", "0")
        for name, wanted in WANTED.items()
    }
    files = {"params.yaml": f"source: {{path: {SOURCE}}}\n", RUNBOOK: "Go back first.\n"}
    repository.commit({**policies, **files})
    state(repository)
    return repository


def state(repository: Repository, edit: Edit | None = None, review: str = "2030-06-01") -> None:
    """Commit model.yaml, edited, with reviews that are due on a day."""
    yaml = YAML(typ="safe", pure=True)
    said = yaml.load(root() / "model.yaml")
    for risk in said["risks"].values():
        risk["review"] = datetime.fromisoformat(review).date()
    if edit is not None:
        edit(said)
    with Path("model.yaml").open("w") as stream:
        yaml.dump(said, stream)
    repository.commit({})


def refused(repository: Repository, release: Release, environment: str) -> list[str]:
    return repository.refused(copy(release, environment))


def test_what_is_said_in_full_goes_to_prod(governed: Repository) -> None:
    release = governed.live("dev")
    assert governed.refused(copy(release, "staging"), keep=True) == []
    assert governed.refused(copy(release, "prod")) == []


def test_dev_wants_nothing_staging_a_purpose_and_an_owner_prod_all(governed: Repository) -> None:
    governed.commit({"model.yaml": None})
    evidence = governed.evidence()
    assert governed.refused(governed.files(evidence, "dev"), keep=True) == []
    assert refused(governed, evidence.release, "staging") == [
        f"staging: model.yaml: {key}: has no answer yet" for key in ("problem", "goal", "owner")
    ]
    governed.commit(copy(evidence.release, "staging"))
    assert refused(governed, evidence.release, "prod") == [
        f"prod: model.yaml: {key}: has no answer yet" for key in governance.EVERYTHING
    ]


@pytest.mark.parametrize("key", governance.EVERYTHING)
def test_prod_wants_each_key(governed: Repository, key: str) -> None:
    release = governed.live("dev", "staging")
    state(governed, lambda said: said.pop(key))
    assert refused(governed, release, "prod") == [f"prod: model.yaml: {key}: has no answer yet"]


def test_a_review_that_is_overdue_stops_releases_until_it_is_done(governed: Repository) -> None:
    release = governed.live("dev", "staging")
    state(governed, review="2030-01-01")
    assert refused(governed, release, "prod") == []  # it is due today
    governed.commit({}, wait=24 * 60)
    told = refused(governed, release, "prod")
    assert len(told) == 4
    assert "prod: model.yaml: risks.decay: its review was due on 2030-01-01; look at it" in told[2]
    assert refused(governed, release, "staging") == []  # which does not ask for risks
    state(governed, review="2030-07-01")
    assert refused(governed, release, "prod") == []


@pytest.mark.parametrize(("review", "lines"), [("2031-01-01", 0), ("2031-01-04", 4)])
def test_a_review_that_nobody_will_do_is_none(
    governed: Repository, review: str, lines: int
) -> None:
    release = governed.live("dev", "staging")
    state(governed, review=review)
    told = refused(governed, release, "prod")
    assert len(told) == lines
    assert all("is more than a year away; set an earlier date" in line for line in told)
    state(governed, review="9999-12-31")
    assert len(refused(governed, release, "prod")) == 4


def test_going_back_waits_for_no_review(governed: Repository) -> None:
    first = governed.live("dev", "staging", "prod")
    governed.live("dev", "staging", "prod")
    governed.commit({"model.yaml": None})
    assert refused(governed, first, "prod") == []


def test_a_change_does_not_vouch_for_itself(governed: Repository) -> None:
    """As policies, what is said counts as it is on main."""
    release = governed.live("dev", "staging")
    text = Path("model.yaml").read_text()
    state(governed, lambda said: said.pop("owner"))
    files = copy(release, "prod") | {"model.yaml": text}
    assert governed.refused(files) == ["prod: model.yaml: owner: has no answer yet"]
    governed.commit({"model.yaml": text})
    assert refused(governed, release, "prod") == []  # of a commit before it was said again


@pytest.mark.parametrize(
    ("params", "told"),
    [
        ("source: {path: data/own.csv}", "model.yaml: sources: no answer for data/own.csv"),
        (
            f"source: [{{path: {SOURCE}}}, {{path: b.sql}}]",
            "no answer for b.sql, which params",
        ),
        (f"source: {{path: {SOURCE}, joins: {{a: {{path: c}}}}}}", "no answer for c, which"),
        ("source: {}", "params.yaml: source: names none"),
        ("- 1", "params.yaml: source: names none"),
        ("source: [", "params.yaml: cannot be read: "),
    ],
)
def test_what_the_release_was_made_from_has_terms(
    governed: Repository, params: str, told: str
) -> None:
    governed.commit({"params.yaml": f"{params}\n"})
    release = governed.live("dev", "staging")
    governed.commit({"params.yaml": f"source: {{path: {SOURCE}}}\n"})  # too late for it
    (line,) = refused(governed, release, "prod")
    assert told in line


def test_a_runbook_is_there_or_elsewhere(governed: Repository) -> None:
    release = governed.live("dev", "staging")
    governed.commit({RUNBOOK: None})
    assert refused(governed, release, "prod") == [
        f"prod: model.yaml: runbook: there is no {RUNBOOK}"
    ]
    state(governed, lambda said: said.update(runbook="https://wiki.example.com/runbook"))
    assert refused(governed, release, "prod") == []


def test_a_statement_that_cannot_be_read_is_told(governed: Repository) -> None:
    release = governed.live("dev", "staging")
    governed.commit({"model.yaml": "owner: TODO\nownr: Ada\n"})
    first, second = refused(governed, release, "prod")
    assert first.startswith("prod: model.yaml: owner: 'TODO' says nothing")
    assert second == "prod: model.yaml: ownr: unknown key; check its spelling"


@pytest.mark.parametrize(
    ("wanted", "told"),
    [("some", "give `all`, or a list"), ("[ownr]", "ownr: no key of model.yaml; it has problem")],
)
def test_a_policy_that_wants_what_is_not_there_is_told(
    governed: Repository, wanted: str, told: str
) -> None:
    policy = f"requires: staging\ngovernance: {wanted}\n"
    (line,) = governed.refused({str(policy_path("prod")): policy})
    assert line.startswith(f"environments/prod/policy.yaml: governance: {told}")


def test_a_policy_of_before_wants_nothing() -> None:
    assert Policy.model_validate({"requires": None}).governance == []
    assert (
        governance.lacking([], Revision("0" * 40), Revision("0" * 40), datetime.now(UTC).date())
        == []
    )


def test_the_projects_environments_want_what_the_manual_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(root())
    wanted = {name: each.policy.governance for name, each in environments(Revision(None)).items()}
    assert wanted["dev"] == []
    assert wanted["staging"] == ["problem", "goal", "owner"]
    assert wanted["prod"] == governance.EVERYTHING
    assert {*Statement.model_fields} - {*wanted["prod"]} == {"callers", "approvers"}


def test_the_status_says_what_is_missing_and_where(governed: Repository) -> None:
    """Before there is any release; and of one that runs, somebody has to look."""

    def found() -> list[Status]:
        head = Revision(governed.head)
        return [replace(each, drift=[]) for each in status(head, governed.now)]  # nothing runs here

    state(governed, lambda said: (said.pop("owner"), said.pop("risks")))
    owner, risks = (f"model.yaml: {key}: has no answer yet" for key in ("owner", "risks"))
    assert [each.unsaid for each in found()] == [[], [owner], [owner, risks]]
    assert not any(each.needs_somebody for each in found())
    state(governed)
    governed.live("dev", "staging", "prod")
    assert [each.unsaid for each in found()] == [[], [], []]
    assert not any(each.needs_somebody for each in found())
    state(governed, review="2029-12-31")
    assert [len(each.unsaid) for each in found()] == [0, 0, 4]
    assert [each.needs_somebody for each in found()] == [False, False, True]


def test_a_promotion_says_what_it_changes(governed: Repository) -> None:
    """Against what runs there: metrics, parameters, groups, commits, risks; names are no markup."""
    groups = {"sex": {"disparities": {"error": {"difference": {"value": 0.0625}}}}}
    governed.live("dev", "staging", "prod")
    source = f"source: {{path: {SOURCE}}}\n"
    governed.commit({"params.yaml": f"{source}train: {{seed: 7}}\n"})
    governed.commit({"reports/fairness.json": json.dumps(groups)})
    governed.git("commit", "--quiet", "--allow-empty", "--message", "Mend <b>it</b> | @all")
    to = governed.evidence(
        metrics={"roc_auc": 0.75},
        verdict="better",
        files={"reports/intervals.json": json.dumps({"roc_auc": {"low": 0.71, "high": 0.79}})},
    )
    governed.commit(governed.files(to, "dev"))
    governed.commit(copy(to.release, "staging"))
    head = Revision(governed.head)
    told = governed.short(notes(environments(head)["prod"], to, head, governed.now))
    for line in (
        "It replaces <code>r1</code>, trained on the same data.",
        "Against <code>r1</code> on the same test rows, when it was made: **better**.",
        "| roc_auc | 0.700 | 0.750 (0.710 to 0.790) |",
        "| error by sex | – | 0.0625 |",
        "| <code>train.seed</code> | – | <code>7</code> |",
        "- [x] it was live in staging",
        "- [x] `model.yaml` says what prod asks for, and no review is overdue",
        "example.com: it does what it is for, and nothing that it is not for",
    ):
        assert line in told, (line, told)
    assert "<b>" not in told
    assert "@" not in told  # which would call people
    assert "| wrong predictions | 3 × 2 = 6 | An answer is an offer" in told
    assert told.index("decay") < told.index("wrong predictions") < told.index("outage")
    assert "overdue**" not in told
    first = governed.short(notes(environments(head)["staging"], to, head, governed.now))
    assert "It is the very same model" in first


def test_a_first_release_has_notes_too(governed: Repository) -> None:
    evidence = governed.evidence()
    governed.commit({"model.yaml": None})
    head = Revision(governed.head)
    told = notes(environments(head)["dev"], evidence, head, governed.now)
    assert "There is nothing in dev yet." in told
    assert "For people" not in told
    assert "| roc_auc | – | 0.700 |" in told
    assert "bytes of the model" not in told


def test_notes_tell_how_large_the_model_is_and_pass_over_what_nobody_can_read(
    governed: Repository,
) -> None:
    evidence = governed.evidence()
    lock = json.loads(Path("dvc.lock").read_text())
    lock["stages"]["all"]["outs"][0] |= {"size": 12345}
    files = {"dvc.lock": json.dumps(lock), "reports/intervals.json": '{"roc_auc": 1}'}
    head = Revision(governed.commit({**files}))
    evidence = evidence.model_copy(update={"git_sha": str(head.commit)})
    told = notes(environments(head)["dev"], evidence, head, governed.now)
    assert "| roc_auc | – | 0.700 |\n| bytes of the model | – | 12,345 |\n" in told


@pytest.mark.parametrize(
    ("review", "due"), [("2030-02-01", False), ("2030-01-31", True), ("2029-12-01", True)]
)
def test_reviews_are_told_before_they_are_overdue(
    governed: Repository, review: str, due: bool
) -> None:
    state(governed, review=review)
    at = Revision(governed.head)
    today = date(2030, 1, 1)
    found = governance.reviews_due([*Statement.model_fields], at, today)
    assert len(found) == (4 if due else 0)
    assert governance.reviews_due(["owner"], at, today) == {}
    alarms = [*of_reviews(found)]
    assert all(f"its review is due on {review}: look at" in str(each) for each in alarms)


def test_monitoring_tells_what_is_due_and_what_cannot_be_read(governed: Repository) -> None:
    window = WindowResult("2030-01-01T00:00:00Z", "2030-01-08T00:00:00Z", 0, 0, too_few=True)
    found = Result(
        *("prod", "r1", "made@v1.0.0", "0" * 40, "2030-01-08T00:00:00Z", "log", (1, 1), {}),
        *(Account([0]), Feedback(0, 0, 0, 0, []), [window], []),
    )

    def told(environment: str) -> list[str]:
        at = Revision(governed.head)
        return [*map(str, run._with_reviews(found, environment, at).alarms)]

    state(governed, review=f"{date.today():%Y-%m-%d}")
    assert len(told("prod")) == 4
    assert told("prod")[0].startswith("review: outage: its review is due on ")
    assert told("staging") == []  # which does not ask for risks
    governed.commit({"model.yaml": "owner: TODO\n"})
    (line,) = told("prod")
    assert line.startswith("review: model.yaml: model.yaml: owner: 'TODO' says nothing")


def test_a_caller_that_nobody_declared_is_a_line_and_an_alarm(governed: Repository) -> None:
    """By the log; a statement that names no callers at all is a note, and no alarm."""
    window = WindowResult("2030-01-01T00:00:00Z", "2030-01-08T00:00:00Z", 0, 0, too_few=True)
    account = Account([9], rows=9, callers={"desk": 6, "shop": 3})
    found = Result(
        *("prod", "r1", "made@v1.0.0", "0" * 40, "2030-01-08T00:00:00Z", "log", (1, 1), {}),
        *(account, Feedback(0, 0, 0, 0, []), [window], []),
    )

    def told(callers: dict[str, str] | None) -> Result:
        state(governed, lambda said: said.update(callers=callers))
        return run._with_callers(found, Revision(governed.head))

    (use, *_) = parse_statement(Path("model.yaml").read_text()).intended or []
    result = told({"desk": use})
    (alarm,) = result.alarms
    assert str(alarm) == (
        "caller: shop: asked for 3 rows, and `callers` in model.yaml names no such caller: find "
        "out for which use"
    )
    line = monitoring.markdown(result)
    assert "Callers: desk (6 rows), shop (3 rows, not declared)." in line
    assert len(told({}).alarms) == 2
    assert told({"desk": use, "shop": use}).alarms == []
    result = told(None)
    assert (result.alarms, "desk, shop" in result.notes[0]) == ([], True)
