"""An environment's own settings, `config.env`: where it answers, how large it is, and for servers.

They stay with their environment; only releases are promoted. Compose, Kustomize and this module
read the same file, so that a value is one plain word, without quotes or variables.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError
from ..git.revision import Revision
from ..printable import printable
from ..serving.settings import PREFIX, load_settings
from .state import ENVIRONMENTS

_WORD = re.compile(r"[^\s'\"$\\#`]*")
_KEYS = {
    "LISTEN": (re.compile(r"[0-9a-zA-Z.-]+:\d{1,5}"), "an address and a port: 127.0.0.1:8000"),
    "REPLICAS": (re.compile(r"[1-9]|1[0-6]"), "a number from 1 to 16"),
    "CPUS": (re.compile(r"\d+(\.\d+)?"), "a number of processors"),
    "MEMORY": (re.compile(r"[1-9]\d*[MG]"), "a size: 512M, 2G"),
    "READY_SECONDS": (re.compile(r"[1-9]\d{0,3}"), "a number of seconds"),
    "URL": (re.compile(r"https?://[^/]+.*"), "where people reach it: https://..."),
    "PROXY_IMAGE": (re.compile(r".+"), "an image, best by digest"),
    "CERTIFICATE": (re.compile(r"/.+"), "a file on the machine it runs on: /etc/ssl/prod.pem"),
    "RATE": (re.compile(r"[1-9]\d{0,5}"), "requests a second that an address may send"),
    "INSIDE": (re.compile(r"yes|no"), "yes, to keep /metrics and /openapi.json inside, or no"),
}
# What keeps others out, and the proxy of a Docker Engine alone can do.
_GUARDS = ("CERTIFICATE", "RATE", "INSIDE")
_OF_THE_PROXY = ("PROXY_IMAGE", *_GUARDS)
_OPTIONAL = ("READY_SECONDS", "URL", *_OF_THE_PROXY)
# A file of Git's is no place for it.
_SECRET = f"{PREFIX}TOKENS"
# These are the release's, and the image has them.
_FIXED = {f"{PREFIX}{name}" for name in ("MODEL", "HOST", "PORT", "RELEASE")}


@dataclass(frozen=True)
class Settings:
    """What `config.env` says.

    Attributes:
        text: the file as it is, for those who read it, too.
        listen: the address and port on which the environment answers, on the machine it runs on.
        ready_seconds: how long new servers may take until they are ready.
        url: where it is reached from elsewhere; by default what `listen` says.
        proxy: what is asked of the proxy, by name.
        memory: megabytes that the servers of a machine may use.
        server: what servers are told beside: MLOPS_ variables by name.
    """

    text: str
    listen: str
    ready_seconds: int
    url: str
    proxy: dict[str, str]
    memory: int
    server: dict[str, str]

    @property
    def guards(self) -> list[str]:
        """What the proxy is to keep others out with, by name."""
        return [name for name in _GUARDS if name in self.proxy]

    @property
    def unguarded(self) -> str:
        """What is to be said of an environment that others reach, and anybody may ask; or ""."""
        host = self.listen.rpartition(":")[0]
        if host == "localhost" or host.startswith("127.") or self.server.get(f"{_SECRET}_FILE"):
            return ""
        return f"{self.listen} answers anybody who reaches it: mlops/docs/serve.md#who-may-ask"


def settings_path(environment: str) -> Path:
    """Where an environment's settings are."""
    return ENVIRONMENTS / environment / "config.env"


def load(environment: str, at: Revision) -> Settings:
    """An environment's settings. Raises InputError, one line a mistake, with file and line."""
    path = settings_path(environment)
    text = at.read(path)
    if text is None:
        raise InputError(f"{path}: no such file")
    found: dict[str, str] = {}
    mistakes = []
    # Lines end as for those who read it, too: some characters that end one to Python do not.
    for number, line in enumerate(re.split("\r?\n", text), 1):
        if not line or line.startswith("#"):
            continue
        name, equals, value = line.partition("=")
        problem = f"{name} is listed twice" if name in found else _problem(name, equals, value)
        if problem:
            mistakes.append(f"{path} line {number}: {printable(problem)}")
        found[name] = value
    missing = [name for name in _KEYS if name not in (*found, *_OPTIONAL)]
    mistakes += [f"{path}: {', '.join(missing)} missing"] if missing else []
    if mistakes:
        raise InputError("\n".join(mistakes))
    server = {name: value for name, value in found.items() if name.startswith(PREFIX)}
    listen = found["LISTEN"]
    return Settings(
        text=text,
        listen=listen,
        ready_seconds=int(found.get("READY_SECONDS", 60)),
        url=found.get("URL", f"{'https' if 'CERTIFICATE' in found else 'http'}://{listen}"),
        proxy={name: value for name, value in found.items() if name in _OF_THE_PROXY},
        memory=_megabytes(found["MEMORY"]),
        server=server,
    )


def _megabytes(size: str) -> int:
    return int(size[:-1]) * {"M": 1, "G": 1024}[size[-1]]


def _problem(name: str, equals: str, value: str) -> str | None:
    if not equals or not _WORD.fullmatch(value):
        return f"{name}{equals}{value}: write NAME=value, a plain word without quotes"
    if name == _SECRET:
        return f"{name} is a secret: put it into a file there, and name that: {name}_FILE"
    if name in _FIXED:
        return f"{name} is the release's to say"
    if name.startswith(PREFIX):
        return _of_the_server(name, value)
    if name not in _KEYS:
        return f"{name} is none of {', '.join(_KEYS)}, nor one of the server's {PREFIX} settings"
    pattern, what = _KEYS[name]
    return None if pattern.fullmatch(value) else f"{name}={value} is not {what}"


def _of_the_server(name: str, value: str) -> str | None:
    setting = name.removeprefix(PREFIX).lower()
    known = load_settings(environment={})
    if not hasattr(known, setting):
        return f"{name} is no setting of the server: see mlops/docs/serve.md"
    try:
        load_settings({setting: value}, environment={})
    except InputError as error:
        return str(error)
    return None
