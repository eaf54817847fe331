"""A small project in Git and DVC with a remote of its own. Its stages are not run: what they would
make is put in place, and DVC takes it for made."""

import hashlib
import json
import os
import shutil
from configparser import ConfigParser
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
from dvc.repo import Repo
from engine import made
from engine.workspace import Workspace, root
from onnx import helper
from ruamel.yaml import YAML
from yaml import CSafeLoader, load

from mlops import paths
from mlops.config.gates import Gate
from mlops.config.params import Params
from mlops.data.contract import Contract
from mlops.data.inputs import model_inputs, target_values
from mlops.data.profile import profile
from mlops.files import read_json, write_json, write_text
from mlops.inference import OnnxModel
from mlops.judging.bootstrap import intervals
from mlops.judging.slices import slices
from mlops.learning import conversion
from mlops.learning.dependence import dependence, strongest
from mlops.learning.metrics import Scored, catalogue, score
from mlops.learning.model import Model
from mlops.learning.naive import naive_answers, naive_scores
from mlops.learning.outcomes import outcomes
from mlops.pipeline import convert

MODELS = (paths.CANDIDATE, paths.CANDIDATE_ONNX, paths.MODEL, paths.ONNX)
PARTS = [str(path) for path in paths.PARTS.values()]
SMALL = (
    paths.METRICS,
    paths.INTERVALS,
    paths.OUTCOMES,
    paths.IMPORTANCE,
    paths.DEPENDENCE,
    paths.NAIVE,
    paths.FAIRNESS,
    paths.SLICES,
    paths.PARITY,
    paths.PROFILE,
    paths.PROVENANCE,
)

# Stages as the project's, but that they do nothing.
STAGES: dict[str, Any] = {
    "split": {"cmd": "true", "deps": ["contract.yaml"], "params": ["split"], "outs": PARTS},
    "train": {
        "cmd": "true",
        "deps": ["code.py", PARTS[0]],
        "params": ["train"],
        "outs": [*map(str, MODELS)],
    },
    "evaluate": {
        "cmd": "true",
        "deps": [str(paths.CANDIDATE_ONNX), PARTS[2]],
        "outs": [str(paths.PLOTS), *({str(path): {"cache": False}} for path in SMALL)],
    },
}

# What DVC wrote of files that it took for made, by what they are: see `Stored.ran`.
LOCKS: dict[str, bytes] = {}

FIRST = {"binary": "linear", "multiclass": "linear", "regression": "linear", "clustering": "kmeans"}


def rows(what: str, count: int = 300, seed: int = 5) -> pd.DataFrame:
    """Rows as `made.rows`; for clustering only `size` varies, and forms four clusters."""
    data = made.rows(what, count, seed)
    if what != "clustering":
        return data
    rng = np.random.default_rng(seed)
    size = rng.choice([-9.0, -3.0, 3.0, 9.0], count) + rng.normal(0, 0.1, count)
    return data.assign(size=size, rank=0.0, noise=0.0, wet=True, colour="red")


@cache
def fitted(what: str, how: str = "good") -> Model:
    """A model that is `good`, its `twin` from other rows, or `poor`: it never saw what decides."""
    data = rows(what, made.ROWS, seed=8 if how == "twin" else 0)
    if how == "poor":
        data = data.assign(size=np.random.default_rng(1).normal(0, 3, len(data)))
    interval = 0.9 if what == "regression" else None
    chosen = made.params(what, FIRST[what], interval=interval)
    return made.fit(chosen, made.contract(what), data, rows(what, 200, seed=9))


@cache
def _converted(what: str, how: str) -> onnx.ModelProto:
    return conversion.to_onnx(fitted(what, how), made.contract(what))


