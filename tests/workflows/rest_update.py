"""Renew `rest.json`: what GitHub says of the requests that are made of it, and nothing else.

The forms of requests come from GitHub's OpenAPI description (npm's `@octokit/openapi`, 28 MB), the
permissions from npm's `@octokit/app-permissions`, both MIT. To renew it, raise the versions below,
run `uv run python tests/workflows/rest_update.py`, and read the difference before committing it.
"""

from __future__ import annotations

import json
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Any

REST = Path(__file__).with_name("rest.json")
OPENAPI, PERMISSIONS = "23.0.2", "2.1.0"
R = "/repos/{owner}/{repo}"

# What workflows, the engine and CML ask. A new request takes a line here.
ENDPOINTS = {
    R: "GET PATCH",
    f"{R}/actions/jobs/{{job_id}}/rerun": "POST",
    f"{R}/actions/permissions/workflow": "GET PUT",
    f"{R}/actions/runs/{{run_id}}": "GET",
    f"{R}/actions/runs/{{run_id}}/jobs": "GET",
    f"{R}/actions/secrets/public-key": "GET",
    f"{R}/actions/secrets/{{secret_name}}": "PUT",
    f"{R}/actions/variables": "GET POST",
    f"{R}/actions/variables/{{name}}": "PATCH",
    f"{R}/actions/workflows/{{workflow_id}}/dispatches": "POST",
    f"{R}/actions/workflows/{{workflow_id}}/runs": "GET",
    f"{R}/codeowners/errors": "GET",
    f"{R}/collaborators": "GET",
    f"{R}/environments": "GET",
    f"{R}/environments/{{environment_name}}": "PUT",
    f"{R}/environments/{{environment_name}}/deployment-branch-policies": "GET POST",
    f"{R}/environments/{{environment_name}}/deployment-branch-policies/{{branch_policy_id}}": (
        "DELETE"
    ),
    f"{R}/environments/{{environment_name}}/secrets/public-key": "GET",
    f"{R}/environments/{{environment_name}}/secrets/{{secret_name}}": "PUT",
    f"{R}/environments/{{environment_name}}/variables": "GET POST",
    f"{R}/environments/{{environment_name}}/variables/{{name}}": "PATCH",
    f"{R}/git/ref/{{ref}}": "GET",
    f"{R}/git/refs/{{ref}}": "DELETE",
    f"{R}/issues": "GET POST",
    f"{R}/issues/comments/{{comment_id}}": "PATCH",
    f"{R}/issues/{{issue_number}}": "PATCH",
    f"{R}/issues/{{issue_number}}/comments": "GET POST",
    f"{R}/labels": "GET POST",
    f"{R}/labels/{{name}}": "PATCH",
    f"{R}/pulls": "GET POST",
    f"{R}/pulls/{{pull_number}}": "GET PATCH",
    f"{R}/pulls/{{pull_number}}/commits": "GET",
    f"{R}/pulls/{{pull_number}}/reviews": "GET",
    f"{R}/releases": "POST",
    f"{R}/releases/tags/{{tag}}": "GET",
    f"{R}/releases/{{release_id}}": "PATCH",
    f"{R}/releases/{{release_id}}/assets": "POST",
    f"{R}/rulesets": "GET POST",
    f"{R}/rulesets/{{ruleset_id}}": "GET PUT",
    "/orgs/{org}/teams/{team_slug}": "GET",
    "/users/{username}": "GET",
}

# What GitHub takes and its description leaves out, with who says so.
UNDESCRIBED: dict[tuple[str, str], dict[str, Any]] = {
    # go-github's CreateUpdateEnvironment and Terraform's provider send it.
    ("PUT", f"{R}/environments/{{environment_name}}"): {"can_admins_bypass": {"type": "boolean"}},
}
# Permissions that GitHub's documentation has and the package does not.
UNLISTED: dict[str, list[str]] = {
    # https://docs.github.com/rest/actions/workflow-runs#re-run-a-job-from-a-workflow-run
    f"POST {R}/actions/jobs/{{job_id}}/rerun": ["actions: write"],
    # https://docs.github.com/rest/releases/assets#upload-a-release-asset
    f"POST {R}/releases/{{release_id}}/assets": ["contents: write"],
}


