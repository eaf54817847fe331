"""Trees of Git as paths and what is there, read and written without touching the workspace.

Objects go to the project's own store, where nothing names them until a commit does. Index, branches
and merges are those of a bare repository beside it, so that nothing of the project's own moves.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from ..git.revision import contents, git

# A path, and what Git writes of it in a tree: "100644 blob 1234…".
Tree = Mapping[str, str]

_AUTHOR = {
    f"GIT_{who}_{what}": said
    for who in ("AUTHOR", "COMMITTER")
    for what, said in (("NAME", "mlops update"), ("EMAIL", "mlops@localhost"))
}


@dataclass(frozen=True)
class Merged:
    """What Git made of two changes.

    Attributes:
        tree: the result; files hold the marks of their conflicts.
        conflicts: paths that changed on both sides, so that a person must choose.
        kept: paths that one side removed and the other changed; the change is kept.
    """

    tree: Tree
    conflicts: list[str]
    kept: list[str]


@dataclass(frozen=True)
class Store:
    """Where trees are read and written: see `store`."""

    folder: Path
    env: dict[str, str] = field(default_factory=dict)

    def git(self, *arguments: str, text: str = "", success: tuple[int, ...] = (0,)) -> str:
        """Run Git on the project's objects, and no other file of the project."""
        return git(*arguments, text=text, env=self.env, success=success)

    def tree(self, name: str) -> Tree:
        """The tree that Git calls `name`: of a commit, or a tree itself."""
        lines = filter(None, self.git("ls-tree", "-r", "-z", "--full-tree", name).split("\0"))
        return {path: entry for entry, _, path in (line.partition("\t") for line in lines)}

    def read(self, entry: str) -> str:
        """The text of an entry."""
        return self.content(entry).decode("utf-8")

    def content(self, entry: str) -> bytes:
        """The content of an entry."""
        return contents([entry.split()[2]])[0]

    def every(self, tree: Tree) -> dict[str, bytes]:
        """The contents of all files of a tree."""
        found = contents(entry.split()[2] for entry in tree.values())
        return dict(zip(tree, found, strict=True))

    def blob(self, text: str) -> str:
        """The entry of a file that holds this text."""
        return f"100644 blob {self.git('hash-object', '-w', '--stdin', text=text)}"

    def of_folder(self, folder: Path) -> Tree:
        """The tree of all files in a folder, whatever its .gitignore says."""
        env = self.env | self._index() | {"GIT_WORK_TREE": str(folder)}
        git("-C", str(folder), "add", "--all", "--force", "--", ".", env=env)
        return self.tree(git("write-tree", env=env))

    def write(self, tree: Tree) -> str:
        """Write a tree, and return its name."""
        env = self.env | self._index()
        lines = "".join(f"{entry}\t{path}\0" for path, entry in tree.items())
        git("update-index", "-z", "--index-info", text=lines, env=env)
        return git("write-tree", env=env)

    def checkout(self, tree: Tree, folder: Path) -> None:
        """Write the files of a tree to a folder."""
        folder.mkdir(parents=True)
        env = self.env | self._index() | {"GIT_WORK_TREE": str(folder)}
        git("read-tree", self.write(tree), env=env)
        git("-C", str(folder), "checkout-index", "--all", "--quiet", env=env)

    def merge(self, base: Tree, ours: Tree, theirs: Tree) -> Merged:
        """Merge two changes of `base`, as `git merge` does. What `ours` removed stays removed."""
        parent = self._commit(base)
        for name, tree in (("yours", ours), ("template", theirs)):
            self.git("update-ref", f"refs/heads/{name}", self._commit(tree, "-p", parent))
        # Else a file of the owner's would follow the template's files into another folder.
        options = ["-c", "merge.directoryRenames=false"]
        arguments = ["merge-tree", "--write-tree", "--messages", "-z", "yours", "template"]
        told = self.git(*options, *arguments, success=(0, 1)).split("\0")
        tree = dict(self.tree(told[0]))
        end = told.index("", 1) if "" in told[1:] else len(told)
        stages: dict[str, set[str]] = {}
        for line in told[1:end]:
            entry, _, path = line.partition("\t")
            stages.setdefault(path, set()).add(entry.split()[2])
        conflicts, kept = [], []
        for path, there in stages.items():
            if {"2", "3"} <= there:
                conflicts.append(path)
            elif "2" not in there:
                tree.pop(path, None)
            else:
                kept.append(path)
        return Merged(tree, sorted(conflicts), sorted(kept))

    def _index(self) -> dict[str, str]:
        """An empty index of its own."""
        index = self.folder / "index"
        index.unlink(missing_ok=True)
        return {"GIT_INDEX_FILE": str(index)}

    def _commit(self, tree: Tree, *options: str) -> str:
        env = self.env | _AUTHOR
        return git("commit-tree", self.write(tree), *options, text="side\n", env=env)


@contextmanager
def store() -> Iterator[Store]:
    """The project's objects, with an index and branches of their own."""
    asked = ["--path-format=absolute", "--git-path", "objects", "--show-object-format"]
    objects, form = git("rev-parse", *asked).splitlines()
    with TemporaryDirectory() as folder:
        bare = Path(folder) / "bare.git"
        git("init", "--quiet", "--bare", f"--object-format={form}", str(bare))
        env = {"GIT_DIR": str(bare), "GIT_OBJECT_DIRECTORY": objects}
        yield Store(Path(folder), env)
