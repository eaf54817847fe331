"""The guard: which changes of environments and releases may be merged. The same here and in CI.

An environment changes by a copy of a release that was live in the one before it, or by going back
to one that it had. All else is refused, each with its reason. Evidence is computed again from its
commit, when it is added and whenever its release goes on: see lineage.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from ..errors import InputError
from ..git.revision import PLAIN, Revision, git
from ..printable import printable
from ..project import PYPROJECT
from .commits import fork, lost, remembered
from .declared import image_names, registry
from .evidence import Evidence, evidence_path, load_evidence
from .governance import lacking
from .history import lived, require_whole, route, ways_back
from .lineage import committed, facts
from .state import (
    ENVIRONMENTS,
    QUARANTINE,
    RELEASES,
    Environment,
    Release,
    environments,
    quarantine_problems,
    quarantined,
    release_path,
)


def refusals(base: Revision, head: Revision, now: datetime, merged: bool = False) -> list[str]:
    """Why the change from `base` to `head` may not be merged, a line each; empty when it may.

    Args:
        base: what it would be merged into, as it is now: holds and histories are read there.
        head: the change.
        now: the time, for soaking and freezes.
        merged: whether `head` is what main is already, whose first parents are its history.
    Raises:
        InputError: the state of `base` cannot be read, or its history is not all there.
    """
    require_whole()
    forked = fork(base, head)
    before, after = environments(base), environments(head)
    if not before and not after:
        raise InputError(f"{ENVIRONMENTS}: there are none: run this at the root of the project")
    changed = _changed(forked, head)
    told = {*_problems(before, base)}  # else nobody could mend them
    unreadable = [line for line in _problems(after, head) if line not in told]
    if found := [*unreadable, *_no_plain_files(changed, head)]:
        return found
    banned = quarantined(base) | quarantined(head)
    found = [*_wrong_evidence(changed, base, head), *_freed(forked, head)]
    at_fork = environments(forked)
    found += _taken_away(at_fork, after, before)
    moved = [name for name in after if release_path(name) in changed]
    retired = [name for name in at_fork if name not in after]
    if len(moved + retired) > 1:
        names = " and ".join(moved + retired)
        found.append(f"{names} change at once: one environment a pull request")
    for name in moved:
        release = after[name].release
        if release is None:
            found += after[name].problems
        elif name not in before:
            found.append(f"{name} is new: its rules have to be on main before it has a release")
        else:
            found += _refused(before[name], release, base, head, banned, now)
    found += lost(base, head) if merged else []
    return [*dict.fromkeys([*found, *remembered(base, head, now)])]


def _changed(forked: Revision, head: Revision) -> set[Path]:
    options = ("-r", "--name-only", "--relative", "--no-renames", "-z")
    names = git("diff-tree", *options, str(forked.commit), str(head.commit))
    return {Path(name) for name in names.split("\0") if name}


def _problems(known: dict[str, Environment], at: Revision) -> list[str]:
    """What cannot be read at a revision, a line each."""
    found = [line for each in known.values() for line in each.problems]
    return [*dict.fromkeys([*found, *quarantine_problems(at)])]


def _no_plain_files(changed: set[Path], head: Revision) -> Iterator[str]:
    """What was changed to something that readers of files take for something else than Git does."""
    for path, entry in head.entries(ENVIRONMENTS, RELEASES).items():
        if path in changed and entry.mode != PLAIN:
            kinds = {"120000": "a symbolic link", "160000": "a repository of its own"}
            what = kinds.get(entry.mode, "a file that can be executed")
            yield f"{printable(str(path))}: is {what}; commit a plain file"


def _freed(forked: Revision, head: Revision) -> Iterator[str]:
    for name in quarantined(forked).keys() - quarantined(head).keys():
        yield f"{QUARANTINE}: {name} is taken out, and has to stay: make another release instead"


def _taken_away(
    forked: dict[str, Environment], after: dict[str, Environment], before: dict[str, Environment]
) -> Iterator[str]:
    """Releases that were taken away. An environment that is on hold may be retired as a whole."""
    for name, each in forked.items():
        if each.release is None:
            continue
        if name not in after:
            known = before.get(name)
            if known is not None and (known.problems or known.policy.hold is None):
                how = f"`mlops hold {name}` first, and take its folder away once that is merged"
                yield f"{ENVIRONMENTS / name}: taken away while it is in use; to retire it, {how}"
        elif after[name].release is None and not after[name].problems:
            yield f"{release_path(name)}: taken away; promote or roll back instead"


def _wrong_evidence(changed: set[Path], base: Revision, head: Revision) -> Iterator[str]:
    for path in sorted(changed):
        if path.parent == RELEASES and path.suffix == ".json":
            if base.read_bytes(path) is not None:
                yield f"{path}: evidence is written once and never changed"
                continue
            try:
                evidence = load_evidence(path.stem, head)
            except InputError as error:
                yield str(error)
                continue
            if evidence is None:
                continue
            yield from _contradicted(evidence, base)
            yield from _not_declared(evidence, base)
            if _is_ancestor(evidence.git_sha, base):
                yield from _of_another_champion(evidence, base)


def _contradicted(evidence: Evidence, base: Revision) -> Iterator[str]:
    """Where evidence says otherwise than its own commit."""
    path = evidence_path(evidence.id)
    if not _is_ancestor(evidence.git_sha, base):
        yield (
            f"{path}: git_sha: it says {evidence.git_sha}, which is not merged: not in the history "
            f"of {base.commit}"
        )
        return
    for fact in facts(evidence):
        if fact.problem:
            yield f"{path}: {fact.field}: {fact.problem}"


def _not_declared(evidence: Evidence, base: Revision) -> Iterator[str]:
    """Where its images are not in the project's registry, as that was declared before."""
    images = {kind: image for kind, image in evidence.images.model_dump().items() if image}
    if not images:
        return
    try:
        names = image_names(registry(base))
    except InputError as error:
        yield f"{evidence_path(evidence.id)}: images: {error}"
        return
    for kind, image in images.items():
        if image.partition("@")[0] != names[kind]:
            yield (
                f"{evidence_path(evidence.id)}: images.{kind}: it says {image}, {PYPROJECT} "
                f"(tool.mlops: registry) says {names[kind]}@sha256:..."
            )


