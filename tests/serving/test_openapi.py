"""The OpenAPI document tells the truth: schemathesis asks all that it allows and does not allow."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

from pipeline.running import shell
from serving.conftest import Environment, Start
from serving.running import Server, wait_for

SCHEMATHESIS = "schemathesis==4.32.5"


def schemathesis(
    environment: Environment, folder: Path, document: str, *options: str
) -> subprocess.CompletedProcess[str]:
    """Run it, with the same requests every time."""
    command = [
        *(str(environment(SCHEMATHESIS) / "bin" / "st"), "run", document),
        *("--checks", "all", "--max-examples", "40", "--seed", "1"),
        *("--request-timeout", "10", "--no-color", "--continue-on-failure", *options),
    ]
    return subprocess.run(
        command,
        cwd=folder,
        env=shell(folder) | {"NO_PROXY": "*", "no_proxy": "*"},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_every_answer_is_as_the_document_has_it(
    environment: Environment, server: Server, tmp_path: Path
) -> None:
    # That tensors have the same number of rows is beyond a schema: what it allows may be refused.
    infer, fuzzing = "/infer$", ("--phases", "examples,coverage,fuzzing")
    for options in (
        ("--exclude-path-regex", infer, *fuzzing),
        ("--include-path-regex", infer, "--phases", "examples"),
        ("--include-path-regex", infer, *fuzzing, "--exclude-checks", "positive_data_acceptance"),
    ):
        done = schemathesis(environment, tmp_path, f"{server.url}/openapi.json", *options)
        assert done.returncode == 0, done.stdout
        assert "test cases" in done.stdout.lower()


def test_untruth_would_be_noticed(environment: Environment, server: Server, tmp_path: Path) -> None:
    document = server.get("/openapi.json")
    predictions = document["components"]["schemas"]["Predictions"]
    predictions["required"].append("confidence")
    (tmp_path / "openapi.json").write_text(json.dumps(document))
    done = schemathesis(
        environment,
        tmp_path,
        "openapi.json",
        *("--include-path", "/predict", "--phases", "examples"),
        *("--url", server.url),
    )
    assert done.returncode == 1
    assert "confidence" in done.stdout


def test_document_names_every_address(start: Start) -> None:
    server = start(drain_seconds=60)
    paths = server.get("/openapi.json")["paths"]
    assert {path for path in paths if server.ask(path, method="TRACE").status == 405} == set(paths)
    server.signal(signal.SIGTERM)
    wait_for(lambda: server.ask("/v2/health/ready").status == 503, "not ready")
    for path in paths:
        if path.endswith("/ready"):
            told = server.ask(path)
            assert str(told.status) in paths[path]["get"]["responses"]
            assert told.json["ready"] is False
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
