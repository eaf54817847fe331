"""Refuse answers that would break the project, before any of its files is written.

Every problem is one line on standard error, all of them at once, and then comes the command that
goes on with the other answers; the exit status 1 makes cookiecutter remove the folder. The hook
runs in the Python that cookiecutter lives in, so it uses the standard library only.
"""

from __future__ import annotations

import contextlib
import json
import keyword
import os
import posixpath
import re
import shlex
import shutil
import subprocess
import sys
import unicodedata
from collections.abc import Callable, Collection
from pathlib import Path, PurePosixPath

# cookiecutter checks a choice at the prompt and in extra context, but not in a replay file.
CHOICES = {
    "license": ("MIT", "Apache-2.0", "BSD-3-Clause", "proprietary"),
    "python_version": ("3.11", "3.12", "3.13"),
    "task": ("classification", "regression", "clustering"),
    "deployment": ("compose", "kubernetes", "kserve"),
    "review": ("strict", "fast"),
}

# Kubernetes takes names of 63 characters: SLUG-staging is a namespace, and KServe makes
# server-predictor-SLUG-staging a part of a host's name.
LONGEST_SLUG = {"kubernetes": 55, "kserve": 38}

# Names that the project's own folders, commands and tools need.
RESERVED = frozenset(
    "build conftest data deploy dist docs env environments hooks made mlops models pip released "
    "releases reports served setup setuptools sitecustomize src stored test tests type "
    "usercustomize uv venv wheel workspace".split()
)
# Windows cannot hold a file of these names.
WINDOWS = frozenset(
    ["con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))]
)
# Standard modules of Python 3.11 to 3.14 that the running Python may not know.
STANDARD = sys.stdlib_module_names | frozenset(
    "aifc annotationlib asynchat asyncore audioop cgi cgitb chunk compression crypt distutils "
    "imghdr imp lib2to3 mailcap msilib nis nntplib ossaudiodev pipes smtpd sndhdr spwd "
    "sunau telnetlib uu xdrlib xxlimited xxlimited_35 xxsubtype".split()
)
# Modules of the project's dependencies that are not called like their distribution.
MODULES = frozenset(
    "absl adbc_driver_duckdb antlr4 attr azure backports cattr dateutil dotenv example flufl "
    "git google grpc grpc_status hydra images isympy jwt markdown_it multipart mypyc "
    "opentelemetry proto public py pydevd_plugins pymdownx pynvml quickjs rpds ruamel sklearn "
    "validate vl_convert yaml zc zmq".split()
)

SLUG = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
PACKAGE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
OWNER = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9]|-(?=[A-Za-z0-9])){0,38}")
EMAIL = re.compile(
    r"(?=.{3,254}\Z)[A-Za-z0-9_][A-Za-z0-9_+-]*(?:\.[A-Za-z0-9_+-]+)*"
    r"@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z][A-Za-z0-9-]*[A-Za-z0-9]"
)

