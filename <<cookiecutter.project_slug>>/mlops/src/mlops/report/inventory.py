"""The features of features.yaml: what they are, and which release takes which of their versions."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..data.contract import Contract, load_contract
from ..errors import InputError
from ..files import parse
from ..git.revision import Revision
from ..learning.declared import FeatureFile, declared, load_declared
from ..paths import CONTRACT, FEATURES
from ..release.state import environments


@dataclass(frozen=True)
class Use:
    """What an environment's release takes of a feature.

    Attributes:
        environment, release: which.
        version: as it was declared then.
        same: whether it means what it means here.
    """

    environment: str
    release: str
    version: int
    same: bool


@dataclass(frozen=True)
class Listed:
    """A feature.

    Attributes:
        name, kind, expr, description, owner, version: as declared, and what follows.
        columns: of the contract, that it reads.
        encode: how a text becomes numbers, where it is not one-hot encoded.
        learn: whether the model learns from it itself.
        sha256: of its meaning.
        used: by releases.
    """

    name: str
    kind: str
    expr: str
    version: int
    description: str | None
    owner: str | None
    columns: list[str]
    encode: str | None
    learn: bool
    sha256: str
    used: list[Use]

    @property
    def renamed(self) -> list[str]:
        """Environments in which this version means something else."""
        return [
            each.environment for each in self.used if each.version == self.version and not each.same
        ]


def inventory(at: Revision) -> list[Listed]:
    """Each feature that is declared here, with the releases of the environments at a revision.

    Raises InputError where features.yaml or contract.yaml is not what it must be.
    """
    here = load_declared(load_contract()).described()
    there = {
        (name, each.release.id): found
        for name, each in environments(at).items()
        if each.release and (found := _described(Revision(each.release.git_sha)))
    }
    return [
        Listed(
            name=name,
            kind=told["kind"],
            expr=told["expr"],
            version=told["version"],
            description=told.get("description"),
            owner=told.get("owner"),
            columns=told["columns"],
            encode=told.get("encode", {}).get("how"),
            learn=told["learn"],
            sha256=told["sha256"],
            used=[
                Use(
                    environment,
                    release,
                    found[name]["version"],
                    found[name]["sha256"] == told["sha256"],
                )
                for (environment, release), found in there.items()
                if name in found
            ],
        )
        for name, told in here.items()
    ]


def _described(release: Revision) -> dict[str, dict[str, Any]]:
    """The features of a release; none where it has no such file, or is too old to be understood."""
    try:
        file = parse(_text(release, FEATURES), FeatureFile, FEATURES)
        contract = parse(_text(release, CONTRACT), Contract, CONTRACT)
        others = {
            name: parse(_text(release, Path(name)), FeatureFile, Path(name))
            for name in file.include
        }
        return declared(file, contract, FEATURES, others).described()
    except InputError:
        return {}


def _text(release: Revision, path: Path) -> str:
    text = release.read(path)
    if text is None:
        raise InputError(f"{path}: Git does not keep it")
    return text
