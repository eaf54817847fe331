"""The report of a change: is the model better, and what changed? Markdown for a pull request."""

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import lock, plots
from ..comparison import Compared, Comparison, compare, judged
from ..config.params import Params, load_params
from ..contract import load_contract
from ..engine import MANIFEST, engine
from ..errors import InputError
from ..files import read_json, replacing, write_text
from ..gate import broken
from ..metrics import VALUE, catalogue
from ..model import digest
from ..paths import (
    CONTRACT,
    LOCK,
    METRICS,
    ONNX,
    PARAMS,
    PARITY,
    PARTS,
    PLOTS,
    PROFILE,
    PROVENANCE,
    SLICES,
    SNAPSHOT,
    TRAINING_LOG,
)
from ..pipeline import TOOK
from ..profile import changes
from ..revision import WORKSPACE, Revision
from ..slices import slices
from .folder import check_replaceable
from .markdown import Section, code, plain, prose, table

# GitHub refuses comments of 65,536 characters; links to pictures grow when they are published.
LIMIT = 60_000
# Columns of each model in the picture of their importance, most important first.
COLUMNS = 12
CHOSEN = TRAINING_LOG / "params.yaml"
# Lines of what must be mended.
LINES = 20

DOTS = {"better": "🟢", "same": "⚪", "worse": "🔴"}


@dataclass(frozen=True)
class Facts:
    """All that the report is made of."""

    name: str
    base: Revision | None
    params: Params
    comparison: Comparison
    lock: lock.LockState
    head: Revision | None  # None where nothing is committed
    broken: list[str]

    @property
    def sides(self) -> list[Revision]:
        """The champion's revision, where there is one, and the workspace."""
        return [*filter(None, [self.base]), WORKSPACE]

    @property
    def names(self) -> list[str]:
        """What the sides are called, in Markdown."""
        return [*([plain(self.name)] if self.base else []), "this"]


@dataclass(frozen=True)
class Headline:
    """What a person can act on, as plain text in which backticks mark what is code.

    Attributes:
        kind: of GitHub's alert.
        title, rest: the verdict, and what it rests on.
        stop: what must be mended before a merge.
    """

    kind: str
    title: str
    rest: str
    stop: list[str]

    def plain(self) -> str:
        """For the terminal."""
        return "\n".join(
            [f"{self.title} {self.rest}".strip(), *(f"- {line}" for line in self.stop)]
        )

    def text(self) -> str:
        """In Markdown."""
        said = f"**{prose(self.title)}** {prose(self.rest)}".strip()
        stop = [prose(line) for line in self.stop[:LINES]]
        if len(self.stop) > LINES:
            stop.append(f"and {len(self.stop) - LINES} more")
        listed = "".join(f"\n> - {line}" for line in stop)
        if listed:
            said += f" It cannot be merged:\n>{listed}"
        return f"> [!{self.kind}]\n> {said}\n"


def report(name: str, folder: Path, log: Path | None, comparison: Comparison | None = None) -> str:
    """Write `report.md` and its pictures to `folder`, and return the verdict as plain text.

    Args:
        name: the base revision, as Git knows it; all zeros for none.
        folder: is replaced as a whole.
        log: what `dvc repro` printed, to tell which stages ran; None leaves that out.
        comparison: with the base revision, where it was made already.
    Raises:
        InputError: `folder` holds something else than a report.
    """
    check_replaceable(folder, "report.md")
    facts = _facts(name, comparison)
    with replacing(folder) as temporary:
        temporary.mkdir()
        drawn = _draw(facts, temporary)
        headline = _headline(facts)
        write_text(temporary / "report.md", _fitted(headline, _sections(facts, drawn, log)))
    return headline.plain()


def _facts(name: str, comparison: Comparison | None) -> Facts:
    params, base = load_params(), Revision.of(name)
    comparison = comparison or compare(params, base)
    metrics, parts = (WORKSPACE.load(path) or {} for path in (METRICS, SLICES))
    return Facts(
        name=_short(name) if base else "nothing",
        base=base,
        params=params,
        comparison=comparison,
        lock=lock.check(),
        head=_head(),
        broken=broken(params, metrics, parts, comparison),
    )


def _head() -> Revision | None:
    try:
        return Revision.of("HEAD")
    except InputError:  # nothing is committed
        return None


def _short(name: str) -> str:
    return name[:7] if re.fullmatch("[0-9a-f]{40}", name) else name.removeprefix("origin/")


def _fitted(headline: Headline, sections: list[Section]) -> str:
    """All sections that fit, the first ones first; a missing one is told."""
    text = headline.text() + "\n"
    left_out = []
    for section in sections:
        if len(text) + len(section.text()) > LIMIT:
            left_out.append(section.title)
        else:
            text += section.text() + "\n"
    if left_out:
        text += f"Left out, as a comment must be short: {', '.join(left_out)}.\n"
    return text