# The address lands in .dvc/config, an INI file: quotes, commas, `#`, `;`, `%`, `$` and spaces
# mean something there, so nothing but these characters is let in.
ADDRESS = re.compile(r"[A-Za-z0-9._+@~:/-]+")
PREFIX = r"(?:/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._+@~-]+)*/?"
HOST = r"[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?)*"
PORT = r"[1-9][0-9]{0,4}"
NO_IP = r"(?![0-9]+(?:\.[0-9]+){3}(?:/|\Z))"
REMOTES = {
    "local": (
        re.compile(r"(?:\.\.)?(?:/[A-Za-z0-9._+@~-]+)+/?"),
        "give a folder that starts with / or ../",
    ),
    "s3": (
        re.compile(
            rf"s3://{NO_IP}(?!xn--|sthree-|amzn-s3-demo-)[a-z0-9](?:[a-z0-9-]|\.(?!\.)){{1,61}}"
            rf"[a-z0-9](?<!-s3alias)(?<!--ol-s3)(?<!\.mrap)(?<!--x-s3){PREFIX}"
        ),
        "give s3://bucket or s3://bucket/prefix, with a bucket name that AWS allows",
    ),
    "gs": (
        re.compile(
            rf"gs://{NO_IP}(?!goog)(?![^/]*google)[a-z0-9](?:[a-z0-9_-]|\.(?!\.)){{1,61}}"
            rf"[a-z0-9]{PREFIX}"
        ),
        "give gs://bucket or gs://bucket/prefix, with a bucket name that Google allows",
    ),
    "azure": (
        re.compile(rf"azure://(?=[^/]{{3,63}}(?:/|\Z))[a-z0-9]+(?:-[a-z0-9]+)*{PREFIX}"),
        "give azure://container or azure://container/path, with a name that Azure allows",
    ),
    "ssh": (
        re.compile(rf"ssh://(?:[A-Za-z_][A-Za-z0-9._-]*@)?{HOST}(?::{PORT})?(?=/[^/]){PREFIX}"),
        "give ssh://host/absolute/path, if needed with user@ before and :port after the host",
    ),
}
# How the addresses begin that cookiecutter.json makes of the slug.
STORES = ("../", "s3://", "gs://", "azure://", "ssh://storage.example.com/srv/")
SECRETS = "keep secrets in .dvc/config.local or in the environment"


def problems(
    answers: dict[str, object], folder: Path, dependencies: frozenset[str]
) -> dict[str, str]:
    """Return what is wrong with each answer that cannot be used, in the order of the questions.

    `folder` is where the project is about to be written, `dependencies` are the normalised
    names of the distributions that it locks.
    """
    rules: dict[str, Callable[[str], str | None]] = {
        "project_name": one_line,
        "project_slug": lambda value: slug(
            value, dependencies, LONGEST_SLUG.get(str(answers.get("deployment")), 60)
        ),
        "package_name": lambda value: package(value, dependencies),
        "description": one_line,
        "author": one_line,
        "email": email,
        "github_owner": owner,
        "data_science_team": reviewers,
        "ml_engineering_team": reviewers,
        "license": lambda value: one_of(value, CHOICES["license"]),
        "python_version": lambda value: one_of(value, CHOICES["python_version"]),
        "task": lambda value: one_of(value, CHOICES["task"]),
        "data_remote": lambda value: one_of(value, tuple(REMOTES)),
        "data_remote_url": lambda value: address(value, str(answers.get("data_remote")), folder),
        "deployment": lambda value: one_of(value, CHOICES["deployment"]),
        "review": lambda value: one_of(value, CHOICES["review"]),
    }
    found = {}
    for question, rule in rules.items():
        answer = answers.get(question)
        problem = rule(answer) if isinstance(answer, str) else f"{shown(answer)} is not text"
        if problem:
            found[question] = problem
    return found


def correction(answers: dict[str, object], bad: Collection[str]) -> str:
    """Return the command that goes on from the good answers, with room for those that are bad.

    What the template makes of a bad answer is left to it: so it follows from the right one.
    """
    command = ["cookiecutter", str(answers["_template"]), "--no-input"]
    if checkout := answers.get("_checkout"):
        command += ["--checkout", str(checkout)]
    output = str(answers["_output_dir"])
    if Path(output) != Path(os.environ.get("PWD", ".")).resolve():
        command += ["--output-dir", output]
    followed = derived(answers, bad)
    for question, answer in answers.items():
        is_good = not question.startswith("_") and question not in bad
        if is_good and answer != followed.get(question):
            command.append(f"{question}={literal(str(answer))}")
    return shlex.join(command) + "".join(f" {question}=''" for question in bad)


def literal(answer: str) -> str:
    """Return an answer for the command line, where cookiecutter renders it, unlike at a prompt.

    The marks are not written out: this file is rendered, too.
    """
    opening, closing = "<" * 2, ">" * 2
    if opening not in answer and "# <" not in answer:
        return answer
    return f"{opening}{json.dumps(answer, ensure_ascii=False)}{closing}"


