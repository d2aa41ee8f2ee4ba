"""The acceptance list is complete: each of its rows has at least one test of that name."""

import re
from pathlib import Path

ROWS = {
    *(f"C{number}" for number in range(1, 12)),
    *(f"S{number}" for number in range(1, 17)),
    *(f"E{number}" for number in range(1, 8)),
    *(f"U{number}" for number in range(1, 8)),
    "U4b",
    *(f"H{number}" for number in range(1, 14)),
    *(f"W{number}" for number in range(1, 6)),
}


def test_every_row_of_the_acceptance_list_has_a_test() -> None:
    """The rows of docs/protocol/conformance.md: searching for a row's name finds its tests."""
    found: set[str] = set()
    for path in Path(__file__).parent.rglob("test_*.py"):
        found |= set(re.findall(r"^async def test_([CSEUHW]\d+b?)_", path.read_text("utf-8"), re.M))
    assert found == ROWS
