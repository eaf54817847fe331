"""The model card: from committed facts alone, the same for the same, and safe whatever they say."""

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml
from engine import made
from engine.stored import Stored
from markdown_it import MarkdownIt
from typer.testing import CliRunner

from mlops import paths
from mlops.card import load_card
from mlops.cli import app
from mlops.config.hyperparameters import NetworkClassifierParams
from mlops.digits import digits
from mlops.errors import CheckError, InputError
from mlops.facts import as_json
from mlops.files import read_json, write_json, write_text
from mlops.git.revision import Revision
from mlops.report import card

Begin = Callable[[str], Stored]
NASTY = (
    "<script>alert(1)</script> `a|b` --- [x](javascript:y) & \"quoted\" 'too'\n\n"
    "---\n# Not a heading"
)
STATEMENT = {
    "problem": "Nobody knows.",
    "goal": "Somebody knows the day before.",
    "success": {"measure": "Late parcels", "unit": "in 100", "baseline": 9, "target": 7.5},
    "intended": ["Planning"],
    "out_of_scope": ["Judging people"],
    "limits": ["Winters were few"],
    "affected": ["Drivers"],
    "owner": "Ada",
    "technical_contact": "Grace",
    "domain_expert": "Emmy",
    "deputies": ["Mary"],
    "teams": {"supply": ["Billing"], "use": ["Service"]},
    "sources": {"data/source.parquet": {"licence": "CC0-1.0", "personal_data": "none"}},
    "regulation": "minimal",
    "retention": "Two years",
    "risks": {
        name: {"likelihood": 2, "impact": 3, "mitigation": "We look", "owner": "Ada", "review": "R"}
        for name in ("outage", "wrong_predictions", "decay", "lost_knowledge")
    },
    "runbook": "docs/runbook.md",
}


def state(text: dict[str, Any]) -> None:
    """Write model.yaml."""
    dumped = yaml.safe_dump(text, sort_keys=False, allow_unicode=True)
    write_text(paths.STATEMENT, re.sub(r"review: R", "review: 2030-01-31", dumped))


