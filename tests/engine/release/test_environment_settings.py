"""config.env: what is read, and what is refused with the line that it stands in."""

from pathlib import Path

import pytest
from engine.released import Repository
from engine.workspace import root

from mlops.errors import InputError
from mlops.git.revision import Revision
from mlops.release.settings import (
    load,
    settings_path,
)

ANYWHERE = "0.0.0.0"  # noqa: S104 (nothing listens there)

GOOD = """# Of dev
LISTEN=127.0.0.1:8001
REPLICAS=2
CPUS=0.5
MEMORY=512M
MLOPS_LOG=s3://bucket/log
"""


def _at(repository: Repository, text: str) -> Revision:
    return Revision(repository.commit({str(settings_path("dev")): text}))


def test_what_it_says(repository: Repository) -> None:
    found = load("dev", _at(repository, GOOD))
    assert found.text == GOOD
    assert (found.listen, found.ready_seconds) == ("127.0.0.1:8001", 60)
    assert found.url == "http://127.0.0.1:8001"
    assert found.server == {"MLOPS_LOG": "s3://bucket/log"}
    more = "URL=https://flights.example.com\nREADY_SECONDS=5\n"
    found = load("dev", _at(repository, GOOD + more))
    assert (found.url, found.ready_seconds) == ("https://flights.example.com", 5)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("8001", "http"), "line 2: LISTEN=127.0.0.1:http is not an address and a port"),
        (("REPLICAS=2", "REPLICAS=0"), "line 3: REPLICAS=0 is not a number from 1 to 16"),
        (("CPUS=0.5\n", ""), "CPUS missing"),
        (("CPUS=0.5", "CPUS=1\nCPUS=2"), "line 5: CPUS is listed twice"),
        (("MEMORY=512M", "MEMORY=lots"), "line 5: MEMORY=lots is not a size: 512M, 2G"),
        (("MEMORY=512M", 'MEMORY="512M"'), 'line 5: MEMORY="512M": write NAME=value'),
        (("s3://bucket", "$BUCKET"), "line 6: MLOPS_LOG=$BUCKET/log: write NAME=value"),
        (("REPLICAS", "REPLICA"), "line 3: REPLICA is none of LISTEN, REPLICAS"),
        (("MLOPS_LOG", "MLOPS_LOGS"), "line 6: MLOPS_LOGS is no setting of the server"),
        (("MLOPS_LOG=", "MLOPS_RELEASE="), "line 6: MLOPS_RELEASE is the release's to say"),
        (("MLOPS_LOG=", "MLOPS_WORKERS="), "line 6: MLOPS_WORKERS: expected `int`"),
        (("MLOPS_LOG=s3://bucket/log", "MLOPS_TOKENS=a"), "line 6: MLOPS_TOKENS is a secret"),
        (("MLOPS_LOG=s3://", "CERTIFICATE="), "line 6: CERTIFICATE=bucket/log is not a file"),
        (("CPUS=0.5", "CPUS=1\nRATE=0"), "line 5: RATE=0 is not requests a second"),
        (("CPUS=0.5", "CPUS=1\nINSIDE=true"), "line 5: INSIDE=true is not yes"),
    ],
)
def test_what_is_refused(repository: Repository, change: tuple[str, str], told: str) -> None:
    with pytest.raises(InputError) as error:
        load("dev", _at(repository, GOOD.replace(*change)))
    assert str(Path("environments/dev/config.env")) in str(error.value)
    assert told in str(error.value)


def test_every_mistake_is_told_at_once(repository: Repository) -> None:
    with pytest.raises(InputError) as error:
        load("dev", _at(repository, "LISTEN=x\nREPLICAS=99\n"))
    assert len(str(error.value).splitlines()) == 3


def test_none_is_said(repository: Repository) -> None:
    with pytest.raises(InputError, match=r"environments/dev/config\.env: no such file"):
        load("dev", Revision(repository.head))


def test_those_of_the_project_are_good(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root())
    for name in ("dev", "staging", "prod"):
        assert load(name, Revision(None)).listen


def test_what_the_proxy_is_asked(repository: Repository) -> None:
    found = load("dev", _at(repository, GOOD))
    assert (found.proxy, found.guards) == ({}, [])
    more = "PROXY_IMAGE=haproxy\nCERTIFICATE=/etc/dev.pem\nRATE=5\nINSIDE=yes\n"
    found = load("dev", _at(repository, GOOD + more))
    assert found.guards == ["CERTIFICATE", "RATE", "INSIDE"]
    assert found.proxy["PROXY_IMAGE"] == "haproxy"
    assert found.url == "https://127.0.0.1:8001"


@pytest.mark.parametrize(
    ("host", "more", "is_told"),
    [
        ("127.0.0.1", "", False),
        ("127.1.2.3", "", False),
        ("localhost", "", False),
        (ANYWHERE, "", True),
        ("flights.example.com", "", True),
        (ANYWHERE, "MLOPS_TOKENS_FILE=/etc/tokens", False),
        (ANYWHERE, "MLOPS_TOKENS_FILE=", True),  # which is none
        (ANYWHERE, "MLOPS_CALLER_HEADER=X-User", True),  # names callers, and keeps nobody out
        (ANYWHERE, "CERTIFICATE=/etc/dev.pem", True),
    ],
)
def test_what_anybody_may_ask_is_told(
    repository: Repository, host: str, more: str, is_told: bool
) -> None:
    text = GOOD.replace("127.0.0.1", host) + f"{more}\n"
    assert bool(load("dev", _at(repository, text)).unguarded) == is_told
