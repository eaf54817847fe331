"""The images of a release: built once from its commit, and never replaced in a registry.

What is built is the commit and its model alone, whatever else lies in the checkout, with one time
for every file: the same commit makes the same digests. https://reproducible-builds.org/docs
"""

import json
import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from ..errors import CheckError, InputError, ProjectError
from ..files import sha256
from ..git.revision import Revision, git
from ..paths import ONNX
from ..project import PYPROJECT
from . import declared
from .declared import image_names
from .docker import docker, program
from .evidence import Images
from .source import Source

DOCKERFILES = Path("deploy/images")


def declared_names(at: Revision, registry: str | None) -> dict[str, str]:
    """The name of each image in the registry that a revision declares.

    Args:
        at: the revision.
        registry: the one that is meant; None for that.
    Raises:
        InputError: another one is meant, or none is declared.
    """
    known = declared.registry(at)
    if registry not in (None, known):
        image_names(str(registry))
        raise InputError(
            f"{registry}: {PYPROJECT} declares {known} (tool.mlops: registry): no release "
            "may have images of another; change it there first"
        )
    return image_names(known)


def build(source: Source, names: Mapping[str, str], arguments: list[str]) -> Images:
    """Build both images, and push them.

    Args:
        source: what they are built of.
        names: where to, by what an image is for.
        arguments: further ones of the Dockerfiles, as NAME=value.
    Raises:
        InputError: an argument or the builder is none that will do.
        CheckError: the registry has another image under a release's name, or cannot be asked.
        ProjectError: an image cannot be built or pushed.
    """
    if wrong := [each for each in arguments if not re.match(r"\w+=", each)]:
        raise InputError(f"--build-arg {wrong[0]}: write NAME=value")
    if "\nDriver: docker\n" in re.sub(" +", " ", f"\n{docker('buildx', 'inspect')}\n"):
        raise InputError(
            "Docker's own builder makes other digests each time: `docker buildx create --use` "
            "makes a builder that does not, once for this machine"
        )
    platforms = {"serving": declared.platforms(source.at)}
    with _context(source) as context:
        return Images(
            **{
                kind: _released(
                    Build(source, kind, context, arguments, platforms.get(kind, [])), name
                )
                for kind, name in names.items()
            }
        )


@contextmanager
def _context(source: Source) -> Iterator[Path]:
    """A folder with the commit's files and its model, with modes that no umask changes."""
    with TemporaryDirectory() as folder:
        archive, context = Path(folder, "commit.tar"), Path(folder, "context")
        git("archive", "--format=tar", f"--output={archive}", source.commit)
        with tarfile.open(archive) as packed:
            packed.extractall(context, filter="data")
        model = context / ONNX
        model.parent.mkdir(exist_ok=True)
        shutil.copyfile(source.model, model)
        model.chmod(0o644)
        yield context


@dataclass(frozen=True)
class Build:
    """An image to be built.

    Attributes:
        source: what of.
        kind: which one.
        context: a folder with its files.
        arguments: of its Dockerfile, as NAME=value, beside those of every release.
        platforms: what it is for; empty for the builder's own. Of several, the digest is that of an
            index with an image for each.
    """

    source: Source
    kind: str
    context: Path
    arguments: list[str]
    platforms: list[str]

    def push(self, name: str, by_digest: bool = False) -> str:
        """Build and push it, with a tag or by its digest alone, and return the digest.

        Raises ProjectError when that fails, for which Docker gives the reason as it goes.
        """
        # zstd takes a quarter of gzip's time, for each layer twice: for its times are rewritten.
        how = f"name={name},push=true,push-by-digest={by_digest},rewrite-timestamp=true".lower()
        how += ",oci-mediatypes=true,compression=zstd"
        known = [f"RELEASE={self.source.id}", f"REVISION={self.source.commit}"]
        if self.kind == "serving":
            known.append(f"MODEL_SHA256={sha256(self.source.model)}")
        told = self.context.parent / f"{self.kind}.json"
        done = subprocess.run(
            [
                *(program(), "buildx", "build", "--provenance=false", f"--metadata-file={told}"),
                f"--file={self.context / DOCKERFILES / self.kind}.Dockerfile",
                f"--output=type=image,{how}",
                *(f"--build-arg={each}" for each in (*known, *self.arguments)),
                *([f"--platform={','.join(self.platforms)}"] if self.platforms else []),
                self.context,
            ],
            env=os.environ | {"SOURCE_DATE_EPOCH": f"{self.source.committed.timestamp():.0f}"},
            stdin=subprocess.DEVNULL,
            check=False,
        )
        if done.returncode:
            raise ProjectError(f"{name}: `docker buildx build` failed; it says why above")
        return str(json.loads(told.read_text(encoding="utf-8"))["containerimage.digest"])


def _released(build: Build, name: str) -> str:
    """Push an image with the release's id for a tag, and return its name with its digest.

    Raises CheckError where another image has that tag, or the registry cannot be asked.
    """
    tag = f"{name}:{build.source.id}"
    there = _digest(tag)
    digest = build.push(tag) if there is None else build.push(name, by_digest=True)
    if there not in (None, digest):
        raise CheckError(
            f"{tag} is {there} in the registry, and this commit makes {digest}: a release is never "
            "replaced; find out what differs, or commit again"
        )
    return f"{name}@{digest}"


def _digest(tag: str) -> str | None:
    """What a tag names in its registry; None for nothing."""
    try:
        told = docker("buildx", "imagetools", "inspect", "--format={{json .Manifest}}", tag)
    except CheckError as error:
        if str(error).endswith(f"{tag}: not found"):
            return None
        raise
    return str(json.loads(told)["digest"])
