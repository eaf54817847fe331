"""The prediction log against Git: what really answered, until when, and who asked."""

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from engine.released import Repository

from mlops.errors import InputError
from mlops.facts import as_json
from mlops.git.revision import Revision
from mlops.monitoring.answered import answered
from mlops.monitoring.storage import Storage
from mlops.release.audit import audit, period
from mlops.release.hop import Hop
from mlops.report.audit import markdown
from mlops.serving.client import EXAMPLE

DAY = datetime(2030, 1, 4, tzinfo=UTC)
USE = "Planning"


@dataclass
class Story:
    """r1 is in dev from 2 January 2030, r2 from noon of the 4th; the log is in a folder."""

    repository: Repository
    log: Storage

    def wrote(self, release: str, at: datetime, *callers: str | None, **changes: Any) -> None:
        """Let a server have logged a row for each caller, a minute each."""
        moments = [at + timedelta(minutes=i) for i in range(len(callers))]
        columns = {
            "_time": pa.array(moments, pa.timestamp("us", "UTC")),
            "_request": [f"{release} {at} {i}" for i in range(len(callers))],
            "_row": [0] * len(callers),
            "_release": [self.repository.ids.get(release, release)] * len(callers),
            "_caller": pa.array(callers, pa.string()),
        }
        name = f"{at:%Y-%m-%d/%H%M%S}-{release}-000000.parquet"
        self.log.write(name, pa.table(columns | changes))

    def steps(self, start: datetime = DAY, days: float = 1, log: str | None = "") -> list[Hop]:
        """What is told of a time."""
        base = Revision(self.repository.git("rev-parse", "HEAD"))
        where = self.log.address if log == "" else log
        return answered("dev", start, start + timedelta(days=days), base, where)

    def told(self, **how: Any) -> dict[str, tuple[str, str, str]]:
        """The same by what is looked at, with the names that releases have here."""
        short = self.repository.short
        return {
            short(hop.what): (hop.state, short(hop.value), short(hop.why or ""))
            for hop in self.steps(**how)
        }


@pytest.fixture
def story(repository: Repository, tmp_path: Path) -> Story:
    """See Story."""
    said = {"intended": [USE], "callers": {"desk": USE}}
    repository.commit({"model.yaml": json.dumps(said)})
    for start in (2, 4):
        repository.now = datetime(2030, 1, start, 11, 58, tzinfo=UTC)
        repository.live("dev")
    return Story(repository, Storage(str(tmp_path / "log")))


def at(hour: float, day: int = 4) -> datetime:
    return datetime(2030, 1, day, tzinfo=UTC) + timedelta(hours=hour)


def test_what_the_log_has_is_what_git_had(story: Story) -> None:
    story.wrote("r1", at(9), "desk", "desk")
    story.wrote("r1", at(20), "desk")  # until its servers are replaced
    story.wrote("r2", at(13), "desk")
    assert story.told() == {
        "log, r1": ("ok", "3 rows from 2030-01-04 09:00 to 2030-01-04 20:00 UTC", ""),
        "log, r2": ("ok", "1 row from 2030-01-04 13:00 to 2030-01-04 13:00 UTC", ""),
        "caller desk": ("ok", f"4 rows, for: {USE}", ""),
    }


def test_what_git_never_had_there_is_wrong(story: Story) -> None:
    story.wrote("another", at(9), "desk")
    story.wrote("r1", at(9), "desk")
    told = story.told()
    assert told["log, another"][::2] == ("wrong", "Git never had it there")
    assert told["log, r1"][0] == "ok"
    assert told["log, r2"][::2] == (
        "not checked",
        "nobody asked it, its rows are not kept any more, or it never ran",
    )


