"""pre_gen_project: which answers are refused, with which line, and which are let through."""

from __future__ import annotations

import json
import keyword
import re
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
from helpers import CHOICES, PROJECT, ROOT, environment, load_hook

FOLDER = Path("/srv/work/flight-delays")
DEPENDENCIES = frozenset({"pandas", "scikit-learn", "dvc"})
GOOD: dict[str, object] = {
    "project_name": "Flight Delays",
    "project_slug": "flight-delays",
    "package_name": "flight_delays",
    "description": "From raw data to a verified model",
    "author": "Data Science Team",
    "email": "data-science@example.com",
    "github_owner": "example-org",
    "data_science_team": "example-org/data-science",
    "ml_engineering_team": "ada",
    "license": "MIT",
    "python_version": "3.11",
    "task": "classification",
    "data_remote": "local",
    "data_remote_url": "../flight-delays-data",
    "deployment": "compose",
    "review": "strict",
}

REFUSED: dict[str, list[object]] = {
    **dict.fromkeys(
        ("project_name", "description", "author"),
        [
            *(
                "",
                " ",
                "\t",
                "two\nlines",
                "two\r\nlines",
                "tab\there",
                "nul\0",
                "bell\a",
                "\x1b[31m",
            ),
            *("\x85", "\u2028", "\u2029", "lone \ud800", "turned \u202e round", "\ufeffmarked"),
            *("\u200b", "\uffff", "x" * 201, 1, None, True, ["x"], {"x": 1}),
        ],
    ),
    "project_slug": [
        *(
            "",
            " ",
            ".",
            "..",
            "../up",
            "/etc/x",
            "a/b",
            "a\\b",
            "~",
            "-a",
            "a-",
            "a--b",
            "a_b",
            "A",
        ),
        *(
            "1a",
            "a b",
            "a.b",
            "a\n",
            "é",
            "а",
            "a;b",
            "$(id)",
            "`id`",
            "a'b",
            'a"b',
            "a|b",
            "-rf",
            "*",
        ),
        *("con", "nul", "aux", "prn", "com1", "lpt9", "pandas", "scikit-learn", "x" * 61, None),
    ],
    "package_name": [
        *(
            "",
            "1a",
            "a-b",
            "A",
            "_a",
            "a_",
            "a__b",
            "__init__",
            "a.b",
            "a b",
            "a\n",
            "é",
            "../a",
            "a/b",
        ),
        *("class", "import", "match", "case", "type", "json", "sys", "os", "typing", "test", "src"),
        *("tests", "docs", "data", "models", "mlops", "con", "nul", "distutils", "cgi", "pandas"),
        *("scikit_learn", "sklearn", "yaml", "git", "google", "azure", "x" * 41, None, 3),
    ],
    "email": [
        *("", "me", "@", "me@", "@example.com", "me@localhost", "a b@example.com", "me@-x.org"),
        *(
            "<me@example.com>",
            '"me"@example.com',
            "me@example.com\n",
            "me@@example.com",
            "me@x..org",
        ),
        *("me..you@example.com", ".me@example.com", "me@example.com, you@example.com", "-me@x.org"),
        *("mé@example.com", "$(id)@example.com", "a" * 250 + "@x.org", None),
    ],
    "github_owner": [
        *(
            "",
            "-a",
            "a-",
            "a--b",
            "a_b",
            "a b",
            "a/b",
            "a.b",
            "é",
            "@a",
            "x" * 40,
            "a\n",
            "${{x}}",
            None,
        ),
    ],
    **dict.fromkeys(
        ("data_science_team", "ml_engineering_team"),
        [
            *("", "@ada", "a b", "a/", "/a", "a/b/c", "a/B", "a/b_c", "-a/b", "a/-b", "a\n", "*"),
            *("a @b", "a/b # c", "me@example.com", "x" * 40, None, ["a"]),
        ],
    ),
    "license": ["", "mit", "GPL-3.0", "MIT\n", None],
    "python_version": ["3.10", "3", "", 3.11],
    "task": ["ranking", "", None],
    "data_remote": ["ftp", "", "S3", None],
    "deployment": ["nomad", "", "KServe", None],
    "review": ["slow", "", None],
}
ADDRESSES = {
    "local": (
        ["../data", "../../shared/data", "/mnt/data", "../data/", "../a.b-c_d+e@f~g", "/d"],
        [
            *(
                "",
                ".",
                "..",
                "../",
                "/",
                "../..",
                "data",
                "./data",
                "~/data",
                "C:\\data",
                "C:/data",
            ),
            *("../flight-delays", "../flight-delays/x", "../x/../flight-delays/y", "../../work"),
            *(
                "/srv/work/flight-delays",
                "/srv/work/flight-delays/data",
                "/srv/work",
                "//host/share",
            ),
            *("file:///data", "s3://bucket", "../my data", "../a\nb", "../a#b", "../a;b", "../a,b"),
            *("../$HOME", "../`id`", "../${x}", "../%(x)s", "../a=b", "../'a'", '../"a"', "../é"),
            "../" + "x" * 200,
        ],
    ),
    "s3": (
        ["s3://bucket", "s3://my.bucket-1", "s3://bucket/", "s3://bucket/a/b.c", "s3://b23/x/"],
        [
            *("", "s3://", "s3:///x", "s3://ab", "s3://Bucket", "s3://my_bucket", "s3://-bucket"),
            *("s3://bucket-", "s3://.bucket", "s3://a..b", "s3://192.168.0.1", "s3://xn--bucket"),
            *("s3://bucket-s3alias", "s3://bucket//x", "s3://bucket/../x", "s3://bucket/./x"),
            *("s3://bucket/a b", "s3://bucket?x=1", "s3://bucket#x", "gs://bucket", "bucket"),
            *("s3://key:secret@bucket", "https://bucket.s3.amazonaws.com", "S3://bucket"),
            "s3://" + "x" * 64,
        ],
    ),
    "gs": (
        ["gs://bucket", "gs://my_bucket/prefix", "gs://a.example.com"],
        [
            "gs://",
            "gs://Bucket",
            "gs://goog-data",
            "gs://my-google-data",
            "gs://_b1",
            "gs://10.0.0.1",
        ],
    ),
    "azure": (
        ["azure://container", "azure://my-container/path/x"],
        [
            *(
                "azure://",
                "azure://ab",
                "azure://My",
                "azure://a--b",
                "azure://a-",
                "azure://a_b_c",
            ),
            *("azure://container?sv=2026&sig=x", "azure://x@account", "azure://" + "x" * 64),
        ],
    ),
    "ssh": (
        [
            *(
                "ssh://host/srv",
                "ssh://me@host.example.com/srv/data",
                "ssh://me@10.0.0.1:2222/srv/d",
            ),
            "ssh://host:22/a@b",
        ],
        [
            *("ssh://", "ssh://host", "ssh://host/", "ssh://me:pw@host/srv", "ssh://@host/srv"),
            *("ssh://host:/srv", "ssh://host:x/srv", "ssh://host:0/srv", "ssh://host:123456/srv"),
            *("ssh://host//srv", "ssh://host/../srv", "ssh://-oProxyCommand=id/srv", "host:/srv"),
            *("ssh://ho st/srv", "ssh://host/srv;id", "ssh://a@b@host/srv", "ssh://host/srv%20x"),
        ],
    ),
}
# What json.loads(r\"\"\"…\"\"\") in the hook has to survive.
TRICKY = [
    *(
        '"',
        "'",
        '"""',
        "'''",
        '\\"""',
        '\\\\"""',
        "\\",
        "\\\\",
        "\\n",
        "\n",
        "\r\n",
        "\0",
        "\u2028",
    ),
    *(
        '"""); import os; os.abort() #',
        "<<cookiecutter.task>>",
        "<<",
        ">>",
        "# <% if %>",
        "# <# #>",
    ),
    *("{{ x }}", "</script>&'", "\ud800", "é数\U0001f680", "", 'r"""', "\\u0022\\u0022\\u0022"),
]


