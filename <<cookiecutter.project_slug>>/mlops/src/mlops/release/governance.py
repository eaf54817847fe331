"""Governance: what an environment wants model.yaml to say, and whether it does.

The statement is read where a release would be merged, as policies are, and not at the release's own
commit: a risk that was reviewed since counts without a new model, one whose review is overdue stops
an old one, and no change vouches for itself. What a release was made from is its own commit's word.
"""

from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator

from ..errors import InputError
from ..git.revision import Revision
from ..paths import PARAMS, STATEMENT
from ..statement import Statement, parse_statement

ALL = "all"
# What that stands for: of callers servers without tokens know nothing, so they go by their name,
# and approvers are for environments with `approvals`.
EVERYTHING = [key for key in Statement.model_fields if key not in ("callers", "approvers")]
# So long before a review is overdue, people are told.
NOTICE = timedelta(days=30)
# A review that is further off is none that anybody does.
FURTHEST = timedelta(days=366)


def _listed(value: Any) -> Any:
    """`all` as what it stands for."""
    if value == ALL:
        return EVERYTHING
    if not isinstance(value, list):
        raise ValueError(f"give `{ALL}`, or a list of keys of {STATEMENT}")
    for key in value:
        if key not in Statement.model_fields:
            raise ValueError(
                f"{key}: no key of {STATEMENT}; it has {', '.join(Statement.model_fields)}"
            )
    return value


# Keys of model.yaml that must be there.
Wanted = Annotated[list[str], BeforeValidator(_listed)]


def lacking(wanted: Iterable[str], at: Revision, made: Revision, today: date) -> list[str]:
    """What is wanted of model.yaml and not there, a line each.

    Args:
        wanted: keys of it.
        at: where it is read, and the runbook looked for.
        made: the commit of the release, which tells its source.
        today: a review that was due before is overdue.
    """
    keys = [*wanted]
    if not keys:
        return []
    try:
        statement = parse_statement(at.read(STATEMENT))
    except InputError as error:
        return str(error).splitlines()
    lines = [
        f"{STATEMENT}: {key}: has no answer yet" for key in keys if getattr(statement, key) is None
    ]
    for key, check in _CHECKS.items():
        if key in keys and getattr(statement, key) is not None:
            lines += check(statement, at, made, today)
    return lines


def reviews_due(wanted: Iterable[str], at: Revision, today: date) -> dict[str, date]:
    """The risks that are to be looked at soon, or were to be, each with the day.

    Raises InputError where model.yaml cannot be read.
    """
    if "risks" not in wanted:
        return {}
    reviews = parse_statement(at.read(STATEMENT)).reviews()
    return {name: day for name, day in reviews.items() if day <= today + NOTICE}


def _unreviewed(statement: Statement, _at: Revision, _made: Revision, today: date) -> Iterator[str]:
    for name, review in statement.reviews().items():
        if review < today:
            yield (
                f"{STATEMENT}: risks.{name}: its review was due on {review}; look at it, and write "
                "what you found and the next date"
            )
        elif review > today + FURTHEST:
            yield (
                f"{STATEMENT}: risks.{name}: its review on {review} is more than a year away; set "
                "an earlier date"
            )


def _without_terms(
    statement: Statement, _at: Revision, made: Revision, _today: date
) -> Iterator[str]:
    try:
        params = made.load(PARAMS)
    except InputError as error:
        yield str(error)
        return
    taken = [*_paths(params.get("source"))] if isinstance(params, dict) else []
    if not taken:
        yield f"{PARAMS}: source: names none, so that {STATEMENT} may not name all"
    for path in taken:
        if path not in (statement.sources or {}):
            yield f"{STATEMENT}: sources: no answer for {path}, which {PARAMS} uses"


def _paths(source: Any) -> Iterator[str]:
    """The paths below `source` of params.yaml, however deep."""
    inside = source if isinstance(source, list) else []
    if isinstance(source, dict):
        inside = [*source.values()]
        if isinstance(source.get("path"), str):
            yield source["path"]
    for each in inside:
        yield from _paths(each)


def _no_runbook(statement: Statement, at: Revision, _made: Revision, _today: date) -> Iterator[str]:
    runbook = statement.runbook or ""
    if "://" not in runbook and at.read_bytes(Path(runbook)) is None:
        yield f"{STATEMENT}: runbook: there is no {runbook}"


_CHECKS = {"risks": _unreviewed, "sources": _without_terms, "runbook": _no_runbook}
