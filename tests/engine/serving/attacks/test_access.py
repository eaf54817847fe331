"""Who may ask: nobody without a token where tokens are set, and each as the caller that it is."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from serving.running import Server, wait_for

from mlops.errors import InputError
from mlops.serving.access import CALLERS, FURTHER, UNNAMED, Access, read
from mlops.serving.settings import Settings

Start = Callable[..., Server]
SHOP, BANK = "shop-" + "a" * 20, "bank-" + "b" * 20
TOKENS = f"shop {SHOP}, bank {BANK}"


def bearer(token: str) -> dict[str, str]:
    """The header."""
    return {"authorization": f"Bearer {token}"}


def test_nothing_but_health_answers_a_stranger(start: Start) -> None:
    server = start(tokens=TOKENS)
    for path in ("/v2", "/v2/", "/v2/health/live", "/v2/health/ready", "/metrics"):
        assert server.ask(path).status == 200, path
    document = server.ask("/openapi.json", headers=bearer(SHOP)).json
    guarded = [path for path, there in document["paths"].items() if "security" in str(there)]
    assert {*document["paths"]} - {*guarded} == {
        "/v2",
        *(f"/v2/health/{each}" for each in ("live", "ready")),
        "/metrics",
    }
    wrong = [{}, bearer(""), bearer(SHOP[:-1]), bearer(SHOP + "a"), bearer(SHOP.upper())]
    wrong += [{"authorization": value} for value in (SHOP, f"Basic {SHOP}", f"Bearer{SHOP}")]
    for path in (*guarded, "/openapi.json", "/%76%32/models/made", "/nowhere", "//v2"):
        for headers in wrong:
            answer = server.ask(path, headers=headers)
            assert answer.status == 401, (path, headers)
            assert answer.headers["www-authenticate"] == "Bearer"
    assert server.metric("mlops_requests_total", status="401", path="none") > 0
    example = server.ask("/v2/models/made", headers=bearer(BANK)).json["parameters"]["example"]
    for scheme in ("Bearer", "bearer", "BEARER"):
        headers = {"authorization": f"{scheme} {BANK}"}
        assert server.ask("/predict", example["row"], headers=headers).status == 200


def test_a_stranger_is_refused_before_the_body(start: Start) -> None:
    server = start(tokens=TOKENS)
    with server.wire() as wire:
        wire.send(b"POST /predict HTTP/1.1\r\nhost: a\r\ncontent-length: 16000000\r\n\r\n")
        answer = wire.answer()
        assert answer is not None
        assert (answer.status, answer.last) == (401, True)
    with server.wire() as wire:  # and on a connection that a caller has used
        good = f"GET /openapi.json HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {SHOP}\r\n\r\n"
        wire.send(good.encode())
        first = wire.answer()
        wire.send(b"GET /openapi.json HTTP/1.1\r\nhost: a\r\n\r\n")
        second = wire.answer()
        assert first is not None
        assert second is not None
        assert (first.status, second.status) == (200, 401)


def test_an_offer_of_another_protocol_is_no_way_in(start: Start) -> None:
    server = start(tokens=TOKENS)
    offer = {"connection": "upgrade, http2-settings", "upgrade": "h2c", "http2-settings": ""}
    assert server.ask("/openapi.json", headers=offer).status == 401


@pytest.mark.slow
def test_tokens_come_and_go_while_the_server_runs(start: Start, tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text(f"# who\nshop {SHOP}\n")
    server = start(tokens_file=file)

    def status(token: str) -> int:
        return server.ask("/openapi.json", headers=bearer(token)).status

    assert (status(SHOP), status(BANK)) == (200, 401)
    file.write_text(f"shop {SHOP}\nshop {BANK}\n")  # both hold while callers change over
    wait_for(lambda: status(BANK) == 200, "the new one")
    assert status(SHOP) == 200
    file.write_text(f"shop {BANK}\n")
    wait_for(lambda: status(SHOP) == 401, "without the old one")
    file.write_text("shop\n")  # a slip locks nobody out, and lets nobody in
    wait_for(lambda: "stay as they were" in server.told(), "told")
    assert (status(SHOP), status(BANK)) == (401, 200)
    assert BANK not in server.told()
    file.unlink()
    time.sleep(1.2)
    assert (status(SHOP), status(BANK)) == (401, 200)


def test_who_asked_is_in_log_and_metrics(start: Start, tmp_path: Path) -> None:
    log = tmp_path / "log"
    server = start(tokens=TOKENS, log=log, access_log=1)
    row = server.ask("/v2/models/made", headers=bearer(BANK)).json["parameters"]["example"]["row"]
    for token, rows in ((SHOP, 2), (BANK, 300), (SHOP, 1)):
        assert server.ask("/predict", [row] * rows, headers=bearer(token)).status == 200
    server.ask("/predict", [row])
    assert server.metric("mlops_caller_rows_total", caller="shop") == 3
    assert server.metric("mlops_caller_rows_total", caller="bank") == 300
    server.process.terminate()
    assert server.wait() == 0
    table = pq.read_table(log)
    assert table["_caller"].value_counts().to_pylist() == [
        {"values": "shop", "counts": 3},
        {"values": "bank", "counts": 300},
    ]
    assert server.process.stdout is not None
    printed = server.process.stdout.read()
    lines = [json.loads(line) for line in printed.splitlines()]
    predicted = [line for line in lines if line["path"] == "/predict"]
    assert [line["caller"] for line in predicted] == ["shop", "bank", "shop"]
    assert [line["status"] for line in lines if line["path"] == "none"] == [401]
    assert SHOP not in printed
    assert json.dumps(row["colour"]) not in printed


def test_a_proxy_may_say_who_asks(start: Start, tmp_path: Path) -> None:
    server = start(caller_header="X-Forwarded-User", log=tmp_path / "log")
    row = server.example()
    for name in ("ann@example.org", "", "two words", "x" * 65, "{}"):
        assert server.ask("/predict", row, headers={"x-forwarded-user": name}).status == 200
    assert server.metric("mlops_caller_rows_total", caller="ann@example.org") == 1
    assert server.metric("mlops_caller_rows_total", caller=UNNAMED) == 4
    server.process.terminate()
    server.wait()
    assert pq.read_table(tmp_path / "log")["_caller"].null_count == 4


def test_series_of_callers_have_an_end() -> None:
    access = Access(Settings(caller_header="who"))
    found = {access.series(f"caller-{i}") for i in range(3 * CALLERS)}
    assert len(found) == CALLERS + 1
    assert FURTHER in found
    assert access.series("caller-0") == "caller-0"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("shop", "line 1"),
        (f"# who\n\nshop {SHOP}\n {'t' * 30}", "line 4"),
        ("shop short", "line 1"),
        (f"sh op {SHOP}", "line 1"),
        (f"shop {SHOP} {SHOP}", "line 1"),
        (f"shop {SHOP}\nbank {SHOP}", "line 2: the token of shop"),
        (f"shöp {SHOP}", "line 1"),
    ],
)
def test_what_is_no_token_is_told_without_it(text: str, why: str) -> None:
    with pytest.raises(InputError, match=why) as caught:
        read(text, "tokens")
    for secret in (SHOP, "short", "t" * 30):
        assert secret not in str(caught.value)


@pytest.mark.parametrize("content", [None, "", "# none yet\n", b"\xff\xfe", "shop short\n"])
def test_without_tokens_the_server_does_not_start(
    content: str | bytes | None, model: Path, tmp_path: Path
) -> None:
    file = tmp_path / "tokens"
    if content is not None:
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    settings = {"MLOPS_MODEL": str(model), "MLOPS_PORT": "0", "MLOPS_TOKENS_FILE": str(file)}
    command = [sys.executable, "-m", "mlops.serving"]
    done = subprocess.run(command, env=settings, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert str(file) in done.stderr
    assert "short" not in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_smoke_and_load_ask_with_a_token(
    start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from mlops.errors import CheckError
    from mlops.serving.load import load
    from mlops.serving.smoke import smoke

    server = start(tokens=TOKENS)
    with pytest.raises(CheckError, match="401"):
        list(smoke(server.url))
    (tmp_path / "tokens").write_text(f"# mine\nshop {SHOP}\n")
    for name, value in (
        ("MLOPS_TOKEN", BANK),
        ("MLOPS_TOKENS", TOKENS),
        ("MLOPS_TOKENS_FILE", str(tmp_path / "tokens")),
    ):
        monkeypatch.setenv(name, value)
        assert len(list(smoke(server.url, within_ms=10_000))) == 4
        assert load(server.url, 2, 0.3, 1).statuses.keys() == {200}
        monkeypatch.delenv(name)


def test_files_of_the_log_are_not_for_everybody(start: Start, tmp_path: Path) -> None:
    server = start(log=tmp_path / "log")
    server.predict(server.example())
    server.process.terminate()
    server.wait()
    (file,) = (tmp_path / "log").glob("*/*.parquet")
    assert oct(file.stat().st_mode & 0o777) == "0o640"
    assert file.parent.stat().st_mode & 0o007 == 0