@pytest.fixture(scope="module")
def hook(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    return load_hook("pre_gen_project", tmp_path_factory.mktemp("hook"))


def problems(hook: ModuleType, **answers: object) -> list[str]:
    found: dict[str, str] = hook.problems(GOOD | answers, FOLDER, DEPENDENCIES)
    return [f"{question}: {problem}" for question, problem in found.items()]


def is_plain_line(text: str) -> bool:
    return text.isprintable() and len(text) <= 250


def test_good_answers_pass(hook: ModuleType) -> None:
    assert problems(hook) == []


@pytest.mark.parametrize(
    ("question", "answer"), [(q, answer) for q, answers in REFUSED.items() for answer in answers]
)
def test_bad_answer_is_one_plain_line(hook: ModuleType, question: str, answer: object) -> None:
    [line] = problems(hook, **{question: answer})
    assert line.startswith(f"{question}: ")
    assert is_plain_line(line)


@pytest.mark.parametrize(
    ("remote", "url"), [(remote, url) for remote, (_, bad) in ADDRESSES.items() for url in bad]
)
def test_bad_address_is_one_plain_line(hook: ModuleType, remote: str, url: str) -> None:
    [line] = problems(hook, data_remote=remote, data_remote_url=url)
    assert line.startswith("data_remote_url: ")
    assert is_plain_line(line)


@pytest.mark.parametrize(
    ("remote", "url"), [(remote, url) for remote, (good, _) in ADDRESSES.items() for url in good]
)
def test_good_address_passes(hook: ModuleType, remote: str, url: str) -> None:
    assert problems(hook, data_remote=remote, data_remote_url=url) == []


@pytest.mark.parametrize("remote", ADDRESSES)
def test_address_of_another_remote_is_refused(hook: ModuleType, remote: str) -> None:
    for other, (good, _) in ADDRESSES.items():
        if other != remote:
            assert all(problems(hook, data_remote=remote, data_remote_url=url) for url in good)


def test_secret_is_not_shown(hook: ModuleType) -> None:
    [line] = problems(hook, data_remote="ssh", data_remote_url="ssh://me:hunter2@host/srv")
    assert "password" in line
    assert ".dvc/config.local" in line
    assert "hunter2" not in line


@pytest.mark.parametrize("question", ["project_name", "description", "author"])
@pytest.mark.parametrize(
    "text",
    [
        *(
            "O'Brien & Söhne",
            '"quoted"',
            "a\\b",
            "<b>",
            "${{ x }}",
            "$(touch x)",
            "<< x >>",
            "x" * 200,
        ),
        *("数据", "داده‌ها", "👩‍🔬", "50\u00a0%", "- a: b # c", "null", "0"),
    ],
)
def test_strange_text_passes(hook: ModuleType, question: str, text: str) -> None:
    assert problems(hook, **{question: text}) == []


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        *(("project_slug", slug) for slug in ("a", "a1", "a-1-b", "json", "x" * 60)),
        *(("package_name", name) for name in ("a", "a1", "a_1_b", "x" * 40)),
        *(("email", email) for email in ("a@b.co", "1+me@users.noreply.github.com", "a_b@x-y.org")),
        *(("github_owner", owner) for owner in ("a", "A-1", "x" * 39)),
        *(("data_science_team", team) for team in ("a", "A-1", "A-1/b", "acme/data-science-2")),
    ],
)
def test_plain_answer_passes(hook: ModuleType, question: str, answer: str) -> None:
    assert problems(hook, **{question: answer}) == []


