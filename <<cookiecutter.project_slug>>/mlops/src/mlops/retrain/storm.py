"""The storm guard: however many alarms there are, only so many retrainings start."""

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from ..config.retraining import Retraining
from ..errors import InputError
from ..github.api import Api, Refused

WEEK = timedelta(days=7)
# Of .github/workflows/retrain.yml.
WORKFLOW = "retrain.yml"
JOB = "retrain"
BRANCHES = "retrain/"


@dataclass(frozen=True)
class Past:
    """What was retrained lately.

    Attributes:
        waiting: the addresses of the pull requests that are open.
        started: when a training was started, whatever came of it.
    """

    waiting: list[str]
    started: list[datetime]


def refusal(past: Past, limits: Retraining, now: datetime) -> str | None:
    """Why no retraining may start now; None where one may."""
    if past.waiting:
        return f"a retraining waits to be merged or closed: {past.waiting[0]}"
    if past.started:
        last = max(past.started)
        again = last + timedelta(days=limits.cool_down_days)
        if now < again:
            return (
                f"the last one started at {last:%Y-%m-%d %H:%M} UTC, and the next may at "
                f"{again:%Y-%m-%d %H:%M} (retraining.cool_down_days)"
            )
    lately = sum(now - start < WEEK for start in past.started)
    if lately >= limits.weekly:
        return (
            f"{lately} were started within seven days, and {limits.weekly} may (retraining.weekly)"
        )
    return None


def past(api: Api, limits: Retraining, now: datetime) -> Past:
    """Earlier retrainings that GitHub knows. Raises InputError where it does not answer."""
    since = now - max(WEEK, timedelta(days=limits.cool_down_days))
    try:
        pulls = api.get("pulls?state=open&base=main&per_page=100")
        asked = f"per_page=100&created={quote(f'>={since:%Y-%m-%dT%H:%M:%SZ}')}"
        runs = api.get(f"actions/workflows/{WORKFLOW}/runs?{asked}")["workflow_runs"]
        mine = os.environ.get("GITHUB_RUN_ID")
        jobs = [
            job
            for run in runs
            if str(run["id"]) != mine
            for job in api.get(f"actions/runs/{run['id']}/jobs")["jobs"]
        ]
    except Refused as error:
        raise InputError(f"GitHub does not tell what was retrained: {error}") from None
    return Past(
        [pull["html_url"] for pull in pulls if pull["head"]["ref"].startswith(BRANCHES)],
        [
            datetime.fromisoformat(job["started_at"]).astimezone(UTC)
            for job in jobs
            if job["name"] == JOB and job["conclusion"] != "skipped"
        ],
    )
