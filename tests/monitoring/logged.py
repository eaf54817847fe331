"""Rows that a real server was asked and has logged, and what was true of them."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from deploy.site import Site
from pipeline.running import Run
from serving.running import wait_for

# Rows of the data that the small project was made of, in requests of several rows.
ROWS = """
import sys, json, pandas as pd
from mlops.data.contract import load_contract
contract = load_contract()
data = pd.read_parquet("data/split/train.parquet")
rows = data.sample(int(sys.argv[1]), random_state=0)
target = rows.pop(contract.target).tolist() if contract.target else None
print(json.dumps({"rows": json.loads(rows.to_json(orient="records", date_format="iso")),
                  "target": target}))
"""
# Changes the files of a log: `{change}` is done to the data frame `data` of each.
CHANGE = """
import sys
from pathlib import Path
import numpy as np, pandas as pd
for path in sorted(Path(sys.argv[1]).glob("*-*-*/[!.]*.parquet")):
    data = pd.read_parquet(path)
    {change}
    data.to_parquet(path, index=False)
print("null")
"""
COUNT = """
import sys
from pathlib import Path
import pyarrow.parquet as pq
# A file whose name begins with a dot is not whole yet, and is about to get another name.
paths = Path(sys.argv[1]).glob("*-*-*/[!.]*.parquet")
print(sum(pq.read_metadata(path).num_rows for path in paths))
"""
# `mlops` without the pictures of its report, which take longer than all the rest.
UNDRAWN = """
import sys
from mlops import cli
from mlops.report import monitoring
monitoring.draw = lambda *_: "not drawn"
sys.argv[0] = "mlops"
cli.main()
"""
ASKED = 600
SIZES = (1, 7, 2, 20)


@dataclass
class Logged:
    """An environment `dev` and its log.

    Attributes:
        labels: request, row and what is true, of each row that was asked.
    """

    site: Site
    labels: list[tuple[str, int, Any]] = field(default_factory=list)

    @staticmethod
    def begin(site: Site) -> Logged:
        """Apply, ask, and wait until all is logged."""
        site.settings("dev", MLOPS_LOG_SECONDS="0.5", MLOPS_LOG_ROWS="150")
        site.project.commit()
        site.mlops("apply", "dev")
        found = Logged(site)
        found.ask(ASKED)
        wait_for(lambda: found.count(found.log) == ASKED, "logged")
        return found

    @property
    def log(self) -> Path:
        """Where the servers log."""
        return self.site.project.folder / "build/environments/dev/log"

    def ask(self, count: int) -> None:
        """Ask for that many rows."""
        asked = self.site.project.python(ROWS, str(count))
        url = f"http://127.0.0.1:{self.site.ports['dev']}/predict"
        at = number = 0
        while at < count:
            rows = asked["rows"][at : at + SIZES[number % len(SIZES)]]
            with urlopen(Request(url, json.dumps(rows).encode())) as answer:  # noqa: S310
                request = json.load(answer)["id"]
            for row in range(len(rows)):
                target = asked["target"] and asked["target"][at + row]
                self.labels.append((request, row, target))
            at, number = at + len(rows), number + 1

    def copy(self, folder: Path) -> Path:
        """Copy the log."""
        shutil.copytree(self.log, folder)
        return folder

    def count(self, log: Path) -> int:
        """Count the rows of a log's files."""
        return int(self.site.project.python(COUNT, str(log)))

    def change(self, log: Path, change: str) -> None:
        """Do something to the rows of each file."""
        self.site.project.python(CHANGE.format(change=change), str(log))

    def csv(self, path: Path, labels: list[tuple[str, int, Any]]) -> Path:
        """Write labels as a file to import."""
        lines = [f"{request},{row},{target}" for request, row, target in labels]
        path.write_text("\n".join(["request,row,late", *lines]) + "\n", encoding="utf-8")
        return path

    def feedback(self, path: Path, log: Path, code: int = 0) -> Run:
        """Import a file."""
        return self.site.mlops("feedback", "import", "dev", str(path), f"--log={log}", code=code)

    def monitor(
        self,
        *arguments: str,
        log: Path | str | None = None,
        code: int = 0,
        is_drawn: bool = False,
    ) -> Run:
        """Monitor the environment; by default without drawing what was found."""
        of = [f"--log={log}"] if log else []
        command = ["mlops"] if is_drawn else ["python", "-c", UNDRAWN]
        return self.site.project.run(
            *command, "monitor", "dev", *of, *arguments, code=code, env=self.site.environ
        )

    @property
    def result(self) -> Any:
        """What the last run found."""
        return self.site.project.read("build/monitor/dev/result.json")

    def text(self, name: str) -> str:
        """Return a report of the last run."""
        path = self.site.project.folder / "build/monitor/dev" / name
        return path.read_text(encoding="utf-8")


def balanced(result: Any) -> int:
    """Return how many rows were read, and require that each is accounted for, once."""
    account = result["account"]
    parts = [account[name] for name in ("examples", "duplicates", "elsewhere")]
    parts += account["others"].values()
    assert account["rows"] == sum(account["counted"]) + sum(parts)
    assert account["counted"] == [each["rows"] for each in result["windows"]]
    return int(account["rows"])