def derived(answers: dict[str, object], bad: Collection[str]) -> dict[str, object]:
    """Return the answers that cookiecutter.json makes of those that are bad."""
    made: dict[str, object] = {}
    if "project_slug" in bad:
        name, url = slugified(str(answers["project_slug"]).lower()), answers.get("data_remote_url")
        made |= {"package_name": name.replace("-", "_")}
        made |= {"data_remote_url": url} if url in {f"{each}{name}-data" for each in STORES} else {}
    if "github_owner" in bad:
        owner = slugified(str(answers["github_owner"]))
        made |= {"data_science_team": f"{owner}/data-science"}
        made |= {"ml_engineering_team": f"{owner}/ml-engineering"}
    return made


def slugified(text: str) -> str:
    """Return what cookiecutter's filter `slugify` makes of a text, its case apart."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9]+", "-", plain).strip("-")


def shown(value: object) -> str:
    """Return an answer as one short printable line, whatever it holds."""
    text = ascii(value) if not str(value).isprintable() else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def one_line(value: str) -> str | None:
    """Text in any script, which files of every format can hold on one line."""
    if not value.strip():
        return "is empty: give one line of text"
    if len(value) > 200:
        return f"{shown(value)} is {len(value)} characters long: use 200 at most"
    strange = next((char for char in value if not writable(char)), None)
    if strange is not None:
        return (
            f"{shown(value)} holds the character U+{ord(strange):04X}: "
            "give one line of printable text"
        )
    return None


def writable(char: str) -> bool:
    """Tell text from what a reader cannot see or a format cannot hold.

    Line breaks, control and direction characters, lone surrogates and U+FFFE/FFFF are out;
    joiners stay, because Persian and emoji need them.
    """
    if char in "\u200c\u200d":
        return True
    invisible = unicodedata.category(char) in {"Cc", "Cf", "Cs", "Zl", "Zp"}
    return not invisible and ord(char) & 0xFFFE != 0xFFFE


def normalised(name: str) -> str:
    """Return the name by which package indexes compare distributions."""
    return re.sub(r"[-_.]+", "-", name).lower()


def slug(value: str, dependencies: frozenset[str], longest: int) -> str | None:
    """Name the repository, its folder and its distribution."""
    if not SLUG.fullmatch(value):
        return (
            f"{shown(value)} is no repository name: use lower-case letters, digits and single "
            "hyphens, starting with a letter"
        )
    if len(value) > longest:
        return f"{shown(value)} is {len(value)} characters long: use {longest} at most"
    if value in WINDOWS:
        return f"{shown(value)} is reserved by Windows: choose another name"
    if value in dependencies:
        return f"{shown(value)} is the name of a dependency: choose another name"
    return None


def package(value: str, dependencies: frozenset[str]) -> str | None:
    """Name the Python package, which must hide no other module."""
    if not PACKAGE.fullmatch(value):
        return (
            f"{shown(value)} is no package name: use lower-case letters, digits and single "
            "underscores, starting with a letter"
        )
    if len(value) > 40:
        return f"{shown(value)} is {len(value)} characters long: use 40 at most"
    if keyword.iskeyword(value) or keyword.issoftkeyword(value):
        return f"{shown(value)} is a Python keyword: choose another name"
    if value in STANDARD:
        return f"{shown(value)} is a standard module of Python: choose another name"
    # pytest imports each file of tests/ as a module of its own name, whatever its owner adds there.
    if value in RESERVED or value in WINDOWS or value.startswith("test_"):
        return f"{shown(value)} is reserved: choose another name"
    if value in MODULES or normalised(value) in dependencies:
        return f"{shown(value)} is the name of a dependency: choose another name"
    return None


def email(value: str) -> str | None:
    """Take the plain form of an address, the one that needs no quoting anywhere."""
    if EMAIL.fullmatch(value):
        return None
    return f"{shown(value)} is no e-mail address: give one like name@example.com"


def owner(value: str) -> str | None:
    """Apply GitHub's rule for the names of users and organisations."""
    if OWNER.fullmatch(value):
        return None
    return (
        f"{shown(value)} is no GitHub name: use letters, digits and single hyphens between them, "
        "39 at most"
    )


