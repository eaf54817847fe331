"""The page at `/`, for people: which model this is, and a form to ask it."""

import base64
import hashlib
import html
import json
from pathlib import Path
from string import Template

from .http import Response, header
from .model import ServedModel

_FOLDER = Path(__file__).parent
_SCRIPT = (_FOLDER / "page.js").read_text(encoding="utf-8")
_STYLE = (_FOLDER / "page.css").read_text(encoding="utf-8")
_TEMPLATE = Template((_FOLDER / "page.html").read_text(encoding="utf-8"))


def page(model: ServedModel) -> Response:
    """The page of a model. The browser runs what is in it, and asks this server alone."""
    about = {"release": model.version, "model": model.sha256[:12], "task": model.task}
    about |= {
        name: str(model.metadata[name])[:12]
        for name in ("contract_sha256", "data_sha256")
        if name in model.metadata
    }
    facts = "".join(
        f"<dt>{name.removesuffix('_sha256')}</dt><dd>{html.escape(value)}</dd>"
        for name, value in about.items()
    )
    row = model.metadata.get("example", {}).get("row", {})
    example = json.dumps(row, indent=2, ensure_ascii=False)
    content = _TEMPLATE.substitute(
        name=html.escape(model.name),
        facts=facts,
        example=html.escape(example),
        lines=example.count("\n") + 1,
        style=_STYLE,
        script=_SCRIPT,
    )
    policy = (
        f"default-src 'none'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        f"style-src {_source(_STYLE)}; script-src {_source(_SCRIPT)}"
    )
    head = header("content-type", "text/html; charset=utf-8")
    head += header("content-security-policy", policy)
    return Response(200, head, content.encode())


def _source(text: str) -> str:
    """A text in the page as the policy names it: https://www.w3.org/TR/CSP3/#framework-hash-source."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
