"""Does a server answer, with the model it should have, rightly and quickly?

It takes the standard library alone, so that it runs within a server's container, too.
"""

from argparse import ArgumentParser
from collections.abc import Iterator
from math import isclose
from statistics import median
from time import monotonic, perf_counter, sleep
from typing import Any

from ..errors import CheckError, run
from .client import Client

REQUESTS = 20
# Numbers of the example may differ by this share of how far they spread in training, and by what
# float32 does to a number of their size: see pipeline.verify.
TOLERANCE = 1e-3
RESOLUTION = 1e-6
PAUSE_SECONDS = 0.1


def smoke(
    url: str,
    release: str | None = None,
    within_ms: float = 250,
    model: str | None = None,
    wait: float = 0,
    token: str | None = None,
) -> Iterator[str]:
    """Yield a line for each check that holds.

    Args:
        url: where the server is.
        release: the release that it must answer with; None for any.
        within_ms: the median time that a request of one row may take, in milliseconds.
        model: the SHA-256 of the model that it must have; None for any.
        wait: seconds in which all is asked again until it holds: what runs may be changing.
        token: to ask with; see Client.
    Raises:
        CheckError: one does not hold.
    """
    deadline = monotonic() + wait
    while monotonic() < deadline:
        try:
            held = [*_checks(url, release, within_ms, model, token)]
        except CheckError:
            sleep(PAUSE_SECONDS)
        else:
            yield from held
            return
    yield from _checks(url, release, within_ms, model, token)


def _checks(
    url: str, release: str | None, within_ms: float, model: str | None, token: str | None
) -> Iterator[str]:
    with Client(url, token=token) as client:
        client.get("/v2/health/live")
        client.get("/v2/health/ready")
        yield f"ready: {client.url}"
        served = client.model["versions"]
        if release is not None and release not in served:
            raise CheckError(f"{url}: serves {', '.join(served)}, not {release}")
        has = client.model["parameters"].get("model_sha256")
        if model not in (None, has):
            raise CheckError(f"{url}: its model has the SHA-256 {has}, not {model}")
        yield f"model: {client.model['name']}, release {', '.join(served)}"
        body, outputs = client.request(), client.infer(client.request())
        spreads = client.example.get("spreads", {})
        for name, value in client.example["outputs"].items():
            if not _same(value, found := outputs.get(name), spreads.get(name, 1.0)):
                raise CheckError(f"{url}: {name} of its example is {found}, not {value}")
        (prediction,) = outputs["prediction"]
        yield f"prediction: {prediction} for its example, as scikit-learn has it"
        took = median(_milliseconds(client, body) for _ in range(REQUESTS))
    if took > within_ms:
        raise CheckError(f"{url}: a request takes {took:.1f} ms (median), more than {within_ms:g}")
    yield f"latency: {took:.1f} ms (median of {REQUESTS})"


def _milliseconds(client: Client, body: bytes) -> float:
    started = perf_counter()
    client.infer(body)
    return (perf_counter() - started) * 1000


def _same(expected: Any, answered: Any, spread: Any) -> bool:
    wanted, spreads = (each if isinstance(each, list) else [each] for each in (expected, spread))
    if not isinstance(answered, list) or len(answered) != len(wanted):
        return False
    spreads = spreads * (len(wanted) // len(spreads))
    return all(
        isclose(one, other, rel_tol=RESOLUTION, abs_tol=TOLERANCE * by)
        if isinstance(one, float) and isinstance(other, float | int)
        else one == other
        for one, other, by in zip(wanted, answered, spreads, strict=True)
    )


def main() -> None:
    """What `mlops apply` runs within a container, where there is no `mlops`."""
    parser = ArgumentParser(description="Check a running server.")
    parser.add_argument("url")
    parser.add_argument("--release")
    parser.add_argument("--model")
    parser.add_argument("--within", type=float, default=250)
    parser.add_argument("--wait", type=float, default=0)
    told = parser.parse_args()

    def checked() -> None:
        for line in smoke(told.url, told.release, told.within, told.model, told.wait):
            print(line)

    run(checked)
