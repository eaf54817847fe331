"""Which release takes which feature of which version, and which meaning changed unsaid."""

from __future__ import annotations

from typing import Any

import pytest
from engine import made
from engine.released import Repository

from mlops.files import write_json
from mlops.git.revision import Revision
from mlops.paths import CONTRACT, FEATURES
from mlops.report.inventory import Use, inventory
from mlops.report.terminal import show_features

HALF = {"expr": "size / 2", "description": "half of it", "owner": "ada"}


def _declare(**features: dict[str, Any]) -> None:
    write_json(FEATURES, {"features": features})
    described = made.contract("binary").model_dump(mode="json", exclude_defaults=True)
    write_json(CONTRACT, described)


def _head() -> Revision:
    found = Revision.of("HEAD")
    assert found is not None
    return found


def test_each_feature_is_listed_with_the_releases_that_take_it(
    repository: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    _declare(half=HALF, gone={"expr": "rank + 1"})
    release = repository.live("dev")
    _declare(half=HALF | {"expr": "size / 3"}, new={"expr": "half * 2", "version": 2})
    half, new = inventory(_head())
    assert half.used == [Use("dev", release.id, 1, same=False)]
    assert (half.columns, half.renamed) == (["size"], ["dev"])
    assert (new.used, new.version, new.columns) == ([], 2, ["size"])
    show_features([half, new])
    said = " ".join(capsys.readouterr().out.split())
    assert "half: version 1 means something else in dev; give it version 2" in said
    _declare(half=HALF | {"expr": "size / 2.0", "version": 1})
    (half,) = inventory(_head())
    assert half.used[0].same
    assert half.renamed == []
