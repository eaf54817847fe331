"""What a server's metrics are like over time, as promtool writes series: a value a minute."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

MINUTES = 420

# In a minute: 600 requests, all answered in less than 0.25 s, by half a processor.
HEALTHY = {
    'up{job="servers"}': "1x420",
    'mlops_requests_total{path="/predict",status="200"}': "0+600x420",
    'mlops_requests_total{path="/predict",status="500"}': "0x420",
    'mlops_requests_total{path="/v2/health/ready",status="503"}': "0+600x420",  # it is drained
    'mlops_request_seconds_bucket{path="/predict",le="0.25"}': "0+600x420",
    'mlops_request_seconds_bucket{path="/predict",le="1"}': "0+600x420",
    'mlops_request_seconds_bucket{path="/predict",le="+Inf"}': "0+600x420",
    "mlops_cpu_seconds_total": "0+60x420",
    "mlops_workers": "2x420",
    "mlops_waiting_rows": "0x420",
    "mlops_started_seconds": "1000x420",
    "mlops_batch_rows_sum": "0+600x420",
    "mlops_batch_rows_count": "0+60x420",
    'mlops_contract_violations_total{input="seats"}': "0x420",
    "mlops_log_rows_total": "0+600x420",
    "mlops_log_dropped_rows_total": "0x420",
    "mlops_log_failures_total": "0x420",
    "mlops_log_pass_seconds": "1000000x420",  # at whatever minute it began, it is not behind
    "mlops_release": "1x420",
}

Series = Mapping[str, str]


def server(
    changes: Series | None = None,
    environment: str = "prod",
    instance: str = "a",
    release: str = "r-1",
    since: int = 0,
    until: int = MINUTES,
) -> Iterator[dict[str, str]]:
    """Yield a server's series; `changes` are by the names of HEALTHY.

    Args:
        since, until: the minutes in which it is there; before and after, nothing is known of it.
    """
    assert not set(changes or {}) - set(HEALTHY), "no such series"
    for name, values in (HEALTHY | dict(changes or {})).items():
        known = name.removesuffix("}")
        known += "," if "{" in known else "{"
        known += f'environment="{environment}",instance="{instance}"'
        known += f',release="{release}"' if name == "mlops_release" else ""
        if (since, until) != (0, MINUTES):
            values = part(values, since, until)
        yield {"series": known + "}", "values": values}


def part(values: str, since: int, until: int) -> str:
    """Return a series of one piece as it is between two minutes."""
    first, _, _ = values.partition("x")
    missing = f"_x{since - 1} " if since > 1 else "_ " if since else ""
    return f"{missing}{first}x{until - since} stale"
