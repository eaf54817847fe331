"""Build the site: gather the pages, have Zensical render them, refuse what leads nowhere."""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import Any

from ..errors import CheckError, InputError
from ..files import TEMPORARY, read_text, replacing
from .links import resolve
from .navigation import Entries, Page, load_navigation, pages

NAVIGATION = Path("docs/navigation.yaml")
HEADING = re.compile(r"^# +(.+?) *$", re.M)
DIAGRAM = "```mermaid\n"
# The theme takes these from the network; the site has them itself.
MERMAID = "assets/javascripts/mermaid.js"
SHIM = "assets/javascripts/iframe-worker.js"
SHIM_ADDRESS = "https://unpkg.com/iframe-worker/shim"

# https://zensical.org/docs/setup/basics; headings are called as GitHub calls them.
SETTINGS: dict[str, Any] = {
    "use_directory_urls": False,  # pages open from a folder, without a server
    "theme": {
        "font": False,  # else fetched from elsewhere
        "features": ["content.code.copy", "navigation.footer", "navigation.top", "toc.follow"],
        "palette": [
            {
                "media": f"(prefers-color-scheme: {scheme})",
                "scheme": name,
                "toggle": {"icon": f"lucide/{icon}", "name": f"Switch to {other} mode"},
            }
            for scheme, name, icon, other in (
                ("light", "default", "sun", "dark"),
                ("dark", "slate", "moon", "light"),
            )
        ],
    },
    "plugins": [{"offline": {}}, {"search": {}}],
    "markdown_extensions": [
        {"toc": {"permalink": True, "slugify": "SLUGIFY"}},
        "attr_list",
        "md_in_html",
        "sane_lists",
        "tables",
        "pymdownx.highlight",
        "pymdownx.magiclink",
        "pymdownx.tasklist",
        {"pymdownx.superfences": {"custom_fences": ["MERMAID"]}},
    ],
}


@dataclass(frozen=True)
class Site:
    """A site to build.

    Attributes:
        name: in the head of each page.
        web: the repository's address, to which links to files lead.
        entries: its navigation.
    """

    name: str
    web: str
    entries: Entries


def load_site(web: str | None, navigation: Path = NAVIGATION) -> Site:
    """The site of the working folder; README.md names it.

    Raises InputError where the repository has no address, and what `load_navigation` raises.
    """
    if web is None:
        raise InputError(
            "pyproject.toml: [project.urls] has no Repository; links to files lead there: add it"
        )
    heading = HEADING.search(read_text(Path("README.md")))
    name = heading[1] if heading else Path.cwd().name
    return Site(name, web.rstrip("/"), load_navigation(navigation))


def build(site: Site, folder: Path) -> int:
    """Build the site into `folder`, which it replaces, and return how many pages it has.

    Raises:
        InputError: Zensical is not installed.
        CheckError: a link leads to no file, or to no heading of a page.
    """
    if find_spec("zensical") is None or find_spec("mermaidx") is None:
        raise InputError("the site needs the group docs: uv run --group docs mlops docs")
    listed = [*pages(site.entries)]
    with replacing(folder) as built:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=TEMPORARY) as work:
            _gather(site, listed, Path(work, "docs"))
            _render(site, Path(work))
            _complete(Path(work, "site"))
            shutil.move(Path(work, "site"), built)
    return len(listed)


def _gather(site: Site, listed: Iterable[Page], folder: Path) -> None:
    places = {page.source: page.place for page in listed}
    dead: list[str] = []
    for page in listed:
        resolved = resolve(read_text(page.source), page, places, site.web)
        dead += resolved.dead
        target = folder / page.place
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(_with_diagrams(resolved.text, page.place), encoding="utf-8")
        for place, picture in resolved.pictures.items():
            (folder / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(picture, folder / place)
    if dead:
        raise CheckError("\n".join(dead))


def _with_diagrams(text: str, place: PurePosixPath) -> str:
    """The page, which loads what draws its diagrams; the theme would fetch that from elsewhere."""
    up = "../" * (len(place.parts) - 1)
    return f'{text}\n<script src="{up}{MERMAID}"></script>\n' if DIAGRAM in text else text


def _navigation(entries: Entries) -> list[Any]:
    return [
        entry.place.as_posix()
        if isinstance(entry, Page)
        else {entry.title: _navigation(entry.entries)}
        for entry in entries
    ]


def _render(site: Site, work: Path) -> None:
    """Have Zensical render the pages, as strictly as it can, and say of a problem where it is."""
    (work / "mkdocs.yml").write_text(_configuration(site), encoding="utf-8")
    command = [sys.executable, "-m", "zensical", "build", "--strict"]
    done = subprocess.run(
        [*command, "--config-file", "mkdocs.yml"],
        cwd=work,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sources = {page.place.as_posix(): page.source for page in pages(site.entries)}
        raise CheckError(problems(done.stdout + done.stderr, sources))


def _configuration(site: Site) -> str:
    """The settings; JSON is YAML, but for the names of two functions."""
    settings = {
        "site_name": site.name,
        "docs_dir": "docs",
        "site_dir": "site",
        # Not as `repo_url`, of which each page would ask GitHub for stars and releases.
        "nav": [*_navigation(site.entries), {"Repository": site.web}],
        **SETTINGS,
    }
    mermaid = (
        '{"name": "mermaid", "class": "mermaid", '
        '"format": !!python/name:pymdownx.superfences.fence_code_format }'
    )
    slugify = '!!python/object/apply:pymdownx.slugs.slugify {"kwds": {"case": "lower"}}'
    text = json.dumps(settings, ensure_ascii=False, indent=1)
    return text.replace('"MERMAID"', mermaid).replace('"SLUGIFY"', slugify)


def problems(output: str, sources: dict[str, Path]) -> str:
    """What Zensical found, a line each: where, and what is wrong.

    Args:
        output: what it printed, drawn with a frame around the line.
        sources: of each page by its place.
    """
    plain = re.sub(r"\x1b\[[0-9;]*m", "", output)
    warnings = re.findall(r"Warning: *(.+)\n.*\[ (\S+?):(\d+):\d+ \]", plain)
    lines = [f"{sources.get(page, page)}:{line}: {what}" for what, page, line in warnings]
    return "\n".join(lines) or f"Zensical: {plain.strip()}"


def _complete(folder: Path) -> None:
    """Put beside the pages what the theme would fetch: Mermaid, and what search needs of a file."""
    package = find_spec("mermaidx")
    assert package is not None
    assert package.submodule_search_locations is not None
    (location,) = package.submodule_search_locations
    shutil.copyfile(Path(location, "assets", "mermaid.js"), folder / MERMAID)
    shutil.copyfile(Path(__file__).with_name("iframe-worker.js"), folder / SHIM)
    for page in folder.rglob("*.html"):
        up = "../" * (len(page.relative_to(folder).parts) - 1)
        text = page.read_text(encoding="utf-8")
        page.write_text(text.replace(SHIM_ADDRESS, up + SHIM), encoding="utf-8")