def _of_another_champion(evidence: Evidence, base: Revision) -> Iterator[str]:
    """Where it was compared with what was not the champion, or says so of the very same model."""
    path, verdict = evidence_path(evidence.id), evidence.verdict
    try:
        could = _champions(base, committed(evidence.git_sha))
    except InputError as error:  # nobody knows the champion before that is mended
        yield str(error)
        return
    if evidence.champion not in could:
        known = ", ".join(each or "nothing" for each in could)
        yield (
            f"{path}: champion: it says {evidence.champion or 'nothing'}; since its commit it was "
            f"{known}"
        )
        return
    if evidence.champion is None:
        if verdict is not None:
            yield f"{path}: verdict: it says {verdict}, and champion says nothing to compare with"
        return
    champion = load_evidence(evidence.champion, base)
    if champion is not None and verdict != "same" and _judged(champion) == _judged(evidence):
        yield (
            f"{path}: verdict: it says {verdict or 'nothing'}, the model of {champion.id} is the "
            f"same file, {_judged(champion)}: same"
        )


def _champions(base: Revision, since: datetime) -> list[str | None]:
    """The releases that were the champion at some time since then; None where there was none."""
    could: list[str | None] = []
    for environment in reversed(route(base)):
        had = lived(environment.name, base)
        could += [each.release.id for each in had if each.until is None or each.until > since]
        if had and had[-1].since <= since:
            break
    else:
        could.append(None)  # nothing had been released yet
    return [*dict.fromkeys(could)]


def _judged(evidence: Evidence) -> str:
    return evidence.model.judged_md5 or evidence.model.md5


def _refused(
    environment: Environment,
    release: Release,
    base: Revision,
    head: Revision,
    banned: dict[str, str],
    now: datetime,
) -> Iterator[str]:
    """Why an environment may not have a release. A policy counts as it is at the base."""
    path = release_path(environment.name)
    if release.id in banned:
        yield f"{path}: {release.id} is in quarantine: {banned[release.id] or 'no reason given'}"
    try:
        evidence = load_evidence(release.id, head)
    except InputError as error:
        yield str(error)
        return
    if evidence is None:
        yield f"{path}: there is no {evidence_path(release.id)}"
        return
    if evidence.release != release:
        yield f"{path}: not what {evidence_path(release.id)} says; copy the file, do not edit it"
        return
    if release in ways_back(environment.name, base):
        return
    if environment.problems:
        yield from environment.problems
        return
    yield from _contradicted(evidence, base)
    yield from _held_back(environment, now)
    yield from _not_good_enough(environment, evidence)
    yield from _not_governed(environment, evidence, base, now)
    yield from _not_from_upstream(environment, release, base, now)


def _held_back(environment: Environment, now: datetime) -> Iterator[str]:
    policy = environment.policy
    if policy.hold is not None:
        end = f"`mlops unhold {environment.name}` ends it"
        yield f"{environment.name} is on hold: {policy.hold}; {end}"
    for window in policy.freeze:
        if window.start <= now < window.end:
            yield f"{environment.name} is frozen until {window.end:%Y-%m-%d %H:%M}: {window.reason}"


def _not_good_enough(environment: Environment, evidence: Evidence) -> Iterator[str]:
    if evidence.verdict == "worse":
        yield f"{evidence.id} is worse than {evidence.champion}, which it was compared with"
    for name, gate in environment.policy.gates.items():
        if line := gate.outside(name, evidence.metrics.get(name)):
            yield f"{environment.name}: {line}"


def _not_governed(
    environment: Environment, evidence: Evidence, base: Revision, now: datetime
) -> Iterator[str]:
    made = Revision(evidence.git_sha)
    for line in lacking(environment.policy.governance, base, made, now.date()):
        yield f"{environment.name}: {line}"


def _not_from_upstream(
    environment: Environment, release: Release, base: Revision, now: datetime
) -> Iterator[str]:
    upstream = environment.policy.requires
    if upstream is None:
        return
    there = [each for each in lived(upstream, base) if each.release == release]
    if not there:
        yield f"{release.id} was never live in {upstream}: promote it there first"
        return
    # Where clocks differ, a release may have come later than it went: that is no time at all.
    nothing = timedelta()
    live = sum((max(nothing, (each.until or now) - each.since) for each in there), nothing)
    soak = timedelta(minutes=environment.policy.soak_minutes)
    if live < soak:
        yield (
            f"{release.id} was live in {upstream} for {live // timedelta(minutes=1)} minutes; "
            f"{environment.name} wants {environment.policy.soak_minutes}"
        )


def _is_ancestor(commit: str, base: Revision) -> bool:
    try:
        return git("merge-base", commit, str(base.commit)) == commit
    except InputError:
        return False