@pytest.mark.parametrize(("deployment", "longest"), [("kubernetes", 55), ("kserve", 38)])
def test_slug_is_part_of_names_on_a_cluster(
    hook: ModuleType, deployment: str, longest: int
) -> None:
    assert problems(hook, deployment=deployment, project_slug="x" * longest) == []
    (line,) = problems(hook, deployment=deployment, project_slug="x" * (longest + 1))
    assert line.endswith(f"is {longest + 1} characters long: use {longest} at most")


def test_all_problems_are_told_at_once(hook: ModuleType) -> None:
    found = problems(hook, **dict.fromkeys(GOOD, "\n"))
    assert [line.partition(":")[0] for line in found if "data_remote_url" not in line] == [
        question for question in GOOD if question != "data_remote_url"
    ]
    assert "data_remote_url" in problems(hook, data_remote_url="\n")[0]


def test_python_names_are_refused(hook: ModuleType) -> None:
    names = [*keyword.kwlist, *keyword.softkwlist, *sys.stdlib_module_names]
    assert [name for name in names if not problems(hook, package_name=name)] == []


def test_locked_names_are_refused(hook: ModuleType) -> None:
    """The hook finds the lock file by itself, and knows the names that it may hide."""
    lock = tomllib.loads((PROJECT / "uv.lock").read_text("utf-8"))
    names = {
        package["name"] for package in lock["package"] if "cookiecutter" not in package["name"]
    }
    dependencies = hook.locked({"_output_dir": "/nowhere", "_repo_dir": str(ROOT)})
    assert names <= dependencies
    for name in names:
        package = name.replace("-", "_")
        answers = GOOD | {"project_slug": name, "package_name": package}
        found = hook.problems(answers, FOLDER, dependencies)
        assert list(found) == ["project_slug", "package_name"], name


@pytest.mark.parametrize("repo", [".", "../mlops", "mlops"])
def test_lock_is_found_from_a_relative_folder(
    hook: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, repo: str
) -> None:
    start = tmp_path / {".": "mlops", "../mlops": "other", "mlops": ""}[repo]
    (tmp_path / "mlops" / PROJECT.name).mkdir(parents=True)
    (tmp_path / "mlops" / PROJECT.name / "uv.lock").write_text('[[package]]\nname = "Some_Lib"\n')
    start.mkdir(exist_ok=True)
    assert hook.locked({"_output_dir": str(start), "_repo_dir": repo}) == {"some-lib"}
    monkeypatch.setenv("PWD", str(start))
    assert hook.locked({"_output_dir": "/nowhere", "_repo_dir": repo}) == {"some-lib"}


def test_missing_lock_is_no_problem(hook: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PWD", raising=False)
    assert hook.locked({"_output_dir": "/nowhere", "_repo_dir": "nothing"}) == frozenset()


def test_choices_are_those_of_the_questions(hook: ModuleType) -> None:
    offered = hook.CHOICES | {"data_remote": tuple(hook.REMOTES)}
    assert {name: list(options) for name, options in offered.items()} == CHOICES


@pytest.mark.parametrize("name", ["pre_gen_project", "post_gen_project"])
@pytest.mark.parametrize("text", TRICKY)
def test_answers_reach_the_hook_as_data(name: str, text: str) -> None:
    source = (ROOT / "hooks" / f"{name}.py").read_text("utf-8")
    answers = {"a": text, text: "b", "end": text}
    rendered = environment().from_string(source).render(cookiecutter=answers)
    compile(rendered, name, "exec")
    [literal] = re.findall(r'json\.loads\((r""".*""")\)$', rendered, re.MULTILINE)
    assert json.loads(eval(literal)) == answers  # noqa: S307 - what Python itself reads there