@pytest.mark.parametrize(
    ("release", "when", "state"),
    [
        ("r2", at(11.9), "ok"),  # clocks differ by minutes
        ("r2", at(11.5), "wrong"),
        ("r1", at(11.5, day=5), "ok"),
        ("r1", at(12.5, day=5), "wrong"),
        ("r1", at(0, day=9), "wrong"),
    ],
)
def test_before_it_came_and_long_after_it_went_is_wrong(
    story: Story, release: str, when: datetime, state: str
) -> None:
    story.wrote(release, when, "desk", "desk")
    step = story.told(start=when.replace(hour=0, minute=0))[f"log, {release}"]
    assert step[0] == state
    assert step[2].startswith(f"2 rows, the first at {when:%Y-%m-%d %H:%M} UTC, when") == (
        state == "wrong"
    )


def test_a_moment_is_looked_at_with_what_is_around_it(story: Story) -> None:
    story.wrote("r1", at(9), "desk")
    story.wrote("r1", at(10), "desk")
    found = story.told(start=at(9.25), days=1e-9)
    assert found["log, r1"][1].startswith("1 row ")


def test_rows_count_once_and_tests_and_other_times_do_not(story: Story) -> None:
    story.wrote("r1", at(9), "desk", "desk", _request=["1", "1"])
    story.wrote("r1", at(10), "desk", _request=[EXAMPLE])
    story.wrote("r1", at(9, day=3), "desk")
    assert story.told()["log, r1"][1].startswith("1 row from 2030-01-04 09:00")


def test_who_was_not_declared_then_is_told(story: Story) -> None:
    story.wrote("r2", at(13), "desk", "<b>bulk</b>", None)
    story.repository.commit({"model.yaml": json.dumps({"intended": [USE], "callers": {}})}, 24 * 60)
    told = story.told()
    assert told["caller desk"][0] == "ok", "as it was declared on that day"
    assert told["caller <b>bulk</b>"] == (
        "wrong",
        "1 row",
        "`callers` in model.yaml named no such caller then",
    )
    story.wrote("r2", at(13, day=7), "desk")
    assert story.told(start=at(0, day=7))["caller desk"][0] == "wrong"
    now = story.repository.now
    base = Revision(story.repository.git("rev-parse", "HEAD"))
    found = replace(audit("dev", period("2030-01-04", now), base, now), log=story.steps())
    text = markdown(found, "2030-01-04", base, now)
    assert "### What the prediction log says" in text
    assert "<b>" not in text
    assert json.loads(as_json(found))["log"]


@pytest.mark.parametrize(
    ("said", "state", "why"),
    [
        ({}, "not checked", "model.yaml declared no `callers` then"),
        ({"callers": {"desk": "Billing"}}, "wrong", "callers: desk: 'Billing' is none of"),
    ],
)
def test_where_no_caller_is_declared(story: Story, said: Any, state: str, why: str) -> None:
    story.repository.commit({"model.yaml": json.dumps(said)})
    story.wrote("r2", at(13), "desk")
    found = [step for what, step in story.told().items() if what.startswith("caller")]
    assert [(step[0], why in step[2]) for step in found] == [(state, True)]


def test_servers_without_tokens_know_nobody(story: Story) -> None:
    story.wrote("r2", at(13), None)
    assert story.told()["callers"] == (
        "not checked",
        "not known",
        "the servers asked for no tokens",
    )


def test_a_log_that_is_not_there(story: Story) -> None:
    with pytest.raises(InputError, match="there is no prediction log"):
        story.told()
    (step,) = story.told(log=None).values()
    assert step[:2] == ("not checked", "not at hand")
    assert "environments/dev/config.env" in step[2]


def test_a_file_that_cannot_be_read_is_named(story: Story) -> None:
    story.wrote("r2", at(13), "desk")
    Path(story.log.address, "2030-01-04/130000-broken-000000.parquet").write_bytes(b"PAR1")
    told = story.told()
    assert told["log, r2"][0] == "ok"
    state, value, why = told["log"]
    assert (state, value) == (
        "not checked",
        "1 file: 2030-01-04/130000-broken-000000.parquet",
    )
    assert why.startswith("not readable: ")
