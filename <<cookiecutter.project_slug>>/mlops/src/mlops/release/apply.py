"""Have an environment run what Git says: on a Docker Engine, or as a process without an image."""

from collections.abc import Iterator

from ..errors import CheckError, InputError
from ..git.revision import Revision
from . import compose, process
from .history import ways_back
from .settings import settings_path
from .state import named
from .target import Running, Target, answering, stack_name, target


def apply(environment: str, at: Revision) -> Iterator[str]:
    """Yield a line for each step; none of them loses a request, and nothing is done twice.

    Raises:
        InputError: there is nothing to apply, or not what it takes.
        CheckError: the release does not serve as it should; what served before still does.
    """
    wanted = target(environment, at)
    runtime, other = (compose, process) if wanted.release.serving_image else (process, compose)
    if there := other.running(wanted):
        raise InputError(
            f"{environment} runs {there[0].release} {other.WHERE}, and {wanted.release.id} is to "
            f"run {runtime.WHERE}: `mlops stop {environment}` first"
        )
    if runtime is process and wanted.settings.guards:
        raise InputError(
            f"{settings_path(environment)}: {', '.join(wanted.settings.guards)}: there is no proxy "
            "where a release runs as a process; take it out, or give the release an image"
        )
    yield from runtime.apply(wanted)
    if warning := wanted.settings.unguarded:
        yield f"warning: {warning}"


def require_not_back(environment: str, at: Revision) -> None:
    """Refuse a release where an older one runs, and nobody can ask the remote why.

    It may have been rolled back meanwhile, which this clone does not know. Raises CheckError.
    """
    wanted = target(environment, at)
    older = {each.id for each in ways_back(environment, at)} - {wanted.release.id}
    here = _here(wanted)
    serving = {each.release for each in here if each.serving} | {answering(wanted.settings.url)}
    if back := sorted(each for each in serving if each in older):
        raise CheckError(
            f"{environment} runs {back[0]}, which is older than {wanted.release.id}: it may have "
            "been rolled back since this clone was fetched; if you know that it was not: "
            f"mlops apply {environment} --base origin/main"
        )


def stop(environment: str, at: Revision) -> bool:
    """Take what runs of an environment here away, and say whether there was anything.

    Raises CheckError where something does not end.
    """
    release = named(environment, at).release
    stopped = process.stop(environment)
    if release is not None:
        stack = stack_name(environment, release)
        if release.serving_image or compose.serves(stack):
            stopped = compose.stop(stack) or stopped
    return stopped


def is_settled(wanted: Target) -> bool:
    """Whether what was started here serves as Git says, and nothing else does."""
    here = _here(wanted)
    return bool(here) and all(_difference(wanted, each) is None for each in here)


def drift(wanted: Target) -> list[str]:
    """Where what runs is not what Git says, a line each: as far as it is seen from here."""
    here = _here(wanted)
    answer, url = answering(wanted.settings.url), wanted.settings.url
    found = [line for each in here if (line := _difference(wanted, each))]
    if answer is None and any(each.serving for each in here):
        found.append(f"nothing answers at {url}")
    if answer not in (None, wanted.release.id, *(each.release for each in here)):
        found.append(f"{url} answers with {answer}")
    return found


def _difference(wanted: Target, running: Running) -> str | None:
    if running.current:
        return None if running.serving else f"{running.release} was started, and gets no requests"
    if not running.serving:
        return f"{running.release} is left over, and gets no requests"
    if running.release != wanted.release.id:
        return f"runs {running.release}"
    return f"runs {running.release} with other settings"


def _here(wanted: Target) -> list[Running]:
    """What was started here of an environment, as containers or as processes."""
    return [*compose.running(wanted), *process.running(wanted)]
