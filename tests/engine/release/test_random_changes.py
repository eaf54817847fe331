"""Random changes of environments, merged in each way, against the rules said without Git.

What is said here are facts: which release an environment has, by which policy, what is in
quarantine and which evidence there is, as a dictionary. A branch is a list of them, and main is one
with what each environment had, and since when.
"""

import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from engine.released import Repository

from mlops.git.revision import Revision
from mlops.release.evidence import Evidence
from mlops.release.history import lived, ways_back

Facts = dict[tuple[str, str], Any]
CHAIN = {"dev": None, "staging": "dev", "prod": "staging"}
ADDED = {"aaa": None, "mid": "dev", "zzz": "prod"}
BROKEN = "requires: [\n"
EDITED = "edited "


@dataclass
class Main:
    """What main has, and had.

    Attributes:
        facts: now.
        had: what each environment had, None for nothing, and since when; the oldest first.
        time: when the newest commit came to it.
    """

    facts: Facts
    time: datetime
    had: dict[str, list[tuple[str | None, datetime]]] = field(default_factory=dict)

    def take(self, facts: Facts, time: datetime) -> None:
        """A commit comes to main."""
        self.time = max(self.time, time)
        self.facts = facts
        for name in {*self.had, *environments(facts)}:
            past = self.had.setdefault(name, [(None, self.time)])
            if past[-1][0] != facts.get(("release", name)):
                past.append((facts.get(("release", name)), self.time))

    def live(self, name: str) -> list[tuple[str, datetime, datetime | None]]:
        """Each release that an environment had, with its beginning and end; the newest first."""
        past = self.had.get(name, [])
        ends = [*(since for _, since in past[1:]), None][: len(past)]
        spans = [(what, a, b) for (what, a), b in zip(past, ends, strict=True) if what is not None]
        return spans[::-1]

    def earlier(self, name: str) -> set[str]:
        """What an environment had before it first had what it has now."""
        found: set[str] = set()
        current = self.facts.get(("release", name))
        for what, _ in self.had.get(name, []):
            if what == current:
                return found
            found |= {what} if what else set()
        return set()


def environments(facts: Facts) -> set[str]:
    return {name for kind, name in facts if kind in ("policy", "release")}


def wrong(facts: Facts) -> set[tuple[str, str]]:
    """Environments whose policies make no sense, and why."""
    found = set()
    for name in environments(facts):
        policy = facts.get(("policy", name))
        if policy in (None, BROKEN):
            found.add((name, str(policy)))
        elif policy[0] not in {None, *environments(facts)}:
            found.add((name, policy[0]))
    return found


def allowed(
    main: Main, fork: Facts, branch: list[Facts], end: Facts, now: datetime, updated: bool = False
) -> bool:
    """Whether a branch may be merged, by what the manual says.

    Args:
        main: as it is.
        fork: what the change is a change of.
        branch: what its commits have, after what they began with.
        end: what main would have.
        now: the time.
        updated: whether main was merged into the branch, so that it has all of `end` itself.
    """
    begin, last = branch[0], end if updated else branch[-1]
    banned = {*main.facts[("bad", "")], *end[("bad", "")]}
    names, bad = environments(end), {name for name, _ in wrong(main.facts)}
    retired = environments(fork) - names
    moved = [n for n in names if end.get(("release", n)) != fork.get(("release", n))]
    once = all(end.get(key) == fork.get(key) for key in main.facts if key[0] == "evidence") and all(
        each.get(key) in (begin.get(key), last.get(key))
        for each in branch
        for key in {*each, *begin, *last}
        if key[0] in ("release", "evidence")
    )
    held = {n for n in names | retired if main.facts.get(("policy", n), ("", 0, None))[2]}
    used = {n for n in retired & environments(main.facts) if fork.get(("release", n))}
    if not once or wrong(end) - wrong(main.facts) or len({*moved, *retired}) > 1:
        return False
    if used - (held - bad) or {*fork[("bad", "")]} - {*end[("bad", "")]}:
        return False
    for name in moved:
        release = end.get(("release", name))
        if release is None or name not in environments(main.facts) or release in banned:
            return False
        if release.startswith(EDITED) or ("evidence", release) not in end:
            return False
        if release in main.earlier(name):
            continue
        if name in bad or name in held:
            return False
        upstream, soak, _ = main.facts[("policy", name)]
        spans = [(b or now) - a for what, a, b in main.live(upstream or "") if what == release]
        if upstream and (not spans or sum(spans, timedelta()) < timedelta(minutes=soak)):
            return False
    return True


