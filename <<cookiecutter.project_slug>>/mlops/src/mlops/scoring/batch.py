"""Score many rows in partitions: a run that was killed goes on where it was.

The output is a folder. Each partition is a Parquet file that appears when it is complete, and says
itself what it was made of; the manifest appears when all of them are there.
"""

import fcntl
import json
import os
import shutil
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ..data import tables
from ..data.contract import Contract
from ..data.dialect import Dialect
from ..errors import CheckError, InputError
from ..files import TEMPORARY, read_json, replacing, sha256, write_json
from ..inference import OnnxModel
from ..progress import progress
from .predict import Scorer, Tally, read_as

# With the underscore, those who read the folder as one table pass it over.
MANIFEST = "_manifest.json"
PARTITION_ROWS = 1_000_000
# Where a partition's file says what it was made of.
KEY = b"mlops.batch"
# Where it says how many of its rows are not as they must be.
COUNTED = b"mlops.batch.counted"

Facts = dict[str, Any]


@dataclass(frozen=True)
class Source:
    """What predicts.

    Attributes:
        model_sha256: of the ONNX file.
        project: whose model it is, as it says itself.
        release: its id; None for a model of no release.
        lenient: whether rows that break the contract are counted, not refused.
        written: how the files are written where that is otherwise than the contract says.
        explained: how many reasons there are for each prediction.
    """

    model_sha256: str
    project: str
    release: str | None
    lenient: bool = False
    written: dict[str, str] | None = None
    explained: int = 0


@dataclass(frozen=True)
class Input:
    """A file to be scored, as it was found.

    Attributes:
        name: its path within the folder that was given.
        changed: size and time of its last change.
    """

    path: Path
    name: str
    sha256: str
    rows: int
    changed: tuple[int, int]


@dataclass(frozen=True)
class Partition:
    """Rows of a file that are written together: `rows` of them, after `before` others."""

    input: Input
    number: int
    before: int
    rows: int

    @property
    def name(self) -> str:
        """Its file within the folder of outputs; names sort as the rows do."""
        return f"{self.input.name}/{self.number:05}.parquet"

    def facts(self, by: Source) -> Facts:
        """What its file says of itself: of another file or model, it is another one."""
        of = {"input": self.input.name, "input_sha256": self.input.sha256}
        return {**of, "before": self.before, "rows": self.rows, **asdict(by)}


@dataclass(frozen=True)
class Done:
    """What a run came to: rows and partitions in all, and how many of these it scored.

    Attributes:
        tally: of all rows, also those that an earlier run scored.
    """

    rows: int
    partitions: int
    scored: int
    tally: Tally = field(default_factory=Tally, compare=False)


def batch(
    source: Path,
    target: Path,
    model_file: Path,
    release: str | None = None,
    partition_rows: int = PARTITION_ROWS,
    lenient: bool = False,
    written: dict[str, str] | None = None,
    explained: int = 0,
) -> Done:
    """Write the predictions for all rows of `source` to the folder `target`, in the same order.

    Existing partitions stay if the same model made them from the same file. What cannot be
    scored does not keep the rest from being scored.

    Args:
        source: a CSV or Parquet file, or a folder of them; see predict.predict for their columns.
        target: a folder for this alone.
        model_file: the ONNX model.
        release: whose model it is, to be told in each file.
        partition_rows: how many rows of a file go into a partition.
        lenient, written, explained: as for predict.predict.
    Raises:
        InputError: there is nothing to score, something cannot be scored (a line a file), or
            `target` holds something else.
        CheckError: another run writes there, or a file was changed meanwhile.
    """
    files, model = _files(source, target), OnnxModel(model_file)
    project = str(model.metadata["project"])
    by = Source(sha256(model_file), project, release, lenient, written or None, explained)
    dialect = read_as(Contract.parse(model.metadata["contract"]), written).dialect
    with _alone(target):
        wrong: dict[Path, list[str]] = defaultdict(list)
        inputs = []
        for name, path in files.items():
            with _noting(wrong[path]):
                inputs.append(_input(path, name, dialect))
        wanted = [partition for one in inputs for partition in _partitions(one, partition_rows)]
        missing = _missing(wanted, by, target)
        with progress() as report:
            rows, all_rows = 0, sum(partition.rows for partition in missing)
            for partition in _scored(missing, by, model, target, partition_rows, wrong):
                rows += partition.rows
                report(rows, rows / all_rows)
        if lines := [line for problems in wrong.values() for line in _line(problems)]:
            raise InputError("\n".join(lines))
        tally = Tally()
        for partition in wanted:
            tally.add(_counted(target / partition.name, partition.rows))
        _write_manifest(inputs, wanted, by, target, tally)
    return Done(tally.rows, len(wanted), len(missing), tally)