def _headline(facts: Facts) -> Headline:
    found, stop = facts.comparison, [*facts.lock.problems(), *facts.broken]
    title, rest = {
        "better": (f"Better than {facts.name}.", _told(facts, "better")),
        "same": (f"As good as {facts.name}.", _sentence(found.reason) or _no_difference(facts)),
        "worse": (f"Worse than {facts.name}.", _told(facts, "worse")),
        None: (f"Not comparable with {facts.name}.", _sentence(found.reason)),
    }[found.verdict]
    if facts.base is None:
        title = "Nothing to compare with."
    if stop:
        return Headline("CAUTION", title, rest, stop)
    # Of Git's, not the workspace's: `dvc repro`, which ran before, made one in any case.
    if facts.head is None or facts.head.read(LOCK) is None:
        rest += (
            f" There is no {LOCK} in Git yet, so this run reproduced everything. "
            f"Commit yours: `uv run dvc repro`, then `git add {LOCK} reports`."
        )
        return Headline("WARNING", title, rest, [])
    kind = {"better": "TIP", "same": "NOTE", "worse": "WARNING", None: "NOTE"}[found.verdict]
    return Headline(kind, title, rest, [])


def _sentence(reason: str | None) -> str:
    return f"{reason[0].upper()}{reason[1:]}." if reason else ""


def _told(facts: Facts, verdict: str) -> str:
    chosen = [n for n in judged(facts.params) if _is(facts, n, verdict)]
    metrics = facts.comparison.metrics
    return (
        "; ".join(
            f"`{n}` {metrics[n].champion:.4g} → {metrics[n].challenger:.4g} "
            f"({metrics[n].low:+.3g} to {metrics[n].high:+.3g})"
            for n in chosen
        )
        + "."
        + _beside(facts)
    )


def _is(facts: Facts, metric: str, verdict: str) -> bool:
    found = facts.comparison.metrics.get(metric)
    return found is not None and found.verdict == verdict


def _beside(facts: Facts) -> str:
    """What got worse without deciding: nobody is to find that out in the table alone."""
    decide = judged(facts.params)
    metrics = facts.comparison.metrics
    worse = [f"`{n}`" for n in metrics if n not in decide and _is(facts, n, "worse")]
    return f" Worse, though it does not decide: {', '.join(worse)}." if worse else ""


def _no_difference(facts: Facts) -> str:
    names = ", ".join(f"`{name}`" for name in judged(facts.params))
    return f"What differs in {names} may be chance.{_beside(facts)}"


def _sections(facts: Facts, drawn: list[str], log: Path | None) -> list[Section]:
    found = [
        _engine(),
        Section("Metrics", _metrics(facts), folded=False),
        Section("Plots", _pictures(drawn), folded=False) if drawn else None,
        _parameters(facts),
        _data(facts),
        _slices(facts),
        _model(facts),
        _stages(log),
        _lineage(facts),
        _reproduce(facts),
    ]
    return [each for each in found if each]


def _engine() -> Section | None:
    """What differs from the engine that was shipped; None where nothing does, or none is here."""
    lines = engine().differences.lines() if MANIFEST.is_file() else []
    if not lines:
        return None
    listed = "\n".join(f"- {plain(line)}" for line in lines[:LINES])
    more = f"\n- and {len(lines) - LINES} more" if len(lines) > LINES else ""
    said = "The engine is not what its version shipped; `mlops update` merges what is meant."
    return Section("Engine", f"{said}\n\n{listed}{more}", folded=False)


def _metrics(facts: Facts) -> str:
    if facts.comparison.metrics:
        return _compared_metrics(facts)
    before = (facts.base.load(METRICS) if facts.base else None) or {}
    after = WORKSPACE.load(METRICS) or {}
    if not before and not after:
        return "There are none yet."
    names = list(dict.fromkeys([*after, *before]))
    rows = [(_called(n, facts), _number(before.get(n)), _number(after.get(n))) for n in names]
    shown = table(("metric", plain(facts.name), "this"), rows)
    if facts.comparison.verdict is None and before:
        shown += "\n\nEach on its own test rows, so they say little about one another."
    return shown


