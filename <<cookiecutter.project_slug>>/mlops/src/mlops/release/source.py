"""What a release is made of: a commit with its model, and the evidence that is written of it.

Apart from evidence.py, which every command on environments reads: comparing models takes pandas and
scikit-learn, and these take seconds to import.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ..config.params import load_params
from ..errors import InputError
from ..files import sha256
from ..git.lock import require_fresh
from ..git.revision import WORKSPACE, Revision, is_clean
from ..judging.comparison import compare, obtain
from ..paths import LOCK, METRICS, ONNX, PROVENANCE
from .evidence import Evidence, Export, Images, Model, release_id
from .history import route
from .lineage import committed, exports, md5, of_commit


@dataclass(frozen=True)
class Source:
    """What a release is made of: a commit, and the model that its dvc.lock names.

    Attributes:
        at: the commit.
        committed: when it was made.
        model: a file with the model.
    """

    at: Revision
    committed: datetime
    model: Path

    @property
    def commit(self) -> str:
        """The commit's full hash."""
        return str(self.at.commit)

    @property
    def id(self) -> str:
        """The release's."""
        return release_id(self.commit, self.committed)


@contextmanager
def source() -> Iterator[Source]:
    """The commit that is checked out, with its model at hand as long as it is needed.

    The model is fetched, or made again where no store has it. Raises InputError where there are
    changes, the commit has no reproduced pipeline or a stale one, or its model cannot be had.
    """
    if not is_clean():
        raise InputError("there are changes that are not committed: a release is of a commit")
    at = Revision.of("HEAD")
    assert at is not None
    known = at.outputs.get(ONNX)
    if known is None or at.read(METRICS) is None or at.read(PROVENANCE) is None:
        raise InputError(
            f"{str(at.commit)[:7]} has no reproduced pipeline: run `uv run dvc repro`, then commit"
        )
    require_fresh(at)
    with TemporaryDirectory() as folder:
        model = obtain(WORKSPACE, [ONNX], Path(folder, "model")).files[ONNX]
        if md5(model.read_bytes()) != known.md5:
            raise InputError(
                f"{ONNX} was made again, and is not the file that {LOCK} names: {known.md5}; "
                "whoever made that one runs `uv run dvc push`"
            )
        yield Source(at, committed(str(at.commit)), model)


def of_source(found: Source, base: Revision, images: Images, run: str | None) -> Evidence:
    """The evidence of a release.

    Args:
        found: what it is made of; its commit is checked out.
        base: where earlier releases are, for the champion.
        images: what was built of it.
        run: where that was.
    """
    known = of_commit(found.at)
    return Evidence(
        id=found.id,
        created=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        git_sha=found.commit,
        dvc_lock_sha256=known["dvc_lock_sha256"],
        snapshot_sha256=known["snapshot_sha256"],
        model=Model(
            version=known["model.version"],
            md5=known["model.md5"],
            sha256=sha256(found.model),
            judged_md5=known["model.judged_md5"],
        ),
        images=images,
        exports={name: Export.model_validate(each) for name, each in exports(found.at).items()},
        metrics=found.at.load(METRICS),
        **_compared(base),
        run=run,
    )


def _compared(base: Revision) -> dict[str, Any]:
    """What the commit that is checked out is to the release of the last environment."""
    champion = route(base)[-1].release
    if champion is None:
        return {}
    found = compare(load_params(), Revision.of(champion.git_sha))
    return {"verdict": found.verdict, "champion": champion.id}
