"""What is kept of experiments in Git: facts, a hypothesis and a conclusion, also of failures.

A file an experiment, so that branches which note different ones merge. It lies in docs/: a note is
documentation, and makes no model.
"""

import io
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from ruamel.yaml import YAML

from ..errors import InputError
from ..files import flat, load, parse, significant, write_text
from ..git.revision import WORKSPACE, Revision, git
from ..paths import EXPERIMENTS, FEATURES, METRICS, PARAMS, SEARCH, TRAINING_LOG
from .adopt import Settings, Texts, adopted
from .search import STUDY, Found, Log, read_log
from .trial import Trial, mean

Kind = Literal["planned", "dvc", "trial"]
SUFFIX = ".yaml"
# Where DVC keeps experiments, by the commit that each was made from.
REFS = "refs/exps/"
# What DVCLive logs of a learning curve, beside the metrics.
CURVE = {"step", "loss", "validation_loss"}
# Of a commit.
SHORT = 7


class Record(BaseModel):
    """An experiment.

    Attributes:
        name: by which it is called.
        kind: planned until it was made; then DVC's, or a trial of a search.
        made: the day.
        base: the commit that it was made from.
        hypothesis: what was expected, and why.
        conclusion: what was learned.
        params: the settings in which it differs from its base.
        scores: on the rows that chose: the validation rows, or folds of the training rows.
        test: on the test rows.
        evidence: how it did beside others, a line each.
        fingerprint: that of its settings: see adopt.Texts.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$")]
    kind: Kind
    made: date
    base: str | None = None
    hypothesis: str | None = None
    conclusion: str | None = None
    params: dict[str, Any] = {}
    scores: dict[str, float] = {}
    test: dict[str, float] = {}
    evidence: list[str] = []
    fingerprint: str | None = None

    @property
    def path(self) -> Path:
        """Where it is kept."""
        return EXPERIMENTS / f"{self.name}{SUFFIX}"


@dataclass(frozen=True)
class Experiment:
    """An experiment, and what becomes of it.

    Attributes:
        record: what is known of it.
        is_noted: whether Git keeps that.
        is_taken: whether its settings are those of the workspace.
        state: of a trial.
    """

    record: Record
    is_noted: bool
    is_taken: bool
    state: str = "done"


def experiments() -> list[Experiment]:
    """All that are known here, the newest first: noted ones, DVC's, trials of searches.

    Raises InputError where a file of theirs is not what it must be.
    """
    own = fingerprint(WORKSPACE)
    found: dict[str, Experiment] = {}
    for record, state in [*_of_searches(), *((each, "done") for each in _of_dvc())]:
        found[record.name] = Experiment(record, False, record.fingerprint == own, state)
    for record in noted(WORKSPACE):
        made = found.pop(record.name, None)
        whole = merged(record, made.record) if made else record
        found[record.name] = Experiment(
            whole,
            True,
            whole.fingerprint is not None and whole.fingerprint == own,
            made.state if made else "planned" if record.kind == "planned" else "done",
        )
    return sorted(found.values(), key=lambda each: each.record.made, reverse=True)


def merged(record: Record, made: Record) -> Record:
    """A note with the facts of what was made since."""
    if record.kind != "planned":
        return record
    words = {"hypothesis": record.hypothesis, "conclusion": record.conclusion}
    return made.model_copy(update=words)


def note(name: str, hypothesis: str | None, conclusion: str | None) -> Record:
    """Keep a hypothesis or a conclusion, with the facts of the experiment, and return the record.

    Raises InputError where there is no such experiment to conclude anything from.
    """
    if hypothesis is None and conclusion is None:
        raise InputError("say what was expected, --hypothesis, or what was learned, --conclusion")
    known = {each.record.name: each.record for each in experiments()}
    record = known.get(name)
    if record is None and hypothesis is None:
        raise InputError(
            f"{name}: there is no such experiment; `mlops experiments` lists them, and "
            "--hypothesis notes one that is to be made"
        )
    content = (record or _planned(name)).model_dump()
    content["hypothesis"] = hypothesis or content["hypothesis"]
    content["conclusion"] = conclusion or content["conclusion"]
    return keep(Record.model_validate(content))


def keep(record: Record) -> Record:
    """Write a record."""
    stream = io.StringIO()
    yaml = YAML()
    yaml.width = 100
    yaml.dump(record.model_dump(exclude_defaults=True, exclude_none=True), stream)
    write_text(record.path, stream.getvalue())
    return record


def noted(at: Revision) -> list[Record]:
    """The records of a revision, by name. Raises InputError where one is not what it must be."""
    if at.commit is None:
        return [load(path, Record) for path in sorted(EXPERIMENTS.glob(f"*{SUFFIX}"))]
    paths = [EXPERIMENTS / name for name in at.files(EXPERIMENTS, SUFFIX)]
    return [parse(at.read(path) or "", Record, path) for path in paths]


def fingerprint(at: Revision) -> str | None:
    """That of a revision's settings; None where it has none."""
    params = at.read(PARAMS)
    if params is None:
        return None
    return Texts(params, at.read(FEATURES) or "").settings().fingerprint()


