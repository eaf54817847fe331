#!/usr/bin/env python3
"""What GitHub lets be pushed: an `update` hook of the bare repository.

A person at a desk may push; a job may with the token in GH_TOKEN, which is where `gh` as Git's
credential helper takes it from. Nobody may change workflows without a permission of its own, which
no job has: https://docs.github.com/apps (Workflows: write).
"""

from __future__ import annotations

import os
import subprocess
import sys

FOLDER = ".github/workflows/"


def git(*arguments: str) -> list[str]:
    """Return the lines that Git answers with."""
    done = subprocess.run(["git", *arguments], check=True, capture_output=True, text=True)
    return done.stdout.splitlines()


def workflows(commit: str) -> set[str]:
    """Return the workflow files of a commit, each with its content's hash."""
    return set(git("ls-tree", "-r", commit, "--", FOLDER))


def new_workflow(commit: str) -> str | None:
    """Return a workflow file that no branch has as it is."""
    there = git("for-each-ref", "--format=%(objectname)", "refs/heads")
    known = {line for each in set(there) for line in workflows(each)}
    return next((line.split("\t")[1] for line in sorted(workflows(commit) - known)), None)


def refusal(commit: str) -> str | None:
    """Return why a push is refused."""
    token = os.environ.get("GH_TOKEN", "")
    if not token:
        return "could not read Username for 'https://github.com': there is no token"
    # An app's token says what it was asked for; a job's is looked up.
    app, _, asked = token.partition(":")
    if asked:
        writes = asked.split(",")
    else:
        known = [os.environ["STANDIN_PERMISSIONS"], "contents: write"]
        granted = subprocess.run(known, check=False, capture_output=True).returncode == 0
        writes = ["contents=write"] if granted else []
    if "contents=write" not in writes:
        return "Permission to the repository denied: 403"
    if set(commit) != {"0"} and "workflows=write" not in writes:
        file = new_workflow(commit)
        if file:
            return (
                f"refusing to allow a GitHub App to create or update workflow `{file}` without "
                "`workflows` permission"
            )
    return None


if __name__ == "__main__":
    why = refusal(sys.argv[3]) if "STANDIN_JOB" in os.environ else None
    if why:
        sys.exit(why)