def _compared_metrics(facts: Facts) -> str:
    decide = judged(facts.params)
    rows = [
        (
            f"{DOTS[each.verdict]} {_bold(_called(name, facts), name in decide)}",
            f"{each.champion:.4g}",
            f"{each.challenger:.4g}",
            f"{_arrow(each)} {each.challenger - each.champion:+.4g}",
            f"{each.low:+.3g} to {each.high:+.3g}",
            each.verdict,
        )
        for name, each in facts.comparison.metrics.items()
    ]
    test = facts.comparison.test
    how = facts.params.compare
    head = (
        "metric",
        plain(facts.name),
        "this",
        "difference",
        f"{how.confidence:.0%} interval",
        "",
    )
    rows_told = f"{len(test):,}" if test is not None else "same"
    return (
        table(head, rows)
        + f"\n\nBoth models on the same {rows_told} test rows; "
        + "those in bold decide. Interval of the difference by paired bootstrap."
        + "".join(f" {prose(note)}" for note in facts.comparison.notes)
    )


def _called(metric: str, facts: Facts) -> str:
    """A metric's name in Markdown, with its unit where that is the project's own."""
    value = facts.params.evaluate.value
    return plain(f"{metric} ({value.currency} a row)" if value and metric == VALUE else metric)


def _bold(text: str, really: bool) -> str:
    return f"**{text}**" if really else text


def _arrow(each: Compared) -> str:
    difference = each.challenger - each.champion
    return "▲" if difference > 0 else "▼" if difference < 0 else "="


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


def _slices(facts: Facts) -> Section | None:
    found = facts.comparison
    after: dict[str, Any] = WORKSPACE.load(SLICES) or {}
    if found.champion and found.challenger and found.test is not None:
        # contract.yaml may be ahead of the test rows.
        params, contract = facts.params, load_contract().only({*found.test.columns})
        before, after = (
            slices(params.task, side.scored, found.test, contract, params.evaluate)
            for side in (found.champion, found.challenger)
        )
    elif facts.base:
        before = facts.base.load(SLICES) or {}
    else:
        before = {}
    name = judged(facts.params)[0]
    tables = []
    for column, values in after.items():
        rows = []
        for value, now in values.items():
            was = before.get(column, {}).get(value, {})
            pair = was.get(name), now.get(name)
            apart = "–" if None in pair else f"{pair[1] - pair[0]:+.4g}"
            rows.append((code(value), f"{now['rows']:,}", *map(_number, pair), apart))
        if rows:
            head = (code(column), "rows", plain(facts.name), "this", "difference")
            tables.append(table(head, rows))
    if not tables:
        return None
    better = catalogue(facts.params.task, facts.params.evaluate.value)[name].better
    return Section(
        f"Slices by {_called(name, facts)}",
        f"{better.capitalize()} is better.\n\n" + "\n\n".join(tables),
    )


def _data(facts: Facts) -> Section | None:
    after = WORKSPACE.load(PROFILE)
    before = facts.base.load(PROFILE) if facts.base else None
    if after is None:
        return None
    size = f"{after['rows']:,} rows, {len(after['columns'])} columns"
    if before is None:
        return Section(f"Data: {size}", "Nothing to compare with.")
    if before == after:
        return Section(f"Data: unchanged, {size}", "The profile of every column is the same.")
    rows = [
        (
            code(each.column),
            "–" if each.shift is None else f"{each.shift:.3f}",
            "; ".join(map(code, each.told)),
        )
        for each in changes(before, after)
    ]
    title = f"Data: {before['rows']:,} → {after['rows']:,} rows, {len(rows)} columns differ"
    return Section(
        title,
        table(("column", "shift", "what changed"), rows)
        + "\n\nShift: distance of the distributions, 0 the same, 1 nothing in common.",
    )


def _parameters(facts: Facts) -> Section | None:
    if facts.base is None:
        return None
    rows = []
    # What training used is what params.yaml says, unless a search chose.
    searched = [CHOSEN] if facts.params.train.search.trials else []
    for path in (PARAMS, CONTRACT, *searched):
        before, after = (_flat(side.load(path) or {}) for side in (facts.base, WORKSPACE))
        for key in dict.fromkeys([*before, *after]):
            if before.get(key) != after.get(key):
                where = key if path == PARAMS else f"{path.name}: {key}"
                if path == CHOSEN:
                    where = f"chosen {key}"
                pair = (code(each[key]) if key in each else "–" for each in (before, after))
                rows.append((code(where), *pair))
    if not rows:
        return Section("Parameters: unchanged", "`params.yaml` and `contract.yaml` are the same.")
    return Section(
        f"Parameters: {len(rows)} differ",
        table(("parameter", plain(facts.name), "this"), rows, numbers_from=3),
        folded=len(rows) > 12,
    )


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(value, dict) or not value:
        return {prefix: value} if prefix else {}
    found: dict[str, Any] = {}
    for key, inner in value.items():
        found |= _flat(inner, f"{prefix}.{key}" if prefix else str(key))
    return found