def _planned(name: str) -> Record:
    try:
        return Record(name=name, kind="planned", made=datetime.now(UTC).date())
    except ValueError:
        raise InputError(
            f"{name}: call an experiment by letters, digits, `.`, `_` and `-`, as DVC does"
        ) from None


def _of_dvc() -> list[Record]:
    """The experiments that `dvc exp` keeps."""
    form = "%(refname)%09%(objectname)%09%(committerdate:short)"
    try:
        told = git("for-each-ref", f"--format={form}", REFS).splitlines()
    except InputError:  # this is no repository
        return []
    found = []
    for line in told:
        ref, commit, day = line.split("\t")
        parts = ref.removeprefix(REFS).split("/")
        if len(parts) == 3 and len(parts[0]) == 2:  # others are DVC's own
            base = "".join(parts[:2])
            found.append(_made(parts[2], Revision(commit), Revision(base), date.fromisoformat(day)))
    return found


def _made(name: str, at: Revision, base: Revision, made: date) -> Record:
    return Record(
        name=name,
        kind="dvc",
        made=made,
        base=str(base.commit)[:SHORT],
        params=_changes(base, at),
        scores=_numbers(at, TRAINING_LOG / "metrics.json"),
        test=_numbers(at, METRICS),
        fingerprint=fingerprint(at),
    )


def _changes(base: Revision, at: Revision) -> dict[str, Any]:
    """The settings of both files in which a revision differs from another."""
    found = {}
    for path in (PARAMS, FEATURES):
        before, after = (flat(each.load(path) or {}) for each in (base, at))
        prefix = "" if path == PARAMS else f"{path}: "
        for key in [*after, *(each for each in before if each not in after)]:
            if before.get(key) != after.get(key):
                found[f"{prefix}{key}"] = after.get(key)
    return found


def _numbers(at: Revision, path: Path) -> dict[str, float]:
    found = at.load(path) or {}
    return {
        str(key): significant(value)
        for key, value in found.items()
        if isinstance(value, int | float) and key not in CURVE
    }


def _of_searches() -> list[tuple[Record, str]]:
    """The trials of all studies that are kept here, each with how it ended."""
    found: list[tuple[Record, str]] = []
    for file in sorted(SEARCH.glob(f"*/{STUDY}")):
        log = read_log(file)
        assert log is not None
        given = log.texts.settings()
        found += [(_tried(file.parent.name, log, given, each), each.state) for each in log.trials]
    return found


def _tried(study: str, log: Log, given: Settings, trial: Trial) -> Record:
    """What is known of a trial."""
    settings, changes = given.changed(trial.configuration)
    score = {log.metric: significant(mean(trial.scores))} if trial.scores else {}
    return Record(
        name=f"{study}-{trial.number}",
        kind="trial",
        made=log.begun,
        base=log.commit[:SHORT] if log.commit else None,
        params={key: after for key, (_, after) in changes.items()},
        scores=score if trial.state == "done" else {},
        evidence=[trial.error] if trial.error else [],
        fingerprint=settings.fingerprint(),
    )


def take(found: Found, evidence: list[str]) -> Record:
    """Write a search's winner to params.yaml and features.yaml, and keep what is known of it.

    Args:
        found: by the search.
        evidence: how the winner did, a line each.
    Raises:
        InputError: the files would make no sense.
    """
    log = read_log(SEARCH / found.name / STUDY)
    assert log is not None
    adopted(found.winner.configuration, Texts.here()).write()
    made = _tried(found.name, log, log.texts.settings(), found.winner)
    known = next((each for each in noted(WORKSPACE) if each.name == made.name), None)
    words = {
        "hypothesis": known.hypothesis if known else None,
        "conclusion": known.conclusion if known else None,
    }
    return keep(made.model_copy(update={**words, "evidence": evidence}))


def foremost(found: list[Experiment], count: int) -> list[Experiment]:
    """All but the trials of searches that nothing is noted of, and of these as many of each study.

    The best ones; which they are depends on the metric, so that it is known by the study.
    """
    best: set[str] = set()
    for file in sorted(SEARCH.glob(f"*/{STUDY}")):
        log = read_log(file)
        assert log is not None
        done = [each for each in log.trials if each.score is not None]
        done.sort(key=lambda each: each.score or 0.0, reverse=log.better == "higher")
        best |= {f"{file.parent.name}-{each.number}" for each in done[:count]}
    return [
        each
        for each in found
        if each.is_noted or each.record.kind != "trial" or each.record.name in best
    ]