class Page(HTMLParser):
    """What a page has: tags, what stands in them, and addresses that it would load."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.loads: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loads += [str(value) for name, value in attrs if name in ("src", "href", "action")]
        self.loads += [name for name, _ in attrs if name.startswith("on")]

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def front_matter(text: str) -> dict[str, Any]:
    """What Hugging Face reads of a card, with its own pattern: huggingface_hub.repocard."""
    found = re.match(r"^(\s*---[\r\n]+)([\S\s]*?)([\r\n]+---(\r\n|\n|$))", text)
    assert found is not None
    content: dict[str, Any] = yaml.safe_load(found[2])
    return content


@pytest.mark.parametrize("what", made.TARGETS)
def test_the_same_commit_makes_the_same_bytes(begin: Begin, what: str, tmp_path: Path) -> None:
    stored = begin(what)
    state(STATEMENT)
    commit = stored.made()
    first = card.documents(load_card())
    assert card.documents(load_card(Revision(commit))) == first
    assert str(tmp_path) not in "".join(first.values())
    for text in first.values():
        assert text.endswith("\n")
        assert not re.search(r"[ \t]$", text, re.MULTILINE)


@pytest.mark.parametrize("what", made.TARGETS)
def test_both_forms_say_what_the_owner_says_and_what_was_measured(begin: Begin, what: str) -> None:
    begin(what).put()
    state(STATEMENT)
    made_of = card.documents(load_card())
    told = MarkdownIt("commonmark").enable("table").render(made_of[paths.CARD])
    page = Page(made_of[paths.CARD_PAGE])
    for words in (
        "Somebody knows the day before.",
        "Judging people",
        "Winters were few",
        "We look",
    ):
        assert words in told
        assert words in page.text
    assert page.loads == []
    assert "script" not in page.tags
    assert "svg" in page.tags
    for name, value in read_json(paths.METRICS).items():
        assert f'<td style="text-align:right">{digits(value)}</td>' in told, name


def test_the_plain_page_tells_how_often_it_is_wrong_and_for_whom(planted: Stored) -> None:
    state(STATEMENT)
    outcomes, metrics = read_json(paths.OUTCOMES), read_json(paths.METRICS)
    text = Page(card.page(load_card())).text
    assert f"{round(100 * metrics['accuracy'])} of 100" in text
    found = outcomes[1]["right"] / outcomes[1]["rows"]
    assert f"Of 100 cases that are “large”, it finds {round(100 * found)} ." in text
    for heading in ("For whom is it wrong", "What must it not", "What moves its answers"):
        assert heading in text
    assert "It is better, by more than chance." in text
    assert re.search(r"By colour .*all cases", text)
    for jargon in ("metric", "ROC", "accuracy", "dataset", "feature", "pipeline", "target"):
        plain, _, _ = text.partition("For those who check")
        assert jargon not in plain


def test_the_plain_page_draws_how_the_strongest_inputs_move_it(planted: Stored) -> None:
    state(STATEMENT)
    write_json(
        paths.DEPENDENCE,
        [
            {"column": column, "value": value, "answer": answer, "class": "true"}
            for column, told in (
                ("size", {"-3": 0.1, "0": 0.4, "5": 0.9}),
                ("colour", {"blue": 0.2, "<b>": 0.3}),
                ("wet", {"true": 0.5}),
            )
            for value, answer in told.items()
        ],
    )
    number, text = card._moves(load_card())
    assert number.points == [(0, 0), (0.375, pytest.approx(0.375)), (1, 1)]
    assert (number.of, number.low, number.high, number.ends) == (
        *("large", "10 of 100", "90 of 100"),
        ("-3", "5"),
    )
    assert (text.points, [each.told for each in text.bars]) == ([], ["20 of 100", "30 of 100"])
    made_of = card.documents(load_card())
    page = Page(made_of[paths.CARD_PAGE])
    assert page.tags.count("polyline") == 1
    assert "large: 10 of 100 to 90 of 100" in page.text
    assert "| size | -3 | true | 0.100 |" in made_of[paths.CARD]


def test_dots_of_a_picture_are_a_hundred() -> None:
    for counts in ([1, 1, 1], [3086, 914], [2910, 177, 176, 737], [1, 0, 999]):
        dots = card._apportioned(counts)
        assert sum(dots) == 100
        shares = [100 * each / sum(counts) for each in counts]
        assert all(abs(dot - share) < 1 for dot, share in zip(dots, shares, strict=True))


def test_metadata_are_as_hugging_face_reads_them(planted: Stored) -> None:
    write_text(planted.folder / "pyproject.toml", '[project]\nname = "parcels"\nlicense = "MIT"\n')
    write_json(paths.PROVENANCE, {"snapshot_sha256": "1" * 64, "origins": [{"name": "a.csv"}]})
    found = front_matter(card.markdown(load_card()))
    assert found["license"] == "mit"
    assert found["library_name"] == "onnx"
    assert found["pipeline_tag"] == "tabular-classification"
    (index,) = found["model-index"]
    (result,) = index["results"]
    assert index["name"] == "parcels"
    assert result["task"]["type"] == "tabular-classification"
    assert result["dataset"] == {
        "name": "a.csv",
        "type": "tabular",
        "split": "test",
        "revision": "1" * 64,
    }
    values = {each["type"]: each["value"] for each in result["metrics"]}
    assert values == read_json(paths.METRICS)


def test_another_licence_has_its_name(planted: Stored) -> None:
    text = '[project]\nname = "parcels"\nlicense = "LicenseRef-Proprietary"\n'
    write_text(planted.folder / "pyproject.toml", text)
    found = front_matter(card.markdown(load_card()))
    assert (found["license"], found["license_name"]) == ("other", "licenseref-proprietary")


def test_whatever_people_write_is_text(planted: Stored) -> None:
    nasty = json.loads(json.dumps(STATEMENT).replace('"Ada"', json.dumps(NASTY)))
    texts = ("problem", "goal", "retention", "runbook", "technical_contact", "domain_expert")
    lists = ("intended", "out_of_scope", "limits", "affected", "deputies")
    nasty |= dict.fromkeys(texts, NASTY) | {name: [NASTY] for name in lists}
    nasty["sources"] = {NASTY: {"licence": NASTY, "personal_data": "none"}}
    nasty["success"]["measure"] = nasty["success"]["unit"] = NASTY
    state(nasty)
    write_text(planted.folder / "pyproject.toml", f"[project]\nname = {json.dumps(NASTY)}\n")
    write_json(paths.CAVEATS, [{"kind": "leak", "column": NASTY, "evidence": NASTY}])
    slices = {NASTY: {NASTY: {"rows": 90, "accuracy": 0.5}}}
    write_json(paths.SLICES, slices)
    write_json(paths.IMPORTANCE, [{"column": NASTY, "importance": 0.5, "spread": 0.1}])
    write_json(paths.PROVENANCE, {"origins": [{"name": NASTY, "rows": 1, "sha256": NASTY}]})
    page, text = Page(card.page(load_card())), card.markdown(load_card())
    assert "script" not in page.tags
    assert page.loads == []
    assert page.text.count("<script>alert(1)</script>") >= 15
    body = text[text.index("\n---\n\n") :]
    told = MarkdownIt("commonmark").enable("table").render(body)
    assert not re.search(r"<(script|a|img)\b", told)
    assert told.count("&lt;script&gt;") >= 15
    assert not re.search(r"<h\d>\s*Not a heading", told)
    assert told.count("<hr") == 1  # that of the front matter
    rows = [line for line in body.splitlines() if line.startswith("| ")]
    tables = re.findall(r"(?:^\|.*\n)+", body, re.MULTILINE)
    assert rows
    for table in tables:
        assert len({line.count("|") for line in table.splitlines()}) == 1, table
    assert front_matter(text)["model-index"][0]["results"][0]["metrics"]


def test_what_nobody_said_or_measured_is_told_so(stored: Stored) -> None:
    stored.put()
    for path in (paths.INTERVALS, paths.OUTCOMES, paths.IMPORTANCE, paths.SLICES, paths.NAIVE):
        path.unlink()
    write_json(paths.PARITY, {})
    text = Page(card.page(load_card())).text
    assert "Nobody has said so yet" in text
    assert "Nobody has been named yet" in text
    assert "was not measured" in text
    told = card.markdown(load_card())
    assert "`model.yaml` says nothing of it yet." in told
    assert "not verified" in told


def test_a_threshold_is_told_with_what_chose_it(planted: Stored) -> None:
    assert load_card().threshold is None
    for wanted, told in (
        ("f1", " on, which <code>f1</code> chose on the validation rows."),
        (0.3, " on."),
    ):
        planted.params(threshold=wanted)
        (planted.folder / paths.TRAINING_LOG).mkdir(parents=True, exist_ok=True)
        planted.write(str(paths.CHOSEN), {"estimator": "linear", "threshold": 0.3})
        found = card.markdown(load_card())
        assert f"is predicted from a probability of 0.300{told}" in found
        text = Page(card.page(load_card())).text
        assert "It says “large” where it holds that for at least 0.300 likely." in text


def test_groups_of_people_are_told_with_whether_it_is_sure(planted: Stored) -> None:
    ends = {"value": 0.2, "low": 0.05, "high": 0.3}
    apart = {"lowest": "old", "highest": "young", "low": 0.3, "high": 0.5, "difference": ends}
    unsure = apart | {"difference": ends | {"low": None}}
    found = {"age": {"groups": {}, "disparities": {"selection_rate": apart, "tpr": unsure}}}
    write_json(paths.FAIRNESS, found)
    text = Page(card.page(load_card())).text
    assert (
        "selection rate , by age: 0.300 for old, 0.500 for young. This is more than chance." in text
    )
    assert "This may be chance." in text
    assert "| tpr | old 0.300 | young 0.500 | 0.200 | – to 0.300 |" in card.markdown(load_card())


def test_a_stale_card_is_told_in_a_line(planted: Stored) -> None:
    assert card.stale() == [
        "reports/model-card.md and reports/model-card.html are missing: run `uv run mlops card`, "
        "and commit"
    ]
    card.write()
    assert card.stale() == []
    write_text(paths.CARD, paths.CARD.read_text() + "It is perfect.\n")
    assert card.stale() == [
        "reports/model-card.md is not what the files of this commit say: run `uv run mlops card`, "
        "and commit"
    ]
    paths.CARD.write_bytes(b"\xff")
    paths.CARD_PAGE.unlink()
    assert card.stale() == [
        "reports/model-card.md is not what the files of this commit say, and "
        "reports/model-card.html is missing: run `uv run mlops card`, and commit"
    ]


@pytest.mark.parametrize("path", [paths.METRICS, paths.STATEMENT, paths.CONTRACT, paths.LOCK])
def test_each_fact_makes_it_stale(planted: Stored, path: Path) -> None:
    state(STATEMENT)
    card.write()
    content = path.read_text()
    if path == paths.METRICS:
        write_json(path, read_json(path) | {"roc_auc": 0.5})
    elif path == paths.STATEMENT:
        write_text(path, content.replace("2030-01-31", "2031-01-31"))
    elif path == paths.CONTRACT:
        write_text(path, content.replace('"noise"', '"nothing"'))
    else:
        write_text(path, f"{content}\n")
    assert card.stale() != []


def test_the_command_writes_checks_and_tells(planted: Stored) -> None:
    def run(*arguments: str) -> Any:
        return CliRunner().invoke(app, ["card", *arguments])

    assert isinstance(run("--check").exception, CheckError)
    assert CheckError.exit_code == 3
    assert run().output.splitlines() == [str(paths.CARD), str(paths.CARD_PAGE)]
    assert run("--check").output == "the model card says what the files say\n"
    told = json.loads(run("--json").output)
    assert told == json.loads(as_json(load_card()))
    assert told["metrics"]["roc_auc"].keys() == {"value", "low", "high"}
    assert told["lineage"]["lock_sha256"]


@pytest.mark.parametrize(
    ("path", "content", "told"),
    [
        (paths.METRICS, None, "there is no model to tell of yet"),
        (paths.STATEMENT, "owner: TODO\n", "owner: 'TODO' says nothing"),
        (paths.SPLIT, {"parts": {"train": {}}}, r"reports/.*KeyError: 'rows'"),
        (paths.IMPORTANCE, "[", "not valid JSON|cannot be read"),
    ],
)
def test_what_cannot_be_read_is_told(planted: Stored, path: Path, content: Any, told: str) -> None:
    if content is None:
        path.unlink()
    elif isinstance(content, str):
        write_text(path, content)
    else:
        write_json(path, content)
    with pytest.raises(InputError, match=told):
        load_card()


LAYERS: dict[str, Any] = {
    "embeddings": {"a <b>|c": 8, **{f"column {i}": 2 for i in range(7)}},
    "layers": [
        {"dense": 64, "activation": "relu"},
        {"residual": [{"dense": 64}, {"residual": [{"dense": 64}, {"dropout": 0.25}]}]},
        {"normalisation": "layer"},
        {"activation": "tanh"},
    ],
}


def test_the_layers_of_a_network_are_drawn_and_told(planted: Stored) -> None:
    assert load_card().network is None
    write_text(paths.CHOSEN, yaml.safe_dump(NetworkClassifierParams(**LAYERS).model_dump()))
    assert load_card().network is None, "of another estimator"
    chosen = {"estimator": "network", **NetworkClassifierParams(**LAYERS).model_dump()}
    write_text(paths.CHOSEN, yaml.safe_dump(chosen))
    told = card.documents(load_card())
    assert "dense 64 relu → (dense 64 → (dense 64 → dropout 0.25 + what" in told[paths.CARD]
    page = told[paths.CARD_PAGE]
    drawn = page[page.index('<svg xmlns="http') :]
    drawn = drawn[: drawn.index("</svg>") + len("</svg>")]
    picture = ElementTree.fromstring(drawn)  # noqa: S314 # of this program
    texts = [each.text for each in picture.iter() if each.tag.endswith("text")]
    assert texts[:2] == ["inputs", "a <b>|c: 8 learned"]
    assert texts[7:] == [
        *("and 2 more embeddings", "dense 64 relu", "dense 64", "dense 64", "dropout 0.25"),
        *("layer normalisation", "tanh", "output: a score for each class"),
    ]
    assert sum(each.tag.endswith("circle") for each in picture.iter()) == 2, "two sums"
    assert "<b>|c" not in page
    assert set(re.findall(r'(?:fill|stroke)="([^"]+)"', drawn)) <= {
        *("none", "var(--text)", "var(--page)", "var(--soft)", "var(--main)")
    }