def _model(facts: Facts) -> Section | None:
    sides = facts.sides
    parity = [side.load(PARITY) for side in sides]
    if parity[-1] is None:
        return None
    sizes = [side.outputs[ONNX].size if ONNX in side.outputs else None for side in sides]
    worst = [
        max(group["difference"] for group in each["groups"].values()) if each else None
        for each in parity
    ]
    rows = [
        ["size", *(f"{each:,} bytes" if each else "–" for each in sizes)],
        ["ONNX against scikit-learn", *("–" if e is None else f"{e:.2g}" for e in worst)],
    ]
    timed = facts.comparison.champion, facts.comparison.challenger
    if timed[0] and timed[1]:
        rows.append(["one row", *(f"{side.latency * 1e6:,.0f} µs" for side in timed if side)])
    head = ("ONNX model", *facts.names)
    tolerance = f"{parity[-1]['tolerance']:.2g}"
    return Section(
        "Model: parity, size, latency",
        table(head, rows) + f"\n\nTolerance of parity: {tolerance}. Latency on this machine.",
    )


RAN = re.compile(r"^Running stage '(.+)':$")
REUSED = re.compile(r"^Stage '(.+)' (didn't change, skipping|is cached - skipping run.*)$")
SECONDS = re.compile("^" + re.escape(TOOK).replace(re.escape("{:.1f}"), r"([\d.]+)") + "$")


def _stages(log: Path | None) -> Section | None:
    if log is None or not log.is_file():
        return None
    rows: list[list[str]] = []
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        if ran := RAN.match(line):
            rows.append([code(ran[1]), "ran", ""])
        elif reused := REUSED.match(line):
            known = reused[2].startswith("is cached")
            rows.append([code(reused[1]), "taken from the cache" if known else "up to date", ""])
        elif (took := SECONDS.match(line)) and rows:
            rows[-1][2] = f"{took[1]} s"
    if not rows:
        return None
    ran_count = sum(row[1] == "ran" for row in rows)
    title = f"Stages: {ran_count} ran, {len(rows) - ran_count} reused"
    return Section(title, table(("stage", "", "time"), rows, numbers_from=2))


def _lineage(facts: Facts) -> Section:
    sides = facts.sides
    rows = [["commit", *(code((each.commit or _commit(facts))[:12]) for each in sides)]]
    for path in (SNAPSHOT, *PARTS.values(), ONNX):
        hashes = [each.outputs[path].md5 if path in each.outputs else "–" for each in sides]
        rows.append([f"{path} (MD5)", *map(code, hashes)])
    contracts = [each.load(CONTRACT) for each in sides]
    rows.append(["contract.yaml", *(code(digest(e)[:12]) if e else "–" for e in contracts)])
    origins = [each.load(PROVENANCE) for each in sides]
    hashes = [code(each["snapshot_sha256"][:12]) if each else "–" for each in origins]
    rows.append([f"{SNAPSHOT} (SHA-256)", *hashes])
    head = ("what", *facts.names)
    return Section("Lineage", table(head, rows, numbers_from=len(head)))


def _commit(facts: Facts) -> str:
    return facts.head.commit or "" if facts.head else "none yet"


def _reproduce(facts: Facts) -> Section:
    base = f" --base {facts.base.commit}" if facts.base else ""
    return Section(
        "Reproduce it",
        f"```bash\ngit checkout {_commit(facts)[:12]}\nuv run dvc pull\nuv run dvc repro\n"
        f"uv run mlops report{base}\n```",
    )


def _pictures(drawn: list[str]) -> str:
    # Two in a row where there is room, one on a phone.
    return "\n".join(f'<img src="{n}.png" alt="{n.replace("_", " ")}" width="375">' for n in drawn)


def _draw(facts: Facts, folder: Path) -> list[str]:
    """Draw each plot with both models in it; return their names."""
    found = facts.comparison
    if not found.champion or not found.challenger:
        return []
    drawn = []
    for name, plot in plots.PLOTS[facts.params.task].items():
        data: plots.Records = []
        for rev, revision, side in (
            (facts.name, facts.base, found.champion),
            ("this", WORKSPACE, found.challenger),
        ):
            if name == "importance":
                records = _importance(revision)[:COLUMNS]
            else:
                records = plots.records(name, side.scored, side.classes)
            data += [{"rev": rev, **each} for each in records]
        if data:
            plots.draw(folder / f"{name}.png", name, plot, data)
            drawn.append(name)
    return drawn


def _importance(revision: Revision | None) -> plots.Records:
    """What `evaluate` measured; nothing where it cannot be had, since it is no verdict."""
    if revision is None:
        return []
    with tempfile.TemporaryDirectory() as folder:
        try:
            path = revision.fetch(PLOTS / "importance.json", Path(folder))
        except InputError:
            return []
        return list(read_json(path))
