"""Raw lines: what was measured as JSON, one result per line after the conditions, as it comes in.

An interrupted run leaves what it has measured, and the pages can be written again without measuring.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from benchmarks.load.measuring import Result


class RawLines:
    """A file that is begun anew by each run."""

    def __init__(self, path: Path, conditions: Mapping[str, str]) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"conditions": dict(conditions)}) + "\n")

    def add(self, result: Result) -> None:
        """Keep a result."""
        with self.path.open("a") as file:
            file.write(json.dumps(asdict(result)) + "\n")


def read(path: Path) -> tuple[dict[str, str], list[Result]]:
    """Conditions and results of an earlier run. Raises ValueError when there are none."""
    if not path.exists():
        raise ValueError("there are no raw lines of an earlier run")
    head, *lines = path.read_text().splitlines()
    return json.loads(head)["conditions"], [Result(**json.loads(line)) for line in lines]
