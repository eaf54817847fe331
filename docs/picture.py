"""Render the report of `make demo` as GitHub shows a comment: docs/comment-{light,dark}.png.

`make picture` runs it; it needs Chromium. The look is close to GitHub's, not a copy of it.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from markdown_it import MarkdownIt

DOCS = Path(__file__).parent
REPORT = DOCS.parent / "build/demo/flight-delays/build/report"
WIDTH, HEIGHT = 900, 1500
COLOURS = {
    "light": {"page": "#ffffff", "text": "#1f2328", "faint": "#59636e", "line": "#d1d9e0"},
    "dark": {"page": "#0d1117", "text": "#f0f6fc", "faint": "#9198a1", "line": "#3d444d"},
}
STYLE = """
body {{ margin: 0; padding: 24px; background: {page}; color: {text};
  font: 14px/1.5 "DejaVu Sans", Helvetica, Arial, sans-serif }}
main {{ max-width: 800px; margin: auto; padding: 16px;
  border: 1px solid {line}; border-radius: 6px }}
h3 {{ font-size: 17px; margin: 20px 0 12px }}
table {{ border-collapse: collapse; margin-bottom: 12px }}
td, th {{ border: 1px solid {line}; padding: 5px 12px }}
code {{ background: #818b981f; border-radius: 6px; padding: 2px 5px; font-size: 85% }}
details {{ margin: 8px 0 }} summary {{ cursor: pointer }} p {{ margin: 8px 0 }}
img {{ max-width: 100%; border-radius: 4px }}
"""


def page(report: str, theme: str) -> str:
    """Return the report as a page in GitHub's colours."""
    text = report.replace("<details><summary><b>Plots<", "<details open><summary><b>Plots<")
    if theme == "light":  # whatever this machine prefers
        text = re.sub(r"<source [^>]*>", "", text)
    else:
        text = text.replace('media="(prefers-color-scheme: dark)" ', "")
    body = MarkdownIt("commonmark").enable("table").render(text)
    style = STYLE.format(**COLOURS[theme])
    return f"<!doctype html><meta charset=utf-8><style>{style}</style><main>{body}</main>"


def main() -> None:
    """Render both themes."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("error: neither chromium nor google-chrome is installed")
    if not (REPORT / "report.md").is_file():
        sys.exit(f"error: {REPORT}: no report; run `make demo` first")
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(REPORT, folder, dirs_exist_ok=True)
        for theme in COLOURS:
            html = Path(folder, f"{theme}.html")
            html.write_text(page((REPORT / "report.md").read_text("utf-8"), theme), "utf-8")
            picture = DOCS / f"comment-{theme}.png"
            command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
            size = f"--window-size={WIDTH},{HEIGHT}"
            command += [size, f"--screenshot={picture}", html.as_uri()]
            subprocess.run(command, check=True, capture_output=True)
            print(picture.relative_to(DOCS.parent))


if __name__ == "__main__":
    main()
