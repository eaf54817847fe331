"""Reports: the verdict leads, each section tells its part, and nothing that data or names hold can
become Markdown or HTML, or make the report too long to be a comment."""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from engine import made
from engine.stored import STAGES, Stored, fitted, rows
from engine.workspace import root
from markdown_it import MarkdownIt

from mlops import paths
from mlops.config.fairness import Parity
from mlops.config.hyperparameters import NetworkClassifierParams
from mlops.config.params import load_params
from mlops.data.inputs import model_inputs
from mlops.errors import InputError
from mlops.facts import as_json
from mlops.files import write_json
from mlops.git.revision import WORKSPACE, Revision
from mlops.judging.comparison import compare
from mlops.judging.paired import Compared
from mlops.learning import plots
from mlops.pipeline import TOOK, stage
from mlops.report import change, comment, markdown, pictures
from mlops.report.headline import headline
from mlops.report.pictures import DARK, draw_both, foremost, recoloured
from mlops.report.report import report

Begin = Callable[[str], Stored]

HOSTILE = [
    "a|b",
    "a\\|b \\",
    "`x` ``y|z",
    "<img src=x onerror=alert(1)>",
    "</code></td></table></details><script>alert(1)</script>",
    "line\nbreak\r\n# heading\n\n- item\n> [!TIP]",
    "@octocat/team and #1, GH-1, a@example.com",
    "![picture](http://example.com/x.png) [link](http://example.com)",
    "https://example.com www.example.com",
    "**bold** __it__ ~~gone~~ $m$ [^1]",
    "&lt;b&gt; &amp; &#64;octocat",
    "<!-- mlops report -->",
    "\u202egpj.exe\u200b\x7f\x00",
    "long " + "x" * 5000 + "|",
]
ALLOWED = {"table", "thead", "tbody", "tr", "th", "td", "details", "summary", "b", "strong", "code"}
ALLOWED |= {"h3", "h4", "p", "pre", "blockquote", "ul", "li", "img", "picture", "source"}


