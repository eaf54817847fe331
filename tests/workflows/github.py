"""A stand-in for GitHub's REST API, for what the workflows ask of it through `gh` and CML.

`gh` is served, unencrypted, over a Unix socket; CML over TLS on localhost, with a certificate made
here, and below `/api/v3`, as on GitHub Enterprise. Branches are those of a bare repository.

No request gets an answer that GitHub's description does not have, nor one whose token may not.
"""

from __future__ import annotations

import json
import os
import re
import socketserver
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from workflows import permissions
from workflows.rest import endpoint

# That of a running job, that of an app, which says what it was asked for, and a person's login.
TOKEN = "made-up-token"  # noqa: S105
APP_TOKEN = "made-up-app-token"  # noqa: S105
PERSON = "made-up-login"
BOT, APP, GRACE = "github-actions[bot]", "mlops[bot]", "grace"
LOGINS = {TOKEN: BOT, APP_TOKEN: APP, PERSON: GRACE}
LONGEST = 65_536
Answer = tuple[int, Any]


@dataclass(frozen=True)
class Call:
    """A request as it came."""

    method: str
    path: str
    query: dict[str, str]
    body: dict[str, Any]
    agent: str
    token: str = ""
    file: bytes = b""

    @property
    def login(self) -> str:
        """Whose token it came with; nobody's where GitHub does not know it."""
        return LOGINS.get(self.token.partition(":")[0], "")

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass
class GitHub:
    """A repository on GitHub, as far as its comments and branches go.

    Attributes:
        repository: owner/name.
        origin: the bare repository with its branches.
        socket: where `gh` asks.
        url: where CML asks, once served.
        certificate: what vouches for the URL.
        comments: those of each issue or pull request, oldest first.
        calls: every request so far.
        faults: the status to answer a method with, instead of an answer.
    """

    repository: str
    origin: Path
    folder: Path
    url: str = ""
    comments: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    faults: dict[str, int] = field(default_factory=dict)

    @property
    def running(self) -> Path:
        """Where the running job has its name and its permissions."""
        return self.folder / "job.json"

    @property
    def socket(self) -> Path:
        return self.folder / "gh.sock"

    @property
    def certificate(self) -> Path:
        return self.folder / "certificate.pem"

    def bodies(self, number: int) -> list[str]:
        """Return the texts of a pull request's comments."""
        return [comment["body"] for comment in self.comments.get(number, [])]

    def add_comments(self, number: int, *bodies: str) -> None:
        """Let others have commented."""
        for body in bodies:
            self._create(number, body, GRACE)

    def reply(self, call: Call) -> Answer:
        """Answer a request that may be refused."""
        refusal = self._refusal(call)
        if refusal is None:
            return self.answer(call)
        self.calls.append(call)
        return refusal

    def _refusal(self, call: Call) -> Answer | None:
        if not call.login:
            return 401, {"message": "Bad credentials"}
        if call.path == "/graphql":
            return None if self._may(call, *_graphql(call.body)) else _FORBIDDEN
        asked = endpoint(call.method, call.path)
        if asked is None:
            return 404, {"message": f"{call}: rest_update.py has no such request"}
        if not self._may(call, asked.permissions):
            return _FORBIDDEN
        if mistake := asked.mistake(call.query, call.body):
            return 422, {"message": f"Invalid request. {asked.name}: {mistake}"}
        return None

    def _may(self, call: Call, *needs: list[str]) -> bool:
        """Tell whether a token has, of each of the needs, one of the permissions."""
        if call.token == PERSON:
            return True
        if call.token == TOKEN:
            return all(permissions.may(self.running, enough) for enough in needs)
        asked = dict(each.split("=") for each in call.token.partition(":")[2].split(","))
        return all(permissions.covers(asked, enough) for enough in needs)

    def answer(self, call: Call) -> Answer:
        """Answer a request as GitHub does."""
        self.calls.append(call)
        if call.method in self.faults:
            status = self.faults[call.method]
            known = {403: "Resource not accessible by integration"}
            return status, {"message": known.get(status, "Server Error")}
        repository = re.escape(f"/repos/{self.repository}")
        routes: list[tuple[str, str, Callable[..., Answer]]] = [
            ("GET", "/users/(.+)", self._user),
            ("GET", f"{repository}/issues/([0-9]+)/comments", self._list),
            ("POST", f"{repository}/issues/([0-9]+)/comments", self._post),
            ("PATCH", f"{repository}/issues/comments/([0-9]+)", self._patch),
            ("GET", f"{repository}/git/ref/(heads/.+)", self._ref),
            ("DELETE", f"{repository}/git/refs/(heads/.+)", self._delete),
        ]
        for method, pattern, handler in routes:
            if call.method == method and (match := re.fullmatch(pattern, call.path)):
                return handler(call, match[1])
        return 404, {"message": "Not Found"}

    def listed(self, path: str) -> list[Any]:
        """Return all that a list has, whose pages are asked for."""
        found = re.fullmatch(f"/repos/{self.repository}/issues/([0-9]+)/comments", path)
        return self.comments.get(int(found[1]), []) if found else []

    def has_more(self, call: Call) -> bool:
        """Tell whether there is a page after this one."""
        size, page = int(call.query.get("per_page", 30)), int(call.query.get("page", 1))
        return call.method == "GET" and len(self.listed(call.path)) > page * size

    def page(self, call: Call) -> list[Any]:
        """Return a page of a list."""
        size, page = int(call.query.get("per_page", 30)), int(call.query.get("page", 1))
        return self.listed(call.path)[(page - 1) * size : page * size]

    def _user(self, call: Call, name: str) -> Answer:
        return 200, {"login": name, "id": 1, "name": name}

    def _list(self, call: Call, number: str) -> Answer:
        return 200, self.page(call)

    def _post(self, call: Call, number: str) -> Answer:
        if refused := self._refused(call):
            return refused
        return 201, self._create(int(number), call.body["body"], call.login)

    def _patch(self, call: Call, identity: str) -> Answer:
        for comment in (each for found in self.comments.values() for each in found):
            if comment["id"] == int(identity):
                if refused := self._refused(call):
                    return refused
                comment["body"] = call.body["body"]
                return 200, comment
        return 404, {"message": "Not Found"}

    def _refused(self, call: Call) -> Answer | None:
        if len(call.body["body"]) <= LONGEST:
            return None
        return 422, {"message": f"Body is too long (maximum is {LONGEST} characters)"}

    def _create(self, number: int, body: str, login: str) -> dict[str, Any]:
        identity = 1 + sum(map(len, self.comments.values()))
        page = f"{self.url}/{self.repository}/pull/{number}#issuecomment-{identity}"
        comment = {"id": identity, "body": body, "user": {"login": login}, "html_url": page}
        self.comments.setdefault(number, []).append(comment)
        return comment

    def _ref(self, call: Call, name: str) -> Answer:
        found = self._git("rev-parse", "--quiet", "--verify", f"refs/{name}")
        if found.returncode:
            return 404, {"message": "Not Found"}
        return 200, {"ref": f"refs/{name}", "object": {"sha": found.stdout.strip()}}

    def _delete(self, call: Call, name: str) -> Answer:
        if self._ref(call, name)[0] == 404:
            return 422, {"message": "Reference does not exist"}
        self._git("update-ref", "-d", f"refs/{name}")
        return 204, None

    def _git(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["git", "--git-dir", str(self.origin), *arguments],
            capture_output=True,
            text=True,
            check=False,
        )