def package(name: str, version: str, path: str, folder: Path) -> Any:
    """Return a JSON file of a package of npm."""
    command = ["npm", "pack", "--silent", f"{name}@{version}"]
    done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    with tarfile.open(folder / done.stdout.strip()) as archive:
        file = archive.extractfile(f"package/{path}")
        assert file is not None, path
        return json.load(file)


def schema(described: Any, components: dict[str, Any], closed: bool = True) -> Any:
    """Return a schema of OpenAPI 3.0 as one of JSON Schema, without words.

    Args:
        described: what OpenAPI has.
        components: what it may refer to.
        closed: whether other properties than those that are named are a mistake. GitHub passes
            over most of them in silence, so that a misspelt one does nothing.
    """
    if isinstance(described, list):
        return [schema(each, components, closed) for each in described]
    if not isinstance(described, dict):
        return described
    if "$ref" in described:
        name = described["$ref"].removeprefix("#/components/schemas/")
        return schema(components[name], components, closed)
    made: dict[str, Any] = {}
    for key, value in described.items():
        if key == "properties":
            made[key] = {name: schema(each, components) for name, each in value.items()}
        elif key in ("oneOf", "anyOf", "items", "additionalProperties"):
            made[key] = schema(value, components, closed)
        elif key == "allOf":
            made[key] = schema(value, components, closed=False)
        elif key in ("type", "enum", "required", "minItems", "maxItems", "maxLength", "pattern"):
            made[key] = value
    if closed and "properties" in made:
        made.setdefault("additionalProperties", False)
    if described.get("nullable") is True:
        made = {"anyOf": [made, {"type": "null"}]}
    return made


def parameters(listed: list[dict[str, Any]], openapi: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters of a query, each with its schema."""
    components = openapi["components"]
    found = [
        components["parameters"][each["$ref"].rpartition("/")[2]] if "$ref" in each else each
        for each in listed
    ]
    return {
        each["name"]: schema(each["schema"], components["schemas"])
        for each in found
        if each["in"] == "query"
    }


def grants(permissions: dict[str, Any], method: str, path: str) -> list[str]:
    """Return the permissions of which one is enough, as a workflow writes them.

    Those below /actions/ are listed for `contents`, too, which GitHub's documentation does not:
    https://docs.github.com/rest/authentication/permissions-required-for-github-apps
    """
    found = {
        f"{name.replace('_', '-')}: {access}"
        for name, routes in permissions.items()
        for access in ("read", "write")
        if f"{method} {path}" in routes.get(access, [])
    }
    return sorted(each for each in found if not ("/actions/" in path and "contents" in each))


def main() -> None:
    """Write the file."""
    with tempfile.TemporaryDirectory() as folder:
        where = Path(folder)
        openapi = package("@octokit/openapi", OPENAPI, "generated/api.github.com.json", where)
        apps = package(
            "@octokit/app-permissions", PERMISSIONS, "generated/api.github.com.json", where
        )
    lines = {}
    for path, methods in ENDPOINTS.items():
        for method in methods.split():
            operation = openapi["paths"][path][method.lower()]
            body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
            made = schema(body.get("schema"), openapi["components"]["schemas"])
            more = UNDESCRIBED.get((method, path))
            if more:
                made["anyOf"][0]["properties"] |= more
            lines[f"{method} {path}"] = {
                "permissions": UNLISTED.get(f"{method} {path}")
                or grants(apps["permissions"], method, path),
                "query": parameters(operation.get("parameters", []), openapi),
                "body": made,
            }
    told = [f"  {json.dumps(name)}: {json.dumps(lines[name])}" for name in sorted(lines)]
    REST.write_text("{\n" + ",\n".join(told) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