class Page(HTMLParser):
    """The report as a browser sees it.

    Attributes:
        tags: names of all elements.
        pictures: their files, for light pages.
        dark: the same for dark ones.
        widths: of each table, the numbers of cells of its rows.
        code, text: what stands in <code>, and what else there is.
    """

    def __init__(self, markdown: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.pictures: list[str] = []
        self.dark: list[str] = []
        self.widths: list[list[int]] = []
        self.code: list[str] = []
        self.text = ""
        self._in_code = False
        self.feed(MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(markdown))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        match tag:
            case "img":
                self.pictures.append(str(dict(attrs)["src"]))
            case "source":
                assert dict(attrs)["media"] == "(prefers-color-scheme: dark)"
                self.dark.append(str(dict(attrs)["srcset"]))
            case "table":
                self.widths.append([])
            case "tr":
                self.widths[-1].append(0)
            case "td" | "th":
                self.widths[-1][-1] += 1
            case "code":
                self._in_code = True
                self.code.append("")

    def handle_endtag(self, tag: str) -> None:
        if tag == "code":
            self._in_code = False

    def handle_comment(self, data: str) -> None:
        self.tags.add("comment")

    def handle_data(self, data: str) -> None:
        if self._in_code:
            self.code[-1] += data
        else:
            self.text += data


def _report(base: str, log: Path | None = None) -> tuple[str, str]:
    """What is said in the terminal, and the report."""
    said = headline(report(base, paths.REPORT, log)).plain()
    return said, (paths.REPORT / "report.md").read_text(encoding="utf-8")


def _check(text: str) -> Page:
    """What holds for every report."""
    page = Page(text)
    assert page.tags <= ALLOWED
    assert all(len({*widths}) == 1 for widths in page.widths), page.widths
    heads = [(paths.REPORT / name).read_bytes()[:24] for name in page.pictures + page.dark]
    assert all(head.startswith(b"\x89PNG\r\n\x1a\n") for head in heads)
    assert len({head[16:] for head in heads}) <= 1  # they are equally wide and high
    assert page.dark == [name.replace(".png", "-dark.png") for name in page.pictures]
    assert {*page.pictures, *page.dark} == {path.name for path in paths.REPORT.glob("*.png")}
    assert not re.search(r"@\w|#\d", page.text)  # GitHub looks there for people and issues,
    assert not re.search(r"://|www\.", text)  # and here for addresses
    assert len(text) < 65_536
    assert not [each for each in paths.REPORT.parent.iterdir() if each != paths.REPORT]
    return page


@pytest.mark.parametrize(
    ("before", "after", "mark", "title"),
    [
        ("poor", "good", "✅", r"Better: `mae` fell {0} → {0} \(at least {0} better, 95%\)"),
        ("good", "twin", "⚪", r"No significant difference in `mae` \({0} → {0}\)"),
        ("good", "poor", "⚠️", r"Worse: `mae` rose {0} → {0} \(at least {0} worse, 95%\)"),
    ],
)
def test_the_verdict_leads_and_sections_follow(
    begin: Begin, before: str, after: str, mark: str, title: str
) -> None:
    stored = begin("regression")
    test = rows("regression").assign(noise=lambda data: data["noise"] + 1)
    stored.made(before, train=test[:100])
    stored.put(after, test=test)
    stored.params(seed=2)
    stored.ran()
    stored.push()
    said, text = _report("main")
    assert re.match(title.format(r"[\d.]+") + r"\.", said)
    page = _check(text)
    lines = text.splitlines()
    assert lines[0].startswith(f"### {mark} ")
    assert lines[0].count("<code>mae</code>") == 1
    changed = "<code>seed</code> 1 → 2 · data changed in 1 column · engine unchanged"
    assert lines[2] == changed
    # Nothing but the metrics that decide is in front of what is folded.
    first = text[: text.index("<details>")]
    table = [line for line in first.splitlines() if line.startswith("| ")]
    assert table[0] == "| metric | verdict | main | this |"
    assert [row.split(" | ")[0] for row in table[2:]] == ["| mae ↓"]
    assert "↓ lower is better" in first
    for wanted in (
        "Both models answer the same 200 test rows",
        "The champion learned from 100 of the 300 test rows",
        "Parameters: 1 difference",
        "Data: 300 → 300 rows, differences in 1 column",
        "Slices by mae",
        "Model: parity, size, latency",
        "Lineage",
        "Reproduce it",
    ):
        assert wanted in page.text
    assert page.code.count("train.seed") == 1
    assert "noise" in page.code
    assert sorted(page.pictures) == ["dependence.png", "importance.png", "residuals.png"]


def test_what_is_doubtful_and_what_the_parts_are_stands_in_it(planted: Stored) -> None:
    leak = {"kind": "leak", "column": "a|b", "evidence": "explains 99.9% of large by itself"}
    write_json(paths.VALIDATION, {"caveats": [leak]})
    constant = {"kind": "constant", "column": None, "evidence": "no better than a constant"}
    write_json(paths.CAVEATS, [constant])
    shares = {"false": 0.75, "true": 0.25}
    test = {"rows": 1000, "distinct": 900, "shares": shares, "time": ["2030-01-01", "2030-02-01"]}
    number = {"rows": 2000, "distinct": 2000, "quantiles": [0, 1, 2.5, 4, 1e9]}
    write_json(paths.SPLIT, {"together": "time", "parts": {"train": number, "test": test}})
    folds = [{"metrics": {"roc_auc": value}} for value in (0.7, 0.8, 0.9)]
    write_json(paths.FOLDS, folds)
    planted.put("good")
    paths.ONNX.write_bytes(b"the final model")
    planted.ran()
    page = _check(_report("poor")[1])
    for wanted in (
        "Caveats",
        "a|b: explains 99.9% of large by itself",
        "no better than a constant",
        "Parts: train, test",
        "false 75.0%, true 25.0%",
        "0 · 1 · 2.5 · 4 · 1000000000",
        "2030-01-01 to 2030-02-01",
        "The served model was trained in the same way on all rows",
    ):
        assert wanted in page.text, wanted
    row = page.text[page.text.index("Folds:") :]
    assert re.search(r"0\.800\s+0\.100\s+3\s", row)


def test_all_plots_of_classes_have_both_models_in_them(planted: Stored, tmp_path: Path) -> None:
    page = _check(_report("poor")[1])
    names = ["calibration", "confusion", "dependence", "importance", "precision_recall", "roc"]
    assert sorted(page.pictures) == [f"{name}.png" for name in names]
    answers = compare(planted.params(), Revision.of("poor")).answers
    assert answers
    side = answers.challenger
    data = plots.records("roc", side.scored, side.classes)
    draw_both(tmp_path, "roc", plots.ROC, [{"rev": "this"} | each for each in data])
    for name in ("roc.png", "roc-dark.png"):
        assert (tmp_path / name).read_bytes() != (paths.REPORT / name).read_bytes()


def test_the_importance_of_eight_columns_is_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same in both models, those that one of them needs most; a column may do harm."""
    monkeypatch.chdir(root())
    data = [
        {"rev": rev, "column": f"c{number}", "importance": value}
        for rev, least in (("main", 0), ("this", 9))
        for number, value in enumerate(abs(number - least) / 100 - 0.02 for number in range(10))
    ]
    chosen = foremost(data)
    assert sorted(record["column"] for record in chosen if record["rev"] == "main") == [
        *("c0", "c1", "c2", "c3", "c6", "c7", "c8", "c9")
    ]
    assert [record["column"] for record in chosen[:8]] == [
        record["column"] for record in chosen[8:]
    ]
    draw_both(tmp_path, "importance", plots.IMPORTANCE, chosen)
    light, dark = ((tmp_path / f"importance{end}.png").read_bytes() for end in ("", "-dark"))
    assert light != dark


def test_colours_of_a_dark_page_are_not_those_of_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root())
    spec = plots.filled("roc", plots.ROC, [{"class": "white", "fpr": 0, "tpr": 0}])
    dark = recoloured(spec)
    assert dark["data"] == spec["data"]
    assert dark["config"]["background"] == DARK["white"]
    assert "white" in json.dumps(dark["data"])
    assert not {*DARK} & {*re.findall(r'"([^"]*)"', json.dumps(dark | {"data": None}))}


def test_what_got_worse_without_deciding_is_told(stored: Stored) -> None:
    data = rows("binary", 900)
    says = fitted("binary", "poor").predict(model_inputs(data, made.contract("binary")))
    flattering = data[~data["large"] | (says["prediction"] == 1)]  # the poor one misses none
    stored.made("poor", test=flattering)
    stored.made("good", test=flattering)
    stored.params(gates={"log_loss": {"regression": 0}})
    said, text = _report("HEAD~1")
    assert ". Better: `log_loss` fell " in said
    assert re.search(r"Also worse \(not gated\): .*`recall`", said.splitlines()[0])
    assert "recall" in _check(text).code


def test_the_same_model_has_no_pictures(stored: Stored) -> None:
    stored.made()
    stored.push()
    said, text = _report("HEAD")
    assert said == "No difference: the model is the same file."
    page = _check(text)
    assert page.pictures == []
    for wanted in ("Parameters: unchanged", "Data: unchanged, 300 rows, 6 columns", "roc_auc"):
        assert wanted in page.text


@pytest.mark.parametrize("base", ["HEAD~1", "0" * 40])
def test_the_first_model(stored: Stored, base: str) -> None:
    stored.commit()
    stored.made()
    stored.push()
    said, text = _report(base)
    title = "Nothing to compare" if base[0] == "0" else "Not comparable with HEAD~1"
    assert said == f"{title}: no champion yet: this is the first model."
    title = title.replace("~", "&#126;")
    assert text.startswith(f"### ⚪ {title}: no champion yet: this is the first model\n")
    assert "roc_auc" in _check(text).text


def test_without_a_lock_the_reader_is_asked_to_commit_it(stored: Stored) -> None:
    bare = stored.commit()
    page = _check(_report(bare)[1])
    assert "There are no metrics yet." in page.text
    stored.put()
    stored.ran()
    stored.push()
    _, text = _report(bare)
    page = _check(text)
    assert text.startswith("### ⚠️ Not comparable with ")
    assert "There is no dvc.lock in Git yet" in page.text
    assert "git add dvc.lock reports" in page.code
    assert "roc_auc" in page.text


def test_what_must_be_mended_is_listed(planted: Stored) -> None:
    Path("code.py").write_text("changed = True\n")
    planted.params(gates={"f1": {"min": 0.99}, "log_loss": {"max": 0.01}})
    said, text = _report("HEAD")
    page = _check(text)
    assert text.startswith("### ❌ Do not merge: dvc.lock is stale: train (code.py), and 3 more\n")
    assert len(said.splitlines()) == 5
    shown = Page(text[: text.index("<details>")]).text
    for gate in ("f1: 0.8", "log_loss: 0.2", "❌ gate failed"):
        assert gate in shown, "it is folded away"
    for wanted in (
        "Before it can be merged:",
        "dvc.lock is stale: train (code.py). Run ",
        "not in the remote: ",
        "f1: 0.8",
        " is below 0.99",
        "log_loss: 0.2",
    ):
        assert wanted in page.text
    assert "uv run dvc push" in page.code


@pytest.fixture
def _as_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gates are held against what the test wrote, and not against what the model says."""
    monkeypatch.setattr("mlops.judging.recount.recount", lambda *_: None)


@pytest.mark.usefixtures("_as_written")
def test_many_things_to_mend_are_cut_short(planted: Stored) -> None:
    slices = {"colour": {f"value {i}": {"rows": 30, "f1": 0.1} for i in range(500)}}
    write_json(paths.SLICES, slices)
    planted.params(gates={"f1": {"slices": {"colour": {"min": 0.5}}}})
    page = _check(_report("HEAD")[1])
    assert "f1 of colour value 7: 0.1 is below 0.5" in page.text
    assert f"and {500 + 2 - comment.LINES} more" in page.text


def test_the_stages_are_told_from_what_dvc_printed(planted: Stored) -> None:
    log = planted.folder.parent / "repro.log"
    log.write_text(
        "'data/x.csv.dvc' didn't change, skipping\n"
        "Stage 'ingest' didn't change, skipping\n"
        "Running stage 'train':\n> python -m pipeline.train\n"
        f"took a while\n{TOOK.format(12.34)}\nUpdating lock file 'dvc.lock'\n\n"
        "Stage 'evaluate' is cached - skipping run, checking out outputs\n"
        "Running stage 'convert':\n> python -m pipeline.convert\n\ufffd\n"
    )
    _, text = _report("HEAD", log)
    _check(text)
    section = text[text.index("Stages: ") :].split("</details>")[0]
    assert section.startswith("Stages: 2 ran, 2 reused")
    assert [line for line in section.splitlines() if line.startswith("| <code>")] == [
        "| <code>ingest</code> | up to date |  |",
        "| <code>train</code> | ran | 12.3 s |",
        "| <code>evaluate</code> | taken from the cache |  |",
        "| <code>convert</code> | ran |  |",
    ]
    for other in (None, Path("no such.log")):
        assert "Stages: " not in _report("HEAD", other)[1]


@pytest.mark.usefixtures("stored")
def test_a_stage_says_how_long_it_took(capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    stage(lambda: print("all is well"))
    assert capsys.readouterr().out == "all is well\n" + TOOK.format(0) + "\n"
    with pytest.raises(SystemExit):
        stage(lambda: print(int("x")))
    assert capsys.readouterr().out == ""


def test_what_dvc_prints_is_understood(stored: Stored) -> None:
    one = {"cmd": "echo took 1.5 s", "deps": ["code.py"]}
    stored.write("dvc.yaml", {"stages": {"one": one, "two": one | {"deps": ["params.yaml"]}}})
    stored.commit()
    stored.repro("one")
    _, done = stored.repro()
    log = stored.folder.parent / "repro.log"
    log.write_text(done.stdout)
    _, text = _report("HEAD", log)
    assert "Stages: 1 ran, 1 reused" in text
    assert "| <code>one</code> | up to date |  |" in text
    assert "| <code>two</code> | ran | 1.5 s |" in text


def _shown(text: str) -> str:
    """How a hostile text is to be seen: in a line, cut, without what cannot be seen."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= markdown.LENGTH else f"{line[: markdown.LENGTH]}…"


def _hostile(stored: Stored, names: list[str], before: int) -> None:
    """Put names everywhere: columns, categories, slices, parameters."""
    columns = {
        name: {"kind": "categorical", "missing": before / 2, "distinct": 1, "shares": {value: 1.0}}
        for name, value in zip(names, names[before:] + names[:before], strict=True)
    }
    write_json(paths.PROFILE, {"rows": 9, "columns": columns})
    slices = {name: {"rows": 30, "roc_auc": 0.5 + before / 9} for name in names}
    write_json(paths.SLICES, dict.fromkeys(names[:14], slices) | {"colour": slices})
    contract = made.contract("binary").model_dump(mode="json", exclude_defaults=True)
    more = {"kind": "categorical", "role": "id", "allowed": [f"{before}"]}
    contract["columns"] |= {name or "-": more for name in names}
    stored.write("contract.yaml", contract)


@pytest.mark.usefixtures("_as_written")
def test_names_and_values_are_never_markup(stored: Stored) -> None:
    stored.put()
    _hostile(stored, HOSTILE, 0)
    stored.ran()
    stored.commit()
    _hostile(stored, HOSTILE, 1)
    stored.params(gates={"f1": {"slices": {HOSTILE[3]: {"min": 0.5}}}})
    stored.git("branch", "a@octocat&<b>`x`|")
    _, text = _report("a@octocat&<b>`x`|")
    page = _check(text)
    for name in HOSTILE:
        assert _shown(name) in page.code  # a column of the data
        assert any(_shown(f"contract.yaml: columns.{name}.allowed")[:100] in c for c in page.code)
    assert "a@\u200boctocat" in page.text
    lines = [line for line in text.splitlines() if line.startswith("- f1 of")]
    assert len(lines) == len(HOSTILE)
    assert all(line.startswith("- f1 of &lt;img") or "&#60;img" in line for line in lines)


@pytest.mark.parametrize("name", [HOSTILE[1], HOSTILE[2], HOSTILE[3], HOSTILE[6]])
def test_the_reason_may_hold_a_hostile_name(planted: Stored, name: str) -> None:
    contract = made.contract_of(
        made.COLUMNS | {name: made.COLUMNS["noise"]} | made.TARGETS["binary"][1]
    )
    planted.made("poor", contract=contract)
    planted.back_to("good")
    page = _check(_report("HEAD")[1])
    assert "different columns: the champion reads " in page.text


def test_a_report_stays_short_whatever_changed(stored: Stored) -> None:
    names = [f"{i}{HOSTILE[i % len(HOSTILE)]}" for i in range(2000)]
    stored.put()
    _hostile(stored, names, 0)
    Path("contract.yaml").write_text(made.contract("binary").model_dump_json())
    stored.ran()
    params = Path("params.yaml").read_text()
    Path("params.yaml").write_text(params + "".join(f"p{i}: '{'&' * 200}'\n" for i in range(2000)))
    stored.commit()
    Path("params.yaml").write_text(params)
    write_json(paths.PROFILE, {"rows": 9, "columns": {}})
    said, text = _report("HEAD")
    page = _check(text)
    assert said.splitlines()[0].startswith("Do not merge: ")
    assert "roc_auc" in page.text
    assert "Parameters: 2,000 differences" in page.text
    assert "Data: 9 → 9 rows, differences in 2,000 columns" in page.text
    assert "Left out, to keep the comment short: Slices." in page.text


def test_long_tables_tell_how_much_more_there_is(planted: Stored) -> None:
    before = {f"c{i}": {"kind": "numeric", "missing": 0.0} for i in range(100)}
    write_json(paths.PROFILE, {"rows": 9, "columns": before})
    page = _check(_report("HEAD")[1])
    assert f"{106 - markdown.ROWS} more rows." in page.text


def test_what_each_target_costs_is_told(planted: Stored) -> None:
    cost = {"onnx": 0.7, "target": 0.69, "loss": 0.01, "low": 0.008, "high": 0.012}
    group = {"rows": 9, "difference": 0.25, "labels": 0, "ties": 0, "worst": []}
    told = {
        "files": {"model.onnx": {"bytes": 1500, "sha256": ""}, "x": {"bytes": 500, "sha256": ""}},
        "groups": {"test": group | {"difference": 0.1}, "missing": group},
        "metrics": {"roc_auc": cost},
    }
    wanted = {"targets": {"onnx-int8": {"metric_loss": 0.02}}}
    known = load_params().model_dump(mode="json", exclude_none=True)
    planted.write("params.yaml", known | {"export": wanted})
    for target in ("onnx-int8", "c"):  # the second one is asked for no more
        write_json(paths.EXPORT_REPORTS / f"{target}.json", told)
    _, text = _report("HEAD")
    row = "| <code>onnx-int8</code> | – | 2,000 bytes | – | 0.25 | 0.690 | +0.00800 to +0.0120 |"
    assert row in text
    assert "flash" not in text
    assert "exports.png" in _check(text).pictures
    # With the model itself at hand, and bounded.
    folder = paths.EXPORT / "onnx-int8"
    folder.mkdir(parents=True)
    shutil.copy(paths.ONNX, folder / "model.onnx")
    told["footprint"] = {"flash": 30000, "ram": 500}
    write_json(paths.EXPORT_REPORTS / "onnx-int8.json", told)
    _, text = _report("HEAD")
    assert re.search(r"bytes \| \d\.\d\d ms \| 30,000 \| 500 \| 0\.25 \|", text)
    assert "<code>c</code>" not in text
    _check(text)


def test_a_threshold_is_told_with_what_chose_it(planted: Stored) -> None:
    planted.params(threshold="f1")
    (planted.folder / paths.TRAINING_LOG).mkdir(parents=True, exist_ok=True)
    planted.write(str(paths.CHOSEN), {"estimator": "linear", "threshold": 0.3})
    _, text = _report("HEAD")
    told = "from a probability of 0.300 on, which <code>f1</code> chose on the validation rows."
    assert told in text
    assert "chosen threshold" in text
    _check(text)


def test_a_changed_engine_is_told(planted: Stored) -> None:
    found = report("HEAD", paths.REPORT, None)
    names = [f"changed: mlops/{name}" for name in HOSTILE * 2]
    page = _check(comment.comment(replace(found, engine=names), []))
    assert "The engine's files differ from those of its release" in page.text
    assert f"changed: mlops/{_shown(HOSTILE[0])}" in page.text
    assert f"and {len(names) - comment.LINES} more" in page.text


def test_the_facts_are_there_for_programs(planted: Stored) -> None:
    planted.params(seed=2, gates={"f1": {"min": 0.99}})
    found = json.loads(as_json(report("poor", paths.REPORT, None)))
    assert found["comparison"]["verdict"] == "better"
    assert found["comparison"]["metrics"]["roc_auc"]["verdict"] == "better"
    assert "answers" not in found["comparison"]
    assert [each["metric"] for each in found["broken"]] == ["f1"]
    assert {"what": "train.seed", "before": "1", "after": "2"} in found["parameters"]
    assert found["lineage"][0]["what"] == "commit"
    assert found["model"]["latency"]["after"] > 0


def test_a_report_that_fails_leaves_the_old_one(planted: Stored) -> None:
    _report("good")
    before = sorted((path.name, path.read_bytes()) for path in paths.REPORT.iterdir())
    (planted.folder / paths.PLOT_TEMPLATES).unlink()  # so that drawing fails, halfway
    with pytest.raises(Exception, match="config"):
        _report("poor")
    assert sorted((path.name, path.read_bytes()) for path in paths.REPORT.iterdir()) == before
    assert [*paths.REPORT.parent.iterdir()] == [paths.REPORT]


def test_a_folder_with_something_else_in_it_is_not_replaced(planted: Stored) -> None:
    for folder in (Path(), Path("reports"), Path("code.py")):
        with pytest.raises(InputError, match="holds something else, which a report would replace"):
            report("HEAD", folder, None)
    assert Path("code.py").exists()
    Path("build/report").mkdir(parents=True)
    _report("HEAD")  # an empty one may go


def test_what_takes_no_model_is_told_beside_what_decides(stored: Stored) -> None:
    stored.made("good")
    stored.params(gates={"f1": {"regression": 0.0}, "log_loss": {"regression": 0.0}})
    report(stored.git("rev-parse", "HEAD"), paths.REPORT, None)
    told = (paths.REPORT / "report.md").read_text()
    said = json.loads(paths.NAIVE.read_text())
    best = said["constant"]["log_loss"], said["always true"]["f1"]
    assert (
        f"Best answers without a model: f1 {best[1]:.3f} (always true), "
        f"log_loss {best[0]:.3f} (constant)."
    ) in told


def test_an_uncommitted_model_has_no_recipe_that_makes_another(planted: Stored) -> None:
    commit = planted.git("rev-parse", "HEAD")
    page = _check(_report("poor")[1])
    assert f"git checkout {commit[:12]}" in "".join(page.code)
    assert commit[:12] in page.code
    planted.params(seed=2)
    page = _check(_report("poor")[1])
    assert "git checkout" not in "".join(page.code)
    assert f"{commit[:7]} + uncommitted params.yaml" in page.code
    assert f"it was made from {commit[:7]} + uncommitted params.yaml. Commit " in page.text


def test_a_change_of_documentation_is_a_line(planted: Stored) -> None:
    planted.push()
    commit = planted.commit()
    Path("docs").mkdir()
    Path("docs/more.txt").write_text("more\n")
    Path("README.md").write_text("changed\n")
    said, text = _report(commit)
    assert said == "Skipped: nothing but documentation changed."
    assert text == "### ⚪ Skipped: nothing but documentation changed\n"
    planted.params(seed=2)
    assert len(_report(commit)[1].splitlines()) > 1


def test_groups_are_told_with_how_far_they_are_apart(stored: Stored) -> None:
    """With what is not sure, and what the champion did; names of groups are no markup."""
    stored.made("good")
    estimate = {"value": 0.3, "low": 0.2, "high": 0.4}
    group = {"rows": 1200, "metrics": {"selection_rate": estimate}, "counted": {}}
    apart = {"lowest": "a", "highest": "b", "low": 0.2, "high": 0.35}
    apart |= {"difference": {"value": 0.15, "low": 0.05, "high": 0.25}}
    apart |= {"ratio": {"value": 0.57, "low": 0.4, "high": 0.9}}
    said = {
        "groups": dict.fromkeys(["(missing)", *HOSTILE], group),
        "disparities": {"selection_rate": apart},
    }
    write_json(paths.FAIRNESS, {"a|b & <b>": said})
    found = report("HEAD", paths.REPORT, None)
    was = {"selection_rate": Compared(0.1, 0.15, 0.01, 0.09, "worse")}
    against = replace(found.comparison, fairness={"a|b & <b>": was})
    for bound, is_told in ((0.1, True), (0.2, False)):
        parity = {"selection_rate": Parity(difference=bound)}
        params = found.params.model_copy(update={"fairness": parity})
        told = replace(found, fairness=change._fairness(params, against))
        page = _check(comment.comment(told, []))
        assert "Groups by" in page.text
        assert "0.15 apart (0.05 to 0.25), ratio 0.57 (0.4 to 0.9)" in page.text
        assert "further apart than by the champion, 0.1" in page.text
        assert ("may be more than is allowed" in page.text) == is_told
        assert "1,200" in page.text


def test_sizes_that_were_tried_are_drawn(planted: Stored) -> None:
    """With the one that was taken apart from the others."""
    tried = [
        {"settings": {}, "size": 2000, "metric": 0.7, "kept": False},
        {"settings": {"max_iter": 10}, "size": 500, "metric": 0.69, "kept": True},
    ]
    write_json(paths.PRUNING, tried)
    page = _check(_report("main")[1])
    assert "pruning.png" in page.pictures
    write_json(paths.PRUNING, [])
    assert "pruning.png" not in _check(_report("main")[1]).pictures


def test_the_loss_by_step_and_the_layers_are_drawn(planted: Stored) -> None:
    """Of the rows that each learned from, and of those that were held back, as far as logged."""
    curves = paths.TRAINING_LOG / "plots" / "metrics"
    stages = {**STAGES, "train": {**STAGES["train"], "plots": [str(curves.parent)]}}
    planted.write("dvc.yaml", {"stages": stages})
    curves.mkdir(parents=True)
    for name in ("loss", "validation_loss"):
        lines = [f"{step}\t{1 / (step + 1)}" for step in range(1000)]
        (curves / f"{name}.tsv").write_text(f"step\t{name}\n" + "\n".join(lines))
    planted.put("good")
    planted.ran()
    layers = {"estimator": "network", **NetworkClassifierParams().model_dump(mode="json")}
    write_json(paths.CHOSEN, layers)
    assert {"learning.png", "architecture.png"} <= {*_check(_report("poor")[1]).pictures}
    poor = Revision.of("poor")
    assert poor
    found = pictures._losses(WORKSPACE, "validation_loss")
    assert len(found) == plots.POINTS
    assert (found[0], found[-1]) == ((0, 1.0), (999, 0.001))
    assert pictures._losses(poor, "loss") == [], "it logged none"