@dataclass
class World:
    """A repository, and what is known of it without asking it."""

    repository: Repository
    rng: random.Random
    main: Main
    evidence: dict[str, Evidence] = field(default_factory=dict)

    def files(self, facts: Facts) -> dict[str, str]:
        """The files that say it."""
        found = {}
        for (kind, name), value in facts.items():
            if kind == "release":
                release = self.evidence[value.removeprefix(EDITED)].release
                text = release.text()
                if value.startswith(EDITED):
                    text = text.replace(release.model_md5, "e" * 32)
                found[f"environments/{name}/release.env"] = text
            elif kind == "policy":
                requires, soak, hold = value if value != BROKEN else (None, 0, None)
                text = f"requires: {requires or 'null'}\nsoak_minutes: {soak}\n"
                text += f"hold: {hold or 'null'}\n"
                found[f"environments/{name}/policy.yaml"] = BROKEN if value == BROKEN else text
            elif kind == "evidence":
                other = {"metrics": {"roc_auc": value}}
                text = self.evidence[name].model_copy(update=other).model_dump_json() + "\n"
                found[f"releases/{name}.json"] = text
            elif value:
                found["releases/quarantine.txt"] = "".join(f"{each} bad\n" for each in value)
        return found

    def commit(self, before: Facts, after: Facts, when: datetime) -> None:
        """Commit what differs, at a time of its own."""
        now, self.repository.now = self.repository.now, when
        was, is_ = self.files(before), self.files(after)
        changed: dict[str, str | None] = {k: v for k, v in is_.items() if was.get(k) != v}
        changed |= {k: None for k in was if k not in is_}
        self.repository.commit(changed, wait=0)
        self.repository.now = now

    def step(self, facts: Facts) -> Facts:
        """What somebody does to environments."""
        rng, done = self.rng, dict(facts)
        name = rng.choice(sorted(environments(facts)))
        known = sorted(n for kind, n in facts if kind == "evidence")
        policy = facts.get(("policy", name))
        kinds = ["edit", "remove", "retire", "add", "break", "hold", "bad", "free", "alter"]
        often = {"new": 8, "copy": 10, "up": 12, "mend": 4, "add": 3, "bad": 2, "free": 3}
        match rng.choice([*kinds, *(each for each, times in often.items() for _ in range(times))]):
            case "copy" if known:
                done["release", name] = rng.choice(known)
            case "up":
                before = CHAIN.get(name) or "dev"
                if value := facts.get(("release", before)):
                    done["release", name] = value
            case "new":
                made = [*self.evidence][-1]
                done |= {("evidence", made): 0.7, ("release", "dev"): made}
            case "edit" if known:
                done["release", name] = EDITED + rng.choice(known)
            case "remove":
                done.pop(("release", name), None)
            case "retire":
                done.pop(("release", name), None)
                done.pop(("policy", name), None)
            case "add":
                name, requires = rng.choice([*ADDED.items()])
                done["policy", name] = (requires, 0, None)
                if known and rng.random() < 0.6:
                    done["release", name] = rng.choice(known)
            case "break":
                done["policy", name] = BROKEN
            case "hold" if policy not in (None, BROKEN):
                done["policy", name] = (policy[0], policy[1], None if policy[2] else "held")
            case "mend":
                for each, text in facts.items():
                    if text == BROKEN or (each[0] == "policy" and text[2]):
                        done[each] = ((CHAIN | ADDED)[each[1]], 0, None)
            case "bad" if known:
                done["bad", ""] = (*facts["bad", ""], rng.choice(known))
            case "free":
                done["bad", ""] = facts["bad", ""][1:]
            case "alter" if known:
                done["evidence", rng.choice(known)] = 0.9
        return done


def merged(base: Facts, ours: Facts, theirs: Facts) -> Facts:
    """What differs in either."""
    found = {}
    for key in {*base, *ours, *theirs}:
        which = theirs if theirs.get(key) != base.get(key) else ours
        if key in which:
            found[key] = which[key]
    return found


