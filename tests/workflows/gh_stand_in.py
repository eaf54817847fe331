#!/usr/bin/env python3
"""A stand-in for `gh attestation verify`, which Debian's gh 2.23 lacks; the rest is the real gh's.

It looks among what the stand-in for actions/attest kept, and refuses what the real one does: a
digest that nobody attested, or another workflow, branch or commit than is asked for. As the real
one it takes attestations of provenance only, not bills of materials.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

PROVENANCE = "https://slsa.dev/provenance/v1"


def real() -> str:
    """Return the gh that is behind this one on the path."""
    here = Path(__file__).parent
    entries = os.environ["PATH"].split(os.pathsep)
    found = shutil.which("gh", path=os.pathsep.join(e for e in entries if Path(e) != here))
    assert found is not None, "there is no gh behind this one"
    return found


def verify(arguments: list[str]) -> str | None:
    """Return why an image does not pass; None where it does."""
    parser = argparse.ArgumentParser(prog="gh attestation verify", allow_abbrev=False)
    parser.add_argument("subject")
    parser.add_argument("--repo", required=True)
    parser.add_argument("--signer-workflow", required=True)
    parser.add_argument("--source-ref", required=True)
    parser.add_argument("--source-digest", required=True)
    asked = parser.parse_args(arguments)
    if not os.environ.get("GH_TOKEN"):
        return "To use GitHub CLI in a GitHub Actions workflow, set the GH_TOKEN environment"
    granted = [os.environ["STANDIN_PERMISSIONS"], "attestations: read"]
    if subprocess.run(granted, check=False).returncode:
        return "HTTP 403: Resource not accessible by integration"
    wanted = {
        "type": PROVENANCE,
        "digest": asked.subject.partition("@")[2],
        "workflow": asked.signer_workflow,
        "ref": asked.source_ref,
        "commit": asked.source_digest,
    }
    kept = Path(os.environ["STANDIN_ATTESTATIONS"])
    for path in kept.glob("*.json"):
        known = json.loads(path.read_text(encoding="utf-8"))
        if all(known[name] == value for name, value in wanted.items()):
            return None
    return f"no attestations found for subject {wanted['digest']}"


def main() -> None:
    """Answer, or hand on to gh."""
    if sys.argv[1:3] != ["attestation", "verify"]:
        gh = real()
        os.execv(gh, [gh, *sys.argv[1:]])  # noqa: S606
    problem = verify(sys.argv[3:])
    if problem:
        sys.exit(f"Error: {problem}")
    print("Verification succeeded!")


if __name__ == "__main__":
    main()
