"""What the server is told: each setting is a variable of the environment, MLOPS_ and its name."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec

from ..errors import InputError

PREFIX = "MLOPS_"

Count = Annotated[int, msgspec.Meta(ge=1)]
# Timers take no more than that, and no infinity.
LONGEST = 1e6
Seconds = Annotated[float, msgspec.Meta(ge=0, le=LONGEST)]


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the model is served.

    Attributes:
        model: the ONNX file.
        host, port: where to listen.
        handover: a folder in which a server that is to be replaced offers its sockets, and the next
            one finds them, to listen there, too; empty for a server that is alone at its port.
        release: the id of the release, which every answer carries as model_version; by default the
            start of the model file's SHA-256.
        workers: processes; 0 for one a processor that this container may use.
        memory: megabytes that all processes together may use; 0 for what the container may, or for
            half of the machine's where it is in none.
        max_rows: rows that a request may have.
        max_bytes: bytes that its body may have.
        queue_rows: rows that may wait for the model; beyond it a request is answered 503.
        batch_rows: rows that are put together from small requests into one call of the model.
        explain_rows: rows of requests with `explain` that may wait, and so be in one; 0 for none.
        batch_ms: milliseconds to wait for more of them; 0 takes those that have come in already.
        connections: open at once, in a worker; beyond it requests are answered 503.
        receive_seconds: time for a request to come in whole.
        drain_seconds: after SIGTERM, the time in which the server says that it is not ready but
            still answers, so that whoever sends it requests can turn to another one.
        stop_seconds: after that, the time for requests under way to finish.
        tokens: who may ask: `CALLER TOKEN` each, between commas or line ends; empty for anybody.
        tokens_file: a file of the same, a line each, which is read anew when it changes.
        caller_header: the header in which a proxy that knows who asks says it; empty for none.
        access_log: the share of requests that a line is printed for.
        log: a folder, or a URL that fsspec knows, for the prediction log; empty for none.
        log_sample: the share of requests that are logged.
        log_seconds: a file of the log is closed after this time, or when it has log_rows rows.
        log_rows: see log_seconds.
        log_keep: megabytes that files in a folder may take together; the oldest go first, read or
            not. 0 keeps all, and so does a URL.
        log_buffer_rows: rows that may wait to be written; beyond it they are dropped and counted.
    """

    model: Path = Path("models/model.onnx")
    host: str = "127.0.0.1"
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 8080
    handover: str = ""
    release: str = ""
    workers: Annotated[int, msgspec.Meta(ge=0)] = 0
    memory: Annotated[int, msgspec.Meta(ge=0)] = 0
    max_rows: Count = 10_000
    max_bytes: Count = 16 * 2**20
    queue_rows: Count = 50_000
    batch_rows: Count = 256
    explain_rows: Annotated[int, msgspec.Meta(ge=0)] = 100
    batch_ms: Seconds = 0
    connections: Count = 1024
    receive_seconds: Annotated[float, msgspec.Meta(gt=0, le=LONGEST)] = 20
    drain_seconds: Seconds = 3
    stop_seconds: Seconds = 20
    tokens: str = ""
    tokens_file: str = ""
    caller_header: str = ""
    access_log: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0
    log: str = ""
    log_sample: Annotated[float, msgspec.Meta(ge=0, le=1)] = 1
    log_seconds: Annotated[float, msgspec.Meta(gt=0, le=LONGEST)] = 10
    log_rows: Count = 20_000
    log_keep: Annotated[int, msgspec.Meta(ge=0)] = 0
    log_buffer_rows: Count = 100_000

    @property
    def names_callers(self) -> bool:
        """Whether the server knows who asks."""
        return bool(self.tokens or self.tokens_file or self.caller_header)


def load_settings(
    given: Mapping[str, str] | None = None, environment: Mapping[str, str] = os.environ
) -> Settings:
    """The settings given by name, else by the environment, else their defaults.

    Raises InputError, one line a mistake. Variables that are no setting are left alone: MLOPS_DEBUG
    is another one's.
    """
    values, mistakes = {}, []
    for name in Settings.__struct_fields__:
        variable = PREFIX + name.upper()
        text = (given or {}).get(name, environment.get(variable))
        if text is None:
            continue
        try:
            values[name] = getattr(_read(name, text), name)
        except msgspec.ValidationError as error:
            what = str(error).split(" - at")[0]
            mistakes.append(f"{variable}: {what[0].lower()}{what[1:]}, not {text!r}")
    if mistakes:
        raise InputError("\n".join(mistakes))
    return Settings(**values)


def _read(name: str, text: str) -> Settings:
    return msgspec.convert(
        {name: text}, Settings, strict=False, dec_hook=lambda kind, value: kind(value)
    )
