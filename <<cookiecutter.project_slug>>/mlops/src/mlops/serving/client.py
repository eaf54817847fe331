"""What `smoke` and `load` ask a server: the standard library, one request after the other."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from ..errors import CheckError, InputError

# The id of requests for the example, and for nothing else: monitoring leaves them out.
EXAMPLE = "mlops-example"
DATATYPES = {str: "BYTES", bool: "BOOL", float: "FP32", int: "FP32"}


class Client:
    """A connection to a server, to be used in a `with`.

    Attributes:
        headers: of each request: the token, where it has one.
        model: the protocol's metadata of its model.
        example: the row that the model carries, and its outputs: see pipeline.convert.
    """

    def __init__(self, url: str, timeout: float = 10, token: str | None = None) -> None:
        """Ask a server with a bearer token, `own_token` by default.

        Raises InputError for what is no URL of a server.
        """
        try:
            parts = urlsplit(url if "://" in url else f"http://{url}")
            port = parts.port
        except ValueError as error:
            raise InputError(f"{url}: {error}") from None
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InputError(f"{url}: not the URL of a server; write http://HOST:PORT")
        self.url = f"{parts.scheme}://{parts.netloc}"
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        self._prefix = parts.path.rstrip("/")
        self._connection = kind(parts.hostname, port, timeout=timeout)
        token = own_token(os.environ) if token is None else token
        self.headers = {"authorization": f"Bearer {token}"} if token else {}
        self.model: dict[str, Any] = {}
        self.example: dict[str, Any] = {}

    def __enter__(self) -> Self:
        """Ask which model the server has. Raises CheckError when no such server answers."""
        server = self.get("/v2")
        self.model = self.get(f"/v2/models/{server.get('name')}")
        self.example = self.model.get("parameters", {}).get("example", {})
        if not self.example:
            raise CheckError(f"{self.url}: its model carries no example; convert it anew")
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connection."""
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def get(self, path: str) -> Any:
        """What is at `path`. Raises CheckError when the answer is not 200."""
        return self._ask("GET", path, None)

    def infer(self, body: bytes) -> dict[str, Any]:
        """Each output's values by name. Raises CheckError when the answer is not 200."""
        path = f"/v2/models/{self.model['name']}/infer"
        answer = self._ask("POST", path, body)
        try:
            return {each["name"]: each["data"] for each in answer["outputs"]}
        except (KeyError, TypeError):
            raise CheckError(f"{self.url}{path}: the answer has no outputs") from None

    def request(self, rows: int = 1) -> bytes:
        """The example as a request of so many rows."""
        inputs = [
            {"name": k, "datatype": DATATYPES[type(v)], "shape": [rows], "data": [v] * rows}
            for k, v in self.example["row"].items()
        ]
        return json.dumps({"id": EXAMPLE, "inputs": inputs}).encode()

    def _ask(self, method: str, path: str, body: bytes | None) -> Any:
        headers = self.headers | ({"content-type": "application/json"} if body else {})
        try:
            self._connection.request(method, self._prefix + path, body, headers)
            response = self._connection.getresponse()
            text = response.read()
        except (OSError, HTTPException) as error:
            raise CheckError(f"{self.url}{path}: {error or type(error).__name__}") from None
        if response.status != 200:
            said = text.decode(errors="replace").strip()
            raise CheckError(f"{self.url}{path}: {response.status}: {said:.300}")
        try:
            content = json.loads(text)
        except ValueError:
            raise CheckError(f"{self.url}{path}: the answer is not JSON") from None
        if not isinstance(content, dict):
            raise CheckError(f"{self.url}{path}: the answer is no JSON object")
        return content


def own_token(environment: Mapping[str, str]) -> str:
    """The bearer token to ask with: MLOPS_TOKEN, else the first that a server here would take.

    Within a server's container those are told already. A file that cannot be read has none: the
    server says what is wrong with it.
    """
    if token := environment.get("MLOPS_TOKEN"):
        return token
    text = of_one_line(environment.get("MLOPS_TOKENS", ""))
    with suppress(OSError, UnicodeDecodeError):
        text += "\n" + Path(environment.get("MLOPS_TOKENS_FILE", "")).read_text(encoding="utf-8")
    return next((token for _, _, token in tokens(text)), "")


def of_one_line(text: str) -> str:
    """What MLOPS_TOKENS says, a line each."""
    return text.replace(",", "\n")


def tokens(text: str) -> Iterator[tuple[int, str, str]]:
    """The number, caller and token of each line that has them, as they stand there."""
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            caller, _, token = line.strip().partition(" ")
            yield number, caller, token.strip()