@cache
def _examined(what: str, how: str, rows: bytes, _served: bytes) -> dict[Path, Any]:
    """What the stages write of the model that is in place, on some test rows.

    Args:
        what: is predicted.
        how: which model; see `fitted`.
        rows: the test rows, as Parquet.
        _served: the model that is in place, whose bytes tell it from another one.
    """
    model, contract = fitted(what, how), made.contract(what)
    test = pd.read_parquet(BytesIO(rows))
    params, inputs = made.params(what, FIRST[what]), model_inputs(test, contract)
    scored = Scored(
        model.predict(inputs),
        target_values(test, contract),
        getattr(model.pipeline, "classes_", None),
        model.pipeline[:-1].transform(inputs),
    )
    others = [name for name in contract.features if name != "size"]
    importance = [
        {"column": name, "importance": 0.5 if name == "size" else 0.0, "spread": 0.1}
        for name in ("size", *others)
    ]
    converted = OnnxModel(paths.CANDIDATE_ONNX)
    moved = dependence(converted, contract, test, strongest(importance), params.evaluate)
    naive = naive_answers(scored, test, contract, params.evaluate.naive)
    return {
        paths.METRICS: score(params.task, scored),
        paths.INTERVALS: intervals(catalogue(params.task), scored, params.compare),
        paths.OUTCOMES: outcomes(params.task, scored, model.classes or []),
        paths.IMPORTANCE: importance,
        paths.DEPENDENCE: moved,
        paths.FAIRNESS: {},
        paths.NAIVE: naive_scores(params.task, naive, None),
        paths.SLICES: slices(params.task, scored, test, contract, params.evaluate),
        paths.PARITY: {"tolerance": 1e-4, "groups": {"test": {"difference": 1e-7}}},
        paths.PROVENANCE: {"snapshot_sha256": "0" * 64},
        paths.PLOTS / "importance.json": importance,
        paths.PLOTS / "dependence.json": moved,
        paths.PROFILE: profile(test, contract),
    }


