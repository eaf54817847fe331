"""Fresh data through the pipeline, and a model that is better becomes a branch."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..config.params import load_params
from ..errors import CheckError, InputError
from ..files import read_json, write_text
from ..git.revision import WORKSPACE, Revision, commit, git, with_python
from ..judging.comparison import Comparison, compare
from ..judging.paired import judged
from ..judging.recount import judged_by
from ..paths import CARD, CARD_PAGE, LOCK, PROVENANCE, SNAPSHOT


@dataclass(frozen=True)
class Fresh:
    """A model of fresh data that is better than HEAD's, in the workspace as long as it is needed.

    Attributes:
        head: what it was held against.
        comparison: with the model there.
        log: what the pipeline printed.
    """

    head: Revision
    comparison: Comparison
    log: Path

    def commit(self, reason: str, headline: str) -> str:
        """Commit it on a branch of its own, which is named after the data, and return its name.

        Args:
            reason: why it was trained, for those who read it later.
            headline: why it is better, for people.
        """
        day = read_json(PROVENANCE)["retrieved_at"][:10]
        data = WORKSPACE.outputs[SNAPSHOT].md5
        branch = f"retrain/{day}-{data[:8]}"
        facts = f"Reason: {' '.join(reason.split())}\nData: {data}\n"
        message = f"Retrain on the data of {day}\n\n{headline}\n\n{facts}"
        written = ("--all", "--", *_written(self.head))
        made = commit(self.head, message, lambda index: git("add", *written, env=index))
        git("update-ref", f"refs/heads/{branch}", made)
        return branch


@contextmanager
def fresh(log: Path, push: bool = True) -> Iterator[Fresh]:
    """Read the source again, reproduce, and yield what is better than HEAD's model.

    What is written in the workspace is taken back, whatever comes of it. DVC's remote then has its
    data, unless somebody else is to push it; nothing is pushed to Git's.

    Args:
        log: gets what the pipeline prints.
        push: whether to push the data.
    Raises:
        CheckError: there is no fresh data, or the model is not better, or breaks a gate.
        InputError: the workspace is not committed; the source cannot be read; the pipeline stops.
    """
    head = _committed()
    with _put_back(head):
        _ingest(head)
        write_text(log, _dvc("repro", "--pull", "--allow-missing"))
        comparison = _judged(head)
        if push:
            _dvc("push")
        yield Fresh(head, comparison, log)


def _committed() -> Revision:
    """HEAD. Raises InputError where the workspace is another, or where there is no model yet."""
    if changed := git("status", "--porcelain", "--", "."):
        raise InputError(f"{changed.splitlines()[0][3:]}: commit your changes first, or stash them")
    head = Revision.of("HEAD")
    if head is None or SNAPSHOT not in head.outputs:
        raise InputError(f"{LOCK}: there is no model to replace; run `uv run dvc repro` and commit")
    git("var", "GIT_COMMITTER_IDENT")  # better refused now than after hours of training
    return head


@contextmanager
def _put_back(head: Revision) -> Iterator[None]:
    """Take back what the pipeline wrote, and no more: somebody may work on while it runs."""
    try:
        yield
    finally:
        written, known = _written(head), []
        git("reset", "--quiet", "--", *written)  # where DVC stages what it writes
        for path in written:
            if head.read_bytes(Path(path)) is None:
                Path(path).unlink(missing_ok=True)
            else:
                known.append(path)
        git("checkout", "--quiet", str(head.commit), "--", *known)
        _run("checkout", "--quiet", "--force", "--allow-missing")


def _written(head: Revision) -> list[str]:
    """The files of a model, and of updated data, that Git keeps or would keep."""
    outputs = map(str, {**head.outputs, **WORKSPACE.outputs})
    paths = [str(LOCK), str(CARD), str(CARD_PAGE), *_imports(), *outputs]
    listing = git("ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *paths)
    return sorted({*filter(None, listing.split("\0"))})


def _ingest(head: Revision) -> None:
    """Take a snapshot of the source as it is now. Raises CheckError where it is as it was."""
    if imports := [*_imports()]:
        _dvc("update", *imports)
    _dvc("repro", "--pull", "--force", "--single-item", "ingest")
    if WORKSPACE.outputs[SNAPSHOT] == head.outputs[SNAPSHOT]:
        source = load_params().source.name
        raise CheckError(f"no fresh data: {source} has the rows that the model was made of")


def _imports() -> Iterator[str]:
    """The .dvc files of data that `dvc import` or `dvc import-url` brought."""
    for name in git("ls-files", "*.dvc").splitlines():
        content = WORKSPACE.load(Path(name)) or {}
        if content.get("frozen") and content.get("deps"):
            yield name


def _judged(head: Revision) -> Comparison:
    """Compare with HEAD. Raises CheckError unless the model is better, and keeps all gates."""
    params = load_params()
    comparison = compare(params, head)
    if lines := judged_by(params, head).breaches(params, comparison):
        raise CheckError("\n".join(map(str, lines)))
    if comparison.verdict != "better":
        reason = comparison.reason or ", ".join(
            f"{name} {metric.champion:.4g} → {metric.challenger:.4g} ({metric.low:+.3g} to "
            f"{metric.high:+.3g})"
            for name, metric in comparison.metrics.items()
            if name in {*params.gates, *judged(params)}
        )
        verdict = "is not better" if comparison.verdict else "cannot be compared"
        raise CheckError(f"the model of the fresh data {verdict}: {reason}")
    return comparison


def _dvc(*arguments: str) -> str:
    """Run DVC and return its output. Raises InputError with the words of the stage that failed."""
    code, output = _run(*arguments)
    if code:
        lines = [line.strip() for line in output.splitlines() if line.strip()]
        errors = [line for line in lines if line.lower().startswith("error: ")]
        why = errors[0][len("error: ") :] if errors else (lines or ["no reason given"])[-1]
        raise InputError(f"dvc {arguments[0]}: {why}")
    return output


def _run(*arguments: str) -> tuple[int, str]:
    """Run DVC, whose stages find this Python, and show its output as it comes."""
    lines = []
    with subprocess.Popen(
        [sys.executable, "-m", "dvc", *arguments],
        env=with_python(os.environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(line)
    return process.returncode, "".join(lines)
