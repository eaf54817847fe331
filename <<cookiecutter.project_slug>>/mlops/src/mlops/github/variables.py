"""Variables of the repository or of an environment: those that have a value in the file."""

from .api import Api
from .changes import Change, Found, differing
from .settings import Variables


def variables(of: str, path: str, declared: Variables, api: Api | None) -> Found:
    """Compare those below a path; without the API, none are there yet."""
    wanted = {name: value for name, value in declared.items() if value is not None}
    there = values(path, api) if api and wanted else {}
    for name, value in wanted.items():
        one = f"{of}: variable {name}" if of else f"variable {name}"
        body = {"name": name, "value": value}
        if name not in there:
            yield Change(of or one, [f"+ {one}"], "POST", f"{path}variables", body)
        elif lines := differing(one, {"value": value}, {"value": there[name]}):
            yield Change(of or one, lines, "PATCH", f"{path}variables/{name}", body)


def values(path: str, api: Api) -> dict[str, str]:
    """All that are there: https://docs.github.com/rest/actions/variables"""
    return {each["name"]: each["value"] for each in api.all(f"{path}variables", "variables")}
