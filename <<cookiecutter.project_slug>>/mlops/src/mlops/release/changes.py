"""What people and workflows do to environments: each verb is a proposal, checked by the guard."""

from datetime import datetime
from io import StringIO
from pathlib import Path

from ruamel.yaml import YAML

from ..errors import CheckError, InputError
from ..git.revision import Revision
from .evidence import Evidence, evidence_path, evidence_text
from .guard import refusals
from .history import last_policy, lived, route, ways_back
from .proposal import Proposal, write
from .state import (
    QUARANTINE,
    Environment,
    Release,
    named,
    named_in_quarantine,
    policy_path,
    quarantined,
    readable,
    release_path,
)


def release(evidence: Evidence, base: Revision) -> Proposal:
    """Add a release's evidence, and have the first environment run it.

    Raises InputError where a policy cannot be read.
    """
    first = route(base)[0]
    return _of_release(
        f"release/{evidence.id}",
        f"Release {evidence.id} to {first.name}",
        first,
        evidence.release,
        {evidence_path(evidence.id): evidence_text(evidence)},
    )


def promote(name: str, base: Revision, to: str | None = None) -> Proposal:
    """Copy a release of the environment before to this one.

    Args:
        name: the environment.
        base: what is now.
        to: a release that the one before had; None for the one that it has.
    Raises:
        InputError: there is no such environment, nothing to copy, or it is there already.
    """
    target = readable(named(name, base))
    if target.policy.requires is None:
        raise InputError(f"{name} is the first environment: `mlops release` releases to it")
    source = named(target.policy.requires, base)
    if source.release is None:
        raise InputError(f"{source.name} has no release yet: nothing to promote")
    had = dict.fromkeys(each.release for each in lived(source.name, base))
    chosen = source.release if to is None else next((each for each in had if each.id == to), None)
    if chosen is None:
        known = ", ".join(each.id for each in had)
        raise InputError(f"{source.name} never had {to}, so that {name} cannot; it had {known}")
    if chosen == target.release:
        does = "does" if chosen == source.release else "did"
        raise InputError(f"{name} has {chosen.id} already, as {source.name} {does}")
    return _of_release(
        f"promote/{name}/{chosen.id}",
        f"Promote {chosen.id} to {name}",
        target,
        chosen,
        {},
        {"From-Env": source.name},
    )


def rollback(name: str, base: Revision, to: str | None, reason: str) -> Proposal:
    """Go back to an earlier release of this environment, and hold it there.

    Args:
        name: the environment.
        base: what is now.
        to: the release to go back to; None for the one before.
        reason: why; it is kept as the reason of the hold.
    Raises:
        InputError: the environment never had such a release.
    """
    target, banned = named(name, base), quarantined(base)
    earlier = [each for each in ways_back(name, base) if each.id not in banned]
    chosen = next((each for each in earlier if to in (None, each.id)), None)
    if chosen is None:
        had = ", ".join(each.id for each in earlier) or "none that is not in quarantine"
        which = f" {to}" if to else ""
        later = to in {each.release.id for each in lived(name, base)} - banned.keys()
        forth = f"; it had {to} later: `mlops promote {name} --release {to}`" if later else ""
        raise InputError(f"{name}: no earlier release{which} to go back to; it had {had}{forth}")
    # Where nobody can read the policy, the one before is held; where none ever could, all is.
    policy = last_policy(name, base)
    return _of_release(
        f"rollback/{name}/{chosen.id}",
        f"Roll {name} back to {chosen.id}",
        target,
        chosen,
        {policy_path(name): _held(policy, reason)} if policy is not None else {},
        {"Reason": reason},
    )


def hold(name: str, base: Revision, reason: str | None) -> Proposal:
    """Let nothing be promoted to an environment; None for the reason ends that."""
    readable(named(name, base))
    verb, title = ("unhold", "Let releases go to") if reason is None else ("hold", "Hold")
    changed = _held(base.read(policy_path(name)) or "", reason)
    about = {} if reason is None else {"Reason": reason}
    return Proposal(f"{verb}/{name}", f"{title} {name}", {policy_path(name): changed}, about)


def quarantine(release_id: str, base: Revision, reason: str) -> Proposal:
    """Never promote a release again.

    Raises InputError: there is no such release, or the list of them cannot be read.
    """
    if base.read(evidence_path(release_id)) is None:
        raise InputError(f"there is no {evidence_path(release_id)}")
    known = base.read(QUARANTINE) or ""
    if known and not known.endswith("\n"):  # an editor left it out
        known += "\n"
    text = f"{known}{release_id} {' '.join(reason.split())}\n"
    if release_id not in named_in_quarantine(text):
        raise InputError(f"{QUARANTINE}: a line of {release_id} would not be read; mend the file")
    title = f"Put {release_id} into quarantine"
    return Proposal(f"quarantine/{release_id}", title, {QUARANTINE: text}, {"Reason": reason})


def propose(proposal: Proposal, base: Revision, now: datetime) -> str:
    """Write a proposal's commit. Raises CheckError when the guard would refuse it."""
    commit = write(proposal, base)
    if problems := refusals(base, Revision(commit), now):
        raise CheckError("\n".join(problems))
    return commit


def _of_release(
    branch: str,
    title: str,
    target: Environment,
    chosen: Release,
    files: dict[Path, str],
    trailers: dict[str, str] | None = None,
) -> Proposal:
    about = {"Release-Id": chosen.id, "Environment": target.name, **(trailers or {})}
    return Proposal(
        branch,
        title,
        {release_path(target.name): chosen.text(), **files},
        about,
        replaces=branch.removesuffix(chosen.id),
    )


def _held(policy_text: str, reason: str | None) -> str:
    """policy.yaml with the reason for its hold, or without a hold; its comments are kept."""
    yaml = YAML()
    yaml.width = 1000
    policy = yaml.load(policy_text)
    policy["hold"] = reason
    text = StringIO()
    yaml.dump(policy, text)
    return text.getvalue()