_FORBIDDEN: Answer = (403, {"message": permissions.REFUSAL})


def _graphql(body: dict[str, Any]) -> list[list[str]]:
    """Return what it takes to ask something of GraphQL, of which GitHub has no description.

    To read a pull request, and to have it merge itself. What there is to ask, anybody may.
    """
    if "enablePullRequestAutoMerge" in body["query"]:
        return [["pull-requests: write"], ["contents: write"]]
    return [] if "__type(" in body["query"] else [["pull-requests: read"]]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    github: GitHub

    def _handle(self) -> None:
        url = urlsplit(self.path)
        text, is_file = self._body(), url.path.endswith("/assets")
        call = Call(
            method=self.command.replace("HEAD", "GET"),  # the same, without its content
            path=url.path.removeprefix("/api/v3"),
            query={name: values[-1] for name, values in parse_qs(url.query).items()},
            body=json.loads(text) if text and not is_file else {},
            agent=self.headers.get("User-Agent", ""),
            token=(self.headers.get("Authorization") or "").split(" ")[-1],
            file=text if is_file else b"",
        )
        status, content = self.github.reply(call)
        data = b"" if content is None else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(data)))
        if status == 200 and self.github.has_more(call):
            page = int(call.query.get("page", 1)) + 1
            size = call.query.get("per_page", 30)
            there = f"https://api.github.com{call.path}?per_page={size}&page={page}"
            self.send_header("Link", f'<{there}>; rel="next"')
        self.end_headers()
        if data and self.command != "HEAD":  # who gets no content may be gone by now
            self.wfile.write(data)

    def _body(self) -> bytes:
        """Read the body, in the chunks in which `gh` sends what it reads itself, or as a whole."""
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        text = b""
        while size := int(self.rfile.readline(), 16):
            text += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return text

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _handle

    def log_message(self, *arguments: object) -> None:
        """Print nothing: the calls are recorded."""

    def address_string(self) -> str:
        return "localhost"


class _SocketServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


@contextmanager
def serve(github: GitHub) -> Iterator[GitHub]:
    """Answer until the block ends."""
    github.folder.mkdir(parents=True, exist_ok=True)
    key = github.folder / "key.pem"
    _certify(github.certificate, key)
    handler = type("Handler", (_Handler,), {"github": github})
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(github.certificate, key)
    tls = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    tls.daemon_threads = True
    tls.socket = context.wrap_socket(tls.socket, server_side=True)
    github.url = f"https://localhost:{tls.server_address[1]}"
    # Paths of Unix sockets are short: bind within the folder.
    github.socket.unlink(missing_ok=True)
    unix = _SocketServer(os.path.relpath(github.socket), handler)
    for server in (tls, unix):
        threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield github
    finally:
        for server in (tls, unix):
            server.shutdown()
            server.server_close()


def _certify(certificate: Path, key: Path) -> None:
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    subprocess.run(
        [*command.split(), "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
        + ["-keyout", str(key), "-out", str(certificate)],
        check=True,
        capture_output=True,
    )
