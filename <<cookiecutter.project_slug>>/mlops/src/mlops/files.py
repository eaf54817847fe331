"""Reading and writing files so that a killed process never leaves half of one."""

import hashlib
import json
import math
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from reprlib import Repr
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from .errors import InputError, first_line
from .printable import printable

# Git and DVC ignore what begins so: a killed process leaves such a folder behind.
TEMPORARY = ".tmp-"
# A few lines of YAML can stand for more than fits into memory, by aliases of aliases.
_SHORT = Repr()
_SHORT.maxlevel, _SHORT.maxlist, _SHORT.maxdict = 3, 8, 8
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 200

Model = TypeVar("Model", bound=BaseModel)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, of the same suffix, and rename it to `path` at the end.

    When the block raises, the temporary file goes and `path` stays as it was. The folder of `path`
    is made when it is missing. Works for a folder too, which then replaces the old one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=TEMPORARY) as folder:
        temporary = Path(folder) / path.name
        yield temporary
        if path.is_dir():
            shutil.rmtree(path)
        temporary.replace(path)


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` in one move."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write `value` as readable JSON. Not-a-number is refused: JSON has no word for it."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def significant(value: float, digits: int = 6) -> float:
    """A number as files of ours have it, in whatever unit: what is beyond is noise of a machine."""
    return float(f"{value:.{digits}g}")


def flat(content: dict[str, Any], prefix: str = "") -> dict[str, object]:
    """The leaves of nested dictionaries by their dotted names."""
    leaves: dict[str, object] = {}
    for name, value in content.items():
        nested = isinstance(value, dict)
        leaves |= flat(value, f"{prefix}{name}.") if nested else {f"{prefix}{name}": value}
    return leaves


def read_json(path: Path) -> Any:
    """The content of a JSON file. Raises InputError where it is missing or not strict JSON."""
    return strict_json(read_text(path), path)


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def digest(value: object) -> str:
    """SHA-256 of a value's JSON with sorted keys: the same for the same content."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def load(path: Path, model: type[Model]) -> Model:
    """Read a YAML file into `model`.

    Raises InputError with one line a mistake: the file, the key, and what is wrong with it.
    """
    return parse(read_text(path), model, path)


def parse(text: str, model: type[Model], path: Path) -> Model:
    """Read the text of a YAML (or JSON) file into `model`; errors as in `load`."""
    # JSON is YAML, but for some characters and long keys.
    if path.suffix == ".json":
        return parse_json(text, model, path)
    content = yaml_content(text, path)
    return _valid({} if content is None else content, model, path)


def parse_json(text: str, model: type[Model], path: Path) -> Model:
    """Read JSON into `model`, whatever the file is called; errors as in `load`."""
    return _valid(strict_json(text, path), model, path)


def _valid(content: Any, model: type[Model], path: Path) -> Model:
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise InputError("\n".join(f"{path}: {line}" for line in explain(error))) from None


def yaml_content(text: str, path: Path) -> Any:
    """The content of a YAML file's text. Raises InputError where it is not valid."""
    try:
        return YAML(typ="safe", pure=True).load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark
        where = f" line {mark.line + 1}" if mark else ""
        raise InputError(
            f"{path}{where}: not valid YAML: {printable(str(error.problem))}"
        ) from None
    except YAMLError as error:
        raise InputError(f"{path}: not valid YAML: {printable(first_line(error))}") from None
    except (ValueError, RecursionError) as error:  # 2013-02-30 is neither a date nor a text
        raise InputError(f"{path}: not valid YAML: {first_line(error)}") from None


def strict_json(text: str, path: Path) -> Any:
    """The content of a JSON file's text.

    Raises InputError where it is not what RFC 8259 says: also for what Python takes for JSON, such
    as NaN, which is within any bounds, and for a key that stands twice, which readers take apart.
    """
    try:
        return json.loads(
            text, object_pairs_hook=_once, parse_constant=_finite, parse_float=_finite
        )
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not valid JSON: {error}") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        raise ValueError("a key stands twice in an object")
    return content


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text:.30} is no finite number")
    return number


def explain(error: ValidationError) -> list[str]:
    """One line for each mistake that pydantic found: `key.of.the.mistake: what is wrong`."""
    return [
        printable(f"{_key(item['loc'])}: {line}" if item["loc"] else line)
        for item in error.errors()
        for line in _mistake(item).splitlines()
    ]


def _key(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location)


def _mistake(item: Any) -> str:
    match item["type"]:
        case "extra_forbidden":
            return "unknown key; check its spelling"
        case "missing":
            return "this key is missing"
        case "value_error":
            return str(item["ctx"]["error"])
        case _:
            shown = _SHORT.repr(item["input"])
            return f"{item['msg'][0].lower()}{item['msg'][1:]}, not {shown}"


def read_bytes(path: Path) -> bytes:
    """The content of a file. Raises InputError where it is missing."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None


def read_text(path: Path) -> str:
    """The text of a file. Raises InputError where it is missing or not UTF-8."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; run this at the root of the project") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: not UTF-8 text") from None
