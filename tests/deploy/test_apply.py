"""What Git says is what runs: on a Docker Engine and as a process, without losing a request."""

from __future__ import annotations

import time
from http.client import HTTPConnection
from json import loads

import pytest
from deploy.load import Load, steady
from deploy.site import Site


def answer(port: int, path: str) -> dict[str, object]:
    """Ask a server for something."""
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path)
    content: dict[str, object] = loads(connection.getresponse().read())
    connection.close()
    return content


def example(port: int) -> dict[str, object]:
    """Return the row that the model brings as an example."""
    name = answer(port, "/v2")["name"]
    parameters = answer(port, f"/v2/models/{name}")["parameters"]
    assert isinstance(parameters, dict)
    row = parameters["example"]["row"]
    assert isinstance(row, dict)
    return row


def settle(site: Site, environment: str, load: Load, before: str) -> None:
    """Apply an environment, and look at who answered meanwhile and who answers after."""
    wanted, started = site.named(environment), time.monotonic()
    site.mlops("apply", environment)
    after = time.monotonic()
    time.sleep(0.3)
    assert set(load.since(started)) <= {before, wanted}
    assert set(load.since(after)) == {wanted}


@pytest.mark.parametrize(
    ("kind", "rounds"),
    [
        ("processes", 1),
        ("containers", 1),
        pytest.param("processes", 7, marks=pytest.mark.long),
        pytest.param("containers", 7, marks=pytest.mark.long),
    ],
)
def test_no_request_is_lost_through_promotions_and_rollbacks(
    kind: str, rounds: int, request: pytest.FixtureRequest
) -> None:
    """Each answer is of a release that Git named then.

    A round is a promotion, a rollback, and the promotion again: seven are more than twenty.
    """
    site = request.getfixturevalue(kind)
    assert isinstance(site, Site)
    first = site.named("dev")
    site.promote("staging", "prod")
    site.mlops("apply", "prod")
    current = first
    for number in range(rounds):
        # Other models, too: an answer that mixed two of them would not pass the smoke test.
        site.change(**({"estimators__boosting__max_iter": 21 + number} if number < 2 else {}))
        new = site.release()
        site.promote("staging", "prod")
        with steady(site.ports["prod"], example(site.ports["prod"])) as load:
            settle(site, "prod", load, current)
            site.merge("rollback", "prod", "--reason", "to see it work")
            assert site.named("prod") == current
            settle(site, "prod", load, new)
            site.merge("unhold", "prod")
            site.promote("prod")
            settle(site, "prod", load, current)
        counted = load.since(0)
        print(sum(counted.values()), "requests")
        assert counted.keys() == {current, new}, counted  # nothing failed
        current = new
    assert not [each for each in site.drift() if each.startswith("prod")]
