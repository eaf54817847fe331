"""Who may ask, and as whom: bearer tokens, each of a caller, or a name that a proxy found out."""

import hashlib
import hmac
import logging
import re
from collections.abc import Mapping
from pathlib import Path

from ..errors import InputError
from .client import of_one_line, tokens
from .settings import Settings

logger = logging.getLogger(__name__)

# Bytes of a token at least: below, it can be guessed.
SHORTEST = 20
# So many callers are told apart; it is their names that metrics have a series for, each.
CALLERS = 100
# Those who name themselves to nobody, and those beyond CALLERS.
UNNAMED, FURTHER = "unnamed", "further"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_TOKEN = re.compile(rf"[\x21-\x7e]{{{SHORTEST},}}")
# What says nothing of the model but that it is there, and what Prometheus asks from within.
OPEN = frozenset({"/v2", "/v2/health/live", "/v2/health/ready", "/metrics"})


class Access:
    """The tokens that are good, and who they belong to.

    Attributes:
        closed: whether a token is needed.
    """

    def __init__(self, settings: Settings) -> None:
        """Raises InputError: a file or a line that cannot be read; no token is repeated in it."""
        self._file = Path(settings.tokens_file) if settings.tokens_file else None
        self._given = read(of_one_line(settings.tokens), "MLOPS_TOKENS")
        self._stamp: tuple[int, int, int] | None = None
        self._tokens = self._given
        self._header = settings.caller_header.lower().encode()
        self._names: set[str] = set()
        if self._file is not None:
            self._stamp = _stamp(self._file)
            self._tokens = self._given | _of_file(self._file)
        self.closed = bool(settings.tokens or self._file)

    def tick(self) -> None:
        """Read the file anew where it has changed: tokens come and go while requests are answered.

        One that cannot be read changes nothing.
        """
        if self._file is None:
            return
        try:
            stamp = _stamp(self._file)
            if stamp == self._stamp:
                return
            self._stamp = stamp
            self._tokens = self._given | _of_file(self._file)
        except InputError as error:
            logger.error("the tokens stay as they were: %s", error)

    def admits(self, path: str, headers: Mapping[bytes, bytes]) -> str | None:
        """The name of who asks, "" where there is none to be known; None: may not ask.

        Args:
            path: of the address.
            headers: names in lower case.
        """
        if self.closed and path.rstrip("/") not in OPEN:
            scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
            return self._owner(token.strip()) if scheme.lower() == b"bearer" else None
        return self._said(headers) if self._header else ""

    def series(self, caller: str) -> str:
        """The name under which metrics count a caller: there is an end to how many they are."""
        if not caller:
            return UNNAMED
        if caller not in self._names:
            if len(self._names) >= CALLERS:
                return FURTHER
            self._names.add(caller)
        return caller

    def _owner(self, token: bytes) -> str | None:
        """Whose a token is; each is compared, so that the time tells nothing of any."""
        digest, owner = hashlib.sha256(token).digest(), None
        for known, caller in self._tokens.items():
            if hmac.compare_digest(known, digest):
                owner = caller
        return owner

    def _said(self, headers: Mapping[bytes, bytes]) -> str:
        name = headers.get(self._header, b"").decode("latin-1")
        return name if _NAME.fullmatch(name) else ""


def read(text: str, where: str) -> dict[bytes, str]:
    """Callers by the SHA-256 of their tokens: a line `CALLER TOKEN` each, any number for a caller.

    Raises InputError with the line, and not the token.
    """
    found: dict[bytes, str] = {}
    for number, caller, token in tokens(text):
        if not _NAME.fullmatch(caller) or not _TOKEN.fullmatch(token):
            raise InputError(
                f"{where} line {number}: write CALLER TOKEN, a token of {SHORTEST} characters or "
                "more, such as `openssl rand -hex 32` makes"
            )
        digest = hashlib.sha256(token.encode()).digest()
        if found.get(digest, caller) != caller:
            raise InputError(f"{where} line {number}: the token of {found[digest]}, too")
        found[digest] = caller
    return found


def _of_file(path: Path) -> dict[bytes, str]:
    try:
        found = read(path.read_text(encoding="utf-8"), str(path))
    except OSError as error:
        raise InputError(f"MLOPS_TOKENS_FILE: {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(f"MLOPS_TOKENS_FILE: {path}: not UTF-8") from None
    if not found:
        raise InputError(f"MLOPS_TOKENS_FILE: {path}: there is no token in it")
    return found


def _stamp(path: Path) -> tuple[int, int, int]:
    try:
        found = path.stat()
    except OSError as error:
        raise InputError(f"MLOPS_TOKENS_FILE: {path}: {error.strerror}") from None
    return found.st_mtime_ns, found.st_size, found.st_ino
