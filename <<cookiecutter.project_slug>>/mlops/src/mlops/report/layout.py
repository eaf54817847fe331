"""The templates of this folder, which lay out what was found for people."""

from collections.abc import Callable
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template, select_autoescape

from ..digits import amount, counted, digits, p_value, signed
from .markdown import ROWS, code, plain, prose


def layout(name: str, **filters: Callable[..., str]) -> Template:
    """A template by its file's name: HTML takes care of itself, Markdown by filters.

    `filters` are those that it has beside `plain`, `code`, `prose` and those of digits.py.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "plain": plain,
        "code": code,
        "prose": prose,
        "digits": digits,
        "signed": signed,
        "p_value": p_value,
        "amount": amount,
        "counted": counted,
        **filters,
    }
    environment.globals |= {"ROWS": ROWS}
    return environment.get_template(name)