@dataclass(frozen=True)
class Stored(Workspace):
    """Such a project, in which the process must be: most code takes paths from there."""

    what: str

    @staticmethod
    def begin(folder: Path, what: str, cache: Path) -> "Stored":
        """An empty project at `folder`, with a remote beside it.

        Args:
            what: is predicted; see made.py.
            cache: DVC's, which several may share: DVC makes 256 folders for each.
        """
        (folder / ".dvc").mkdir(parents=True)
        stored = folder.parent / "storage"
        stored.mkdir()
        write_text(
            folder / ".dvc/config",
            "[core]\n    analytics = false\n    remote = storage\n"
            f"['remote \"storage\"']\n    url = {stored}\n    verify = true\n",
        )
        write_text(folder / ".dvc/config.local", f"[cache]\n    dir = {cache}\n")
        write_text(folder / ".gitignore", "/data/split\n/models\n/reports/plots\n/build\n")
        write_text(folder / ".dvc/.gitignore", "/tmp\n/cache\n/config.local\n/plots\n")
        (folder / paths.PLOT_TEMPLATES).symlink_to(root() / paths.PLOT_TEMPLATES)
        write_text(folder / "code.py", "pass\n")
        write_text(folder / "pyproject.toml", "[tool.mlops]\n")
        project = Stored(folder, what)
        project.write("dvc.yaml", {"stages": STAGES})
        project.git("init", "--quiet", "--initial-branch=main")
        project.git("config", "core.fsync", "none")
        project.params()
        write_text(folder / paths.CONTRACT, made.contract(what).model_dump_json())
        return project

    def write(self, name: str, content: Any) -> None:
        """Write a YAML file."""
        YAML(typ="safe", pure=True).dump(content, self.folder / name)

    def params(self, gates: dict[str, Any] | None = None, **train: Any) -> Params:
        """Write params.yaml, with the one estimator: DVC reads it again and again."""
        bounds = {name: Gate.model_validate(gate) for name, gate in (gates or {}).items()}
        params = made.params(self.what, FIRST[self.what], **train)
        own = {params.train.estimator: params.estimators[params.train.estimator]}
        params = params.model_copy(update={"gates": bounds, "estimators": own})
        self.write("params.yaml", params.model_dump(mode="json", exclude_none=True))
        return params

    def put(
        self,
        how: str = "good",
        test: pd.DataFrame | None = None,
        train: pd.DataFrame | None = None,
        contract: Contract | None = None,
        **metadata: Any,
    ) -> None:
        """Put in place what the stages would make of a model; see `fitted`.

        Args:
            how: which model.
            test: its test rows.
            train: its rows to train on and to look at; as the test rows if they do not matter.
            contract: of the model, where it is not that of `made`.
            metadata: what the ONNX model is to say otherwise.
        """
        model, contract = fitted(self.what, how), contract or made.contract(self.what)
        test = rows(self.what) if test is None else test
        for name, path in paths.PARTS.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            (test if name == "test" or train is None else train).to_parquet(path)
        write_json(paths.PROVENANCE, {"snapshot_sha256": "0" * 64})
        for path in (paths.CANDIDATE, paths.MODEL):
            model.save(path)
        converted = onnx.ModelProto()
        converted.CopyFrom(_converted(self.what, how))
        params = made.params(self.what, FIRST[self.what])
        told = convert.metadata(model, params, contract)
        told |= {name: json.dumps(value) for name, value in metadata.items()}
        helper.set_model_props(converted, {name: told[name] for name in sorted(told)})
        for path in (paths.CANDIDATE_ONNX, paths.ONNX):
            onnx.save(converted, path)
        rows_of, served = paths.PARTS["test"].read_bytes(), paths.CANDIDATE_ONNX.read_bytes()
        for path, content in _examined(self.what, how, rows_of, served).items():
            write_json(path, content)

    def ran(self) -> None:
        """Make DVC believe that all stages ran.

        Of files that it took for made before, by the lock that it wrote then, where its cache still
        has them.
        """
        lock, content = self.folder / "dvc.lock", self._content()
        known = LOCKS.get(content)
        if known is not None and self._is_cached(known):
            lock.write_bytes(known)
            return
        with Repo(str(self.folder)) as repo:
            repo.commit(force=True)
        LOCKS[content] = lock.read_bytes()

    def _content(self) -> str:
        """A hash of every file but Git's and DVC's own."""
        found = hashlib.sha256()
        for place, names, files in os.walk(self.folder):
            folder = Path(place)
            names[:] = sorted({*names} - {".git", ".dvc"})
            for file in sorted(folder / name for name in files):
                content = hashlib.sha256(file.read_bytes()).hexdigest()
                found.update(f"{file.relative_to(self.folder)}\0{content}\n".encode())
        return found.hexdigest()

    def _is_cached(self, lock: bytes) -> bool:
        """Tell whether DVC's cache has every output that a lock names."""
        config = ConfigParser()
        config.read(self.folder / ".dvc/config.local")
        cache = Path(config.get("cache", "dir", fallback=str(self.folder / ".dvc/cache")))
        outs = [
            out for stage in load(lock, CSafeLoader)["stages"].values() for out in stage["outs"]
        ]
        kept = [out["md5"] for out in outs if out["path"] not in map(str, SMALL)]
        for folder in [md5 for md5 in kept if md5.endswith(".dir")]:
            listed = cache / "files/md5" / folder[:2] / folder[2:]
            kept += [file["md5"] for file in read_json(listed)] if listed.exists() else []
        return all((cache / "files/md5" / md5[:2] / md5[2:]).exists() for md5 in kept)

    def commit(self) -> str:
        """Commit what Git keeps, and return the commit."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message=more")
        return self.git("rev-parse", "HEAD")

    def made(self, how: str = "good", **options: Any) -> str:
        """Put a model in place, take it for made, commit that."""
        self.put(how, **options)
        self.ran()
        return self.commit()

    def back_to(self, commit: str) -> None:
        """Have the outputs of a commit in the cache, and none of another in the workspace."""
        self.git("checkout", "--quiet", commit, "--", "dvc.lock")
        shutil.rmtree(self.folder / "models")

    def push(self) -> None:
        """Push what DVC keeps."""
        with Repo(str(self.folder)) as repo:
            repo.push()

    def git(self, *arguments: str) -> str:
        """Run Git, which must not fail."""
        who = ("-c", "user.name=A", "-c", "user.email=a@example.com")
        done = self.run("git", *who, *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    @property
    def remote(self) -> Path:
        """The remote's folder."""
        return self.folder.parent / "storage"

    def forget(self, *, remote: bool = False) -> None:
        """Lose DVC's cache and what only DVC keeps, and the remote's content where asked."""
        (self.folder / ".dvc/config.local").unlink(missing_ok=True)
        lost = [self.folder / ".dvc/cache", self.folder / "data/split", self.folder / "models"]
        for folder in [*lost, *([self.remote / "files"] if remote else [])]:
            shutil.rmtree(folder, ignore_errors=True)
