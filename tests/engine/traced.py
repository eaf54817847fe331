"""A small project in Git and DVC, whose stages did nothing, with a release that can be tampered
with, and one that an environment runs."""

import hashlib
import json
from pathlib import Path
from typing import Any

from dvc.repo import Repo
from engine.stored import Stored

from mlops import paths
from mlops.git.revision import Revision
from mlops.release import artefact
from mlops.release.evidence import (
    Evidence,
    Export,
    Images,
    Model,
    evidence_path,
    evidence_text,
)
from mlops.release.hop import Hop
from mlops.release.lineage import exports, of_commit
from mlops.release.state import policy_path, release_path
from mlops.release.trace import trace

QUERY = "select 1\n"
SOURCES = {
    "data/kept.csv": "in Git\n",
    "data/large.csv": "with DVC\n",
    "data/parts/one.csv": "in a folder with DVC\n",
}
SNAPSHOT = "the snapshot\n"
MODEL = "the model\n"
EXPORTED = {"model.c": "the code\n", "model.h": "the header\n"}
STAGES: dict[str, Any] = {
    "ingest": {
        "cmd": "true",
        "deps": ["data/kept.csv", "data/large.csv", "data/parts"],
        "outs": [f"{paths.SNAPSHOT}", {f"{paths.PROVENANCE}": {"cache": False}}],
    },
    "train": {
        "cmd": "true",
        "deps": [f"{paths.SNAPSHOT}"],
        "outs": [f"{paths.CANDIDATE_ONNX}", f"{paths.ONNX}"],
    },
    "export": {
        "cmd": "true",
        "deps": [f"{paths.ONNX}"],
        "outs": [f"{paths.EXPORT / 'c'}", {f"{paths.EXPORT_REPORTS / 'c.json'}": {"cache": False}}],
    },
    "evaluate": {
        "cmd": "true",
        "deps": [f"{paths.CANDIDATE_ONNX}"],
        "outs": [{f"{paths.METRICS}": {"cache": False}}],
    },
}


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def provenance() -> dict[str, Any]:
    origins = [{"name": name, "rows": 1, "sha256": sha256(text)} for name, text in SOURCES.items()]
    return {"snapshot_sha256": sha256(SNAPSHOT), "origins": origins}


class Traced:
    """Such a project with a release, to be tampered with."""

    def __init__(self, stored: Stored) -> None:
        self.stored = stored
        self.git = stored.git
        self.id = ""

    def begin(self) -> None:
        """Put in place what the stages would make, keep all of it, and release that."""
        self.stored.write("dvc.yaml", {"stages": STAGES})
        pyproject = Path("pyproject.toml")
        pyproject.write_text('[project]\nname = "traced"\n\n[tool.mlops]\n')
        files = SOURCES | {f"{paths.SNAPSHOT}": SNAPSHOT, f"{paths.ONNX}": MODEL}
        files |= {"params.yaml": "export: {targets: {c: {}}}\n"}
        files |= {"query.sql": QUERY, f"{paths.CANDIDATE_ONNX}": "the candidate\n"}
        files |= {f"{paths.METRICS}": '{"roc_auc": 0.7}\n'}
        files |= {f"{paths.PROVENANCE}": json.dumps(provenance())}
        files |= {f"{paths.EXPORT / 'c' / name}": text for name, text in EXPORTED.items()}
        exported = {name: {"sha256": sha256(text)} for name, text in EXPORTED.items()}
        files |= {f"{paths.EXPORT_REPORTS / 'c.json'}": json.dumps({"files": exported})}
        for name, text in files.items():
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).write_text(text)
        Path(".gitignore").write_text("/models\n/data/raw/snapshot.parquet\n")
        with Repo() as repo:
            repo.add(["data/large.csv", "data/parts"])
        self.made()
        self.stored.push()
        self.release()

    def made(self) -> str:
        """Have DVC take what is there for made, and commit."""
        self.stored.ran()
        return self.stored.commit()

    def release(self, **changes: Any) -> None:
        """Release what is committed."""
        at = Revision(self.git("rev-parse", "HEAD"))
        known = of_commit(at)
        self.id = known["id"]
        evidence = Evidence(
            id=self.id,
            created="2030-01-01T00:00:00Z",
            git_sha=str(at.commit),
            dvc_lock_sha256=known["dvc_lock_sha256"] or "1" * 64,
            snapshot_sha256=known["snapshot_sha256"] or "1" * 64,
            model=Model(
                version=known["model.version"],
                md5=known["model.md5"] or "1" * 32,
                sha256=sha256(MODEL),
                judged_md5=known["model.judged_md5"],
            ),
            images=Images(serving="", training=""),
            exports={
                name: Export.model_validate(each)
                for name, each in exports(at).items()
                if each["md5"]
            },
            metrics=at.load(paths.METRICS) or {},
        )
        self.write(evidence.model_copy(update=changes))

    def write(self, evidence: Evidence) -> None:
        """Write evidence, and commit it."""
        path = evidence_path(evidence.id)
        path.parent.mkdir(exist_ok=True)
        path.write_text(evidence_text(evidence))
        self.stored.commit()

    def hops(self, what: str | None = None) -> dict[str, Hop]:
        """What a trace finds on what is checked out, by what is looked at."""
        return {
            hop.what: hop for hop in trace(what or self.id, Revision(self.git("rev-parse", "HEAD")))
        }

    def others(self) -> dict[str, Hop]:
        """Those that are not ok."""
        return {what: hop for what, hop in self.hops().items() if hop.state != "ok"}


SETTINGS = "LISTEN=127.0.0.1:8080\nREPLICAS=1\nCPUS=1\nMEMORY=512M\n"


class Shipped:
    """A release that dev runs, to be fetched from."""

    def __init__(self, traced: Traced) -> None:
        self.traced = traced
        content = Evidence.model_validate_json(evidence_path(traced.id).read_text())
        files = {policy_path("dev"): "requires: null\n", policy_path("prod"): "requires: dev\n"}
        files |= {release_path("dev"): content.release.text()}
        files |= {Path(f"environments/{name}/config.env"): SETTINGS for name in ("dev", "prod")}
        for path, text in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        traced.stored.commit()

    def fetch(self, folder: Path, environment: str = "dev", target: str = "c") -> list[Path]:
        at = Revision(self.traced.git("rev-parse", "HEAD"))
        return artefact.fetch(environment, target, folder, at)