def reviewers(value: str) -> str | None:
    """Accept what CODEOWNERS takes after the `@`: a user, or a team of an organisation."""
    name, slash, team = value.partition("/")
    if OWNER.fullmatch(name) and (not slash or SLUG.fullmatch(team)):
        return None
    return f"{shown(value)} is no GitHub user or owner/team: write ada or acme/data-science"


def one_of(value: str, choices: tuple[str, ...]) -> str | None:
    """Accept what the question offers."""
    if value in choices:
        return None
    return f"{shown(value)} is no choice: choose one of {', '.join(choices)}"


def address(value: str, remote: str, folder: Path) -> str | None:
    """Check that the store's address fits its kind; it is never shown, it may hold a secret."""
    if re.search(r"://[^/]*:[^/]*@", value):
        return f"holds a password: leave it out, {SECRETS}"
    if len(value) > 200:
        return f"is {len(value)} characters long: use 200 at most"
    if remote not in REMOTES:
        return None
    pattern, hint = REMOTES[remote]
    if not ADDRESS.fullmatch(value):
        return f"{hint}; use only ASCII letters, digits and . _ - + @ ~ : / in it, and {SECRETS}"
    if not pattern.fullmatch(value):
        return f"does not fit the data remote {remote!r}: {hint}"
    if remote == "local":
        store = PurePosixPath(posixpath.normpath(posixpath.join(folder.as_posix(), value)))
        project = PurePosixPath(folder.as_posix())
        if store.is_relative_to(project) or project.is_relative_to(store):
            return "is a folder inside or around the repository: give one beside it, as in ../data"
    return None


def locked(answers: dict[str, object]) -> frozenset[str]:
    """Return the names of the distributions in the template's lock file, as far as it is found.

    cookiecutter notes the template's folder as it was typed, so relative to where the user
    stood: the output folder, or with another output folder the shell's working directory.
    """
    for start in (str(answers.get("_output_dir")), os.environ.get("PWD", ".")):
        template = Path(start, str(answers.get("_repo_dir")))
        for lock in template.glob("*cookiecutter.project_slug*/uv.lock"):
            names = re.findall(r'^name = "(.+)"$', lock.read_text(encoding="utf-8"), re.MULTILINE)
            return frozenset(normalised(name) for name in names)
    return frozenset()


def surrounding(folder: Path) -> Path | None:
    """Return the Git repository in which the project would be a folder; None where it has its own.

    A folder that the repository ignores is none of its.
    """
    around = [path for path in (folder, *folder.parents) if (path / ".git").exists()]
    if not around or around[0] == folder:
        return None
    git = shutil.which("git")
    if git is not None:
        settings = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
        command = [git, "-C", str(around[0]), "check-ignore", "--quiet", str(folder)]
        if subprocess.run(command, env=settings, capture_output=True).returncode == 0:  # noqa: S603
            return None
    return around[0]


def remove_folders(output: Path, path: Path) -> None:
    """Remove the empty folders that a refused slug like `a/b` names below the output folder.

    cookiecutter creates them all and removes the last only.
    """
    for end in range(len(path.parts), 0, -1):
        folder = output.joinpath(*path.parts[:end]).resolve()
        if output in folder.parents:
            with contextlib.suppress(OSError):
                folder.rmdir()


def main() -> int:
    """Check the answers, which arrive as JSON so that none of them can become code."""
    answers = json.loads(r"""<<cookiecutter | tojson>>""")
    found = problems(answers, Path.cwd(), locked(answers))
    lines = [f"{question}: {problem}" for question, problem in found.items()]
    if repository := surrounding(Path.cwd()):
        lines.append(
            f"{Path.cwd()}: is inside the Git repository {repository}, where its workflows would "
            f"never start; bake beside it: cookiecutter --output-dir {repository.parent}"
        )
    elif found:
        lines.append(
            "To go on with your other answers, write the right ones between the quotes at its end:"
            f"\n  {correction(answers, found)}"
        )
    for line in lines:
        print(line, file=sys.stderr)
    path = Path(str(answers["project_slug"]))
    if found and len(path.parts) > 1:
        remove_folders(Path(answers["_output_dir"]).resolve(), path)
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