def _files(source: Path, target: Path) -> dict[str, Path]:
    """The files to score by their names, in the order in which their rows follow one another."""
    if not source.exists():
        raise InputError(f"{source}: no such file or folder")
    if source.is_file():
        return {source.name: source}
    if target.resolve().is_relative_to(source.resolve()):
        raise InputError(f"{target}: is in {source}, and would be scored the next time")
    files = {
        path.relative_to(source).as_posix(): path
        for path in source.rglob("*")
        if path.is_file() and tables.is_table(path.name)
    }
    if not files:
        raise InputError(f"{source}: the folder holds no file of {tables.KINDS}")
    # As the partitions' own names sort, in which the file's is a folder.
    return {name: files[name] for name in sorted(files, key=lambda name: f"{name}/")}


def _input(path: Path, name: str, dialect: Dialect) -> Input:
    changed = _changed(path)
    return Input(path, name, sha256(path), tables.count(path, dialect), changed)


def _changed(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _partitions(one: Input, rows: int) -> Iterator[Partition]:
    for number, before in enumerate(range(0, one.rows, rows)):
        yield Partition(one, number, before, min(rows, one.rows - before))


def _missing(wanted: list[Partition], by: Source, target: Path) -> list[Partition]:
    """The partitions that are not there, when what is no longer wanted was removed.

    Raises InputError, and removes nothing, where the folder holds something else.
    """
    manifest = target / MANIFEST
    hashes = {
        entry["name"]: entry["sha256"]
        for entry in (read_json(manifest)["partitions"] if manifest.exists() else [])
    }
    names = {partition.name for partition in wanted}
    _clean(target)
    existing = sorted(path for path in target.rglob("*") if path.is_file() and path != manifest)
    left_over = [path for path in existing if path.relative_to(target).as_posix() not in names]
    for path in left_over:
        if _facts(path) is None:
            raise InputError(f"{path}: nothing of `mlops batch`; give another folder, or move it")
    missing = [
        partition
        for partition in wanted
        if not _is_there(partition, by, target, hashes.get(partition.name))
    ]
    if missing or left_over:
        manifest.unlink(missing_ok=True)  # first: it never tells of what is not there
    for path in left_over:
        path.unlink()
    return missing


def _clean(target: Path) -> None:
    """Remove what a run that was killed left half done: nobody else writes here."""
    for folder in [*target.rglob(f"{TEMPORARY}*")]:
        shutil.rmtree(folder)


def _is_there(
    partition: Partition, by: Source, target: Path, known_sha256: str | None = None
) -> bool:
    path = target / partition.name
    return _facts(path) == partition.facts(by) and known_sha256 in (None, sha256(path))


def _facts(path: Path) -> Facts | None:
    """What a partition's file says of itself; None where it is none, or not whole."""
    try:
        read = pq.read_metadata(path)
        facts: Facts = json.loads((read.metadata or {})[KEY])
    except (OSError, pa.ArrowInvalid, KeyError):
        return None
    return facts if facts["rows"] == read.num_rows else None


def _scored(
    missing: list[Partition],
    by: Source,
    model: OnnxModel,
    target: Path,
    partition_rows: int,
    wrong: dict[Path, list[str]],
) -> Iterator[Partition]:
    """Score what is missing, and yield each partition that is done; note what is `wrong`."""
    for one, group in groupby(missing, key=lambda partition: partition.input):
        todo = {partition.number: partition for partition in group}
        problems = wrong[one.path]
        with _noting(problems):
            scorer = Scorer(
                one.path,
                model,
                lenient=by.lenient,
                written=by.written,
                explained=by.explained,
            )
            batches = _batches(one.path, partition_rows, scorer)
            for number, rows in groupby(batches, key=lambda batch: batch[0] // partition_rows):
                if number in todo:
                    with _noting(problems):
                        _write(todo[number], by, scorer, rows, target)
                        yield todo[number]


def _batches(
    path: Path, partition_rows: int, scorer: Scorer
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """The rows of a file, never those of two partitions together, and how many came before."""
    before = 0
    for read, _ in tables.batches(path, scorer.batch_rows, scorer.contract.dialect):
        start = 0
        while start < read.num_rows:
            part = read.slice(start, partition_rows - before % partition_rows)
            yield before, part
            start += part.num_rows
            before += part.num_rows


def _write(
    partition: Partition,
    by: Source,
    scorer: Scorer,
    rows: Iterator[tuple[int, pa.RecordBatch]],
    target: Path,
) -> None:
    facts = {KEY: json.dumps(partition.facts(by)).encode()}
    scorer.tally = Tally()
    scored = (scorer.score(read, before) for before, read in rows)
    first = next(scored)
    with replacing(target / partition.name) as temporary:
        with tables.writing(temporary, first.schema.with_metadata(facts)) as write:
            write(first)
            for batch in scored:
                write(batch)
            write.note(COUNTED, _counts(scorer.tally))
        if _changed(partition.input.path) != partition.input.changed or _facts(temporary) is None:
            raise InputError(f"{partition.input.path}: was changed meanwhile; run this again")


def _counts(tally: Tally) -> str:
    broken = [[column, rule, rows] for (column, rule), rows in tally.broken.items()]
    return json.dumps({"broken": broken, "unknown": tally.unknown})


def _counted(path: Path, rows: int) -> Tally:
    """What a partition's file says of its rows."""
    counts = json.loads((pq.read_metadata(path).metadata or {}).get(COUNTED, b"{}"))
    broken = {(column, rule): n for column, rule, n in counts.get("broken", [])}
    return Tally(rows, Counter(broken), Counter(counts.get("unknown", {})))


def _write_manifest(
    inputs: list[Input], partitions: list[Partition], by: Source, target: Path, tally: Tally
) -> None:
    """Write down what is there, when each row has its prediction."""
    for partition in partitions:
        if not _is_there(partition, by, target):
            raise CheckError(f"{target / partition.name}: was changed meanwhile; run this again")
    content = {
        **asdict(by),
        "rows": sum(one.rows for one in inputs),
        "counted": json.loads(_counts(tally)),
        "inputs": [{"name": e.name, "sha256": e.sha256, "rows": e.rows} for e in inputs],
        "partitions": [
            {
                "name": partition.name,
                "sha256": sha256(target / partition.name),
                "input": partition.input.name,
                "before": partition.before,
                "rows": partition.rows,
            }
            for partition in partitions
        ],
    }
    write_json(target / MANIFEST, content)


@contextmanager
def _noting(problems: list[str]) -> Iterator[None]:
    """Note what cannot be scored, and let the rest go on."""
    try:
        yield
    except InputError as error:
        problems.append(str(error))


def _line(problems: list[str]) -> Iterator[str]:
    """What is wrong with a file: its first trouble, and how many more partitions have one."""
    if problems:
        more = f" (and {len(problems) - 1:,} more of its partitions)" if len(problems) > 1 else ""
        yield problems[0] + more


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    """Let nobody else write to the folder. Raises CheckError where somebody does."""
    if target.is_file():
        raise InputError(f"{target}: is a file; give a folder")
    target.mkdir(parents=True, exist_ok=True)
    folder = os.open(target, os.O_RDONLY)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CheckError(f"{target}: another batch writes there; wait for it") from None
        yield
    finally:
        os.close(folder)