@pytest.fixture
def below(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """The project is not the whole of its repository."""
    Path("models/a").mkdir(parents=True)
    monkeypatch.chdir("models/a")
    return repository


@pytest.mark.slow
@pytest.mark.parametrize(
    ("where", "seed", "times"),
    [
        ("repository", 1, 30),
        ("below", 2, 30),
        *(pytest.param("repository", seed, 100, marks=pytest.mark.long) for seed in range(3, 7)),
    ],
)
def test_no_forbidden_change_passes_and_no_allowed_one_is_refused(
    where: str, seed: int, times: int, request: pytest.FixtureRequest
) -> None:
    repository: Repository = request.getfixturevalue(where)
    begin: Facts = {("policy", n): (up, 0 if n != "prod" else 30, None) for n, up in CHAIN.items()}
    begin["bad", ""] = ()
    world = World(repository, random.Random(seed), Main({}, repository.now))  # noqa: S311
    world.commit({}, begin, repository.now)
    world.main.take(begin, repository.now)
    counts = {True: 0, False: 0}
    for _ in range(times):
        verdict = tried(world)
        if verdict is not None:
            counts[verdict] += 1
        for name in environments(world.main.facts):
            at = Revision(repository.git("rev-parse", "main"))
            told = [(each.release.id, each.since, each.until) for each in lived(name, at)]
            assert told == world.main.live(name)
            assert {each.id for each in ways_back(name, at)} == world.main.earlier(name)
    assert min(counts.values()) >= times // 5, counts


def tried(world: World) -> bool | None:
    """Whether a random change is allowed; it is merged then. None where it does not merge."""
    repository, rng, main = world.repository, world.rng, world.main
    evidence = repository.evidence()  # commits to main what it is of
    world.evidence[evidence.id] = evidence
    main.take(main.facts, repository.now)
    fork = main.facts
    repository.git("checkout", "--quiet", "-B", "branch")
    branch, times, odd = [fork], [repository.now], False
    for number in range(rng.choice([1, 1, 2, 2, 3])):
        facts = fork if number and rng.random() < 0.4 else world.step(branch[-1])
        repository.now += timedelta(minutes=rng.choice([1, 1, 40]))
        when = repository.now + timedelta(minutes=rng.choice([0] * 12 + [-300, 1440]))
        kept = [{k: v for k, v in f.items() if k[0] != "policy"} for f in (branch[-1], facts)]
        kept = [{k: v for k, v in f.items() if k[0] != "bad"} for f in kept]
        odd |= when > repository.now or (when < times[-1] and kept[0] != kept[1])
        world.commit(branch[-1], facts, when)
        branch.append(facts)
        times.append(when)
    head, moves_on = repository.head, rng.random() < 0.5
    repository.git("checkout", "--quiet", "--force", "main")
    if moves_on:
        ahead = world.step(main.facts)
        if not allowed(main, main.facts, [main.facts, ahead], ahead, repository.now):
            ahead = main.facts
        repository.now += timedelta(minutes=1)
        world.commit(main.facts, ahead, repository.now)
        main.take(ahead, repository.now)
    raw = allowed(main, fork, branch, branch[-1], repository.now) and not odd
    assert (repository.judged(head) == []) == raw, repository.judged(head)
    end = merged(fork, main.facts, branch[-1])
    try:
        trial = repository.merged(head)
    except AssertionError:  # a conflict
        repository.git("reset", "--quiet", "--hard")
        repository.git("checkout", "--quiet", "main")
        return None
    verdict = allowed(main, main.facts, branch, end, repository.now) and not odd
    told = repository.judged(trial)
    assert (told == []) == verdict, (told, branch, end)
    if rng.random() < 0.5:  # brought up to date, and once more
        repository.git("checkout", "--quiet", "--detach", head)
        repository.git("merge", "--quiet", "--no-ff", "--no-edit", "main")
        updated = repository.head
        repository.git("checkout", "--quiet", "main")
        anew = allowed(main, main.facts, branch, end, repository.now, updated=True) and not odd
        assert (repository.judged(updated) == []) == anew, repository.judged(updated)
        assert (repository.judged(repository.merged(updated)) == []) == anew
    if verdict:
        slow = land(world, head, fork, branch, end, [] if moves_on else times)
        after, before = repository.git("rev-parse", "main", "main@{1}").split()
        told = repository.judged(after, before, merged=True)
        assert all("is older than" in line for line in told) if slow else told == []
    return verdict


def land(
    world: World, head: str, fork: Facts, branch: list[Facts], end: Facts, times: list[datetime]
) -> bool:
    """Merge a branch in one of the ways, and say whether the clock was slow.

    `times` are those of its commits, where it is up to date: only then is what a rebase makes of
    them what they are.
    """
    repository, main, base = world.repository, world.main, world.main.facts
    repository.now += timedelta(minutes=world.rng.choice([1, 20, 60]))
    slow = timedelta(minutes=world.rng.choice([0, 0, 90]))  # the clock of the machine that merges
    repository.now -= slow
    match world.rng.choice(["merge", "squash", *["rebase", "forward"] * bool(times)]):
        case "merge":
            repository.git("merge", "--quiet", "--no-ff", "--no-edit", head)
            main.take(end, repository.now)
        case "squash":
            repository.git("merge", "--quiet", "--squash", head)
            repository.git("commit", "--quiet", "--allow-empty", "--message", "x")
            main.take(end, repository.now)
        case "rebase":
            repository.git("checkout", "--quiet", "--detach", head)
            repository.git("rebase", "--quiet", "--force-rebase", "main")
            rebased = repository.head
            repository.git("checkout", "--quiet", "main")
            repository.git("merge", "--quiet", "--ff-only", rebased)
            for facts in branch[1:]:
                main.take(merged(fork, base, facts), repository.now)
        case "forward":
            repository.git("merge", "--quiet", "--ff-only", head)
            for facts, time in zip(branch[1:], times[1:], strict=True):
                main.take(facts, time)
    repository.now += slow
    return bool(slow)
