"""Who may ask an environment: what its settings say is what its proxy and its servers do."""

from __future__ import annotations

import json
import ssl
import subprocess
from http.client import HTTPResponse, HTTPSConnection
from pathlib import Path

import pytest
from deploy.site import Site

TOKEN = "a" * 32
OLD = "b" * 32


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate of this machine's own, with its key, which the proxy's user can read."""
    key, found = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
        + ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
        + ["-keyout", str(key), "-out", str(found)],
        check=True,
        capture_output=True,
    )
    found.write_text(found.read_text() + key.read_text())
    found.chmod(0o644)
    return found


def ask(
    port: int, certificate: Path, path: str, token: str = "", body: str | None = None
) -> tuple[int, HTTPResponse, bytes]:
    """Ask over TLS, and trust this certificate alone."""
    context = ssl.create_default_context(cafile=str(certificate))
    connection = HTTPSConnection("127.0.0.1", port, timeout=10, context=context)
    headers = {"authorization": f"Bearer {token}"} if token else {}
    connection.request("GET" if body is None else "POST", path, body, headers)
    response = connection.getresponse()
    content = response.read()
    connection.close()
    return response.status, response, content


def test_an_environment_is_guarded_as_its_settings_say(
    containers: Site, certificate: Path, tmp_path: Path
) -> None:
    site, tokens = containers, tmp_path / "tokens"
    tokens.write_text(f"shop {TOKEN}\nshop {OLD}\n")
    guarded = {
        "CERTIFICATE": str(certificate),
        "RATE": "40",
        "INSIDE": "yes",
        "MLOPS_TOKENS_FILE": str(tokens),
    }
    site.settings("dev", **guarded)
    site.project.commit()
    applied = site.mlops("apply", "dev")
    assert "warning" not in applied.stdout
    port = site.ports["dev"]

    def status(path: str, token: str = TOKEN) -> int:
        return ask(port, certificate, path, token)[0]

    name = json.loads(ask(port, certificate, "/v2")[2])["name"]
    about = json.loads(ask(port, certificate, f"/v2/models/{name}", TOKEN)[2])
    row = json.dumps(about["parameters"]["example"]["row"])
    assert ask(port, certificate, "/predict", TOKEN, row)[0] == 200
    assert ask(port, certificate, "/predict", "", row)[0] == 401
    inside = [
        "/metrics",
        "/metrics/",
        "/metrics?x",
        "/%6detrics",
        "/openapi.json",
        "/openapi%2ejson",
    ]
    assert {status(path) for path in inside} == {404}
    assert status("/v2/health/ready", "") == 200
    burst = [status("/v2") for _ in range(120)]
    assert set(burst) == {200, 429}
    # What Git says is seen to be so, by whoever trusts the certificate.
    (told,) = (each for each in site.drift() if each.startswith("✗ dev"))
    assert "nothing answers at https://" in told
    trusting = {**site.environ, "SSL_CERT_FILE": str(certificate)}
    assert told not in site.project.run("mlops", "status", env=trusting).stdout


def test_who_is_asked_by_anybody_is_told(processes: Site, tmp_path: Path) -> None:
    site = processes
    site.settings("dev", LISTEN=f"0.0.0.0:{site.ports['dev']}")
    site.project.commit()
    assert "answers anybody who reaches it" in site.mlops("apply", "dev").stdout
    # Each environment has tokens of its own: one that is at hand for another is not in the way.
    (tmp_path / "tokens").write_text(f"shop {TOKEN}\n")
    site.settings("dev", MLOPS_TOKENS_FILE=str(tmp_path / "tokens"))
    site.project.commit()
    site.project.run("mlops", "apply", "dev", env={"MLOPS_TOKEN": OLD})
    url = f"http://127.0.0.1:{site.ports['dev']}"
    with pytest.raises(AssertionError, match="401"):
        site.mlops("smoke", url)
    site.project.run("mlops", "smoke", url, env={"MLOPS_TOKEN": TOKEN})
    site.settings("dev", RATE="5")
    site.project.commit()
    refused = site.mlops("apply", "dev", code=2)
    assert "RATE" in refused.stderr
    assert "proxy" in refused.stderr
