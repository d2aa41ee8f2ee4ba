"""The golden vectors, made by the official libraries (docs/protocol/signatures.md#worked-values)."""

import json
from pathlib import Path
from typing import Any

from pusher_server.app import App, AppKey

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "golden_vectors.json").read_text("utf-8")
)
CREDENTIALS: dict[str, str] = VECTORS["credentials"]
KEY, SECRET = CREDENTIALS["key"], CREDENTIALS["secret"]
NOW: int = VECTORS["http"]["clock_now"]

APP = App(id=CREDENTIALS["app_id"], keys=(AppKey(key=KEY, secret=SECRET),))


def rejects(*kinds: str) -> list[dict[str, Any]]:
    """The vectors that must be refused, of these kinds."""
    return [vector for vector in VECTORS["edge"]["reject"] if vector["kind"] in kinds]


def is_well_signed(vector: dict[str, Any]) -> bool:
    """Whether what is wrong with a reject vector lies beyond its signature."""
    return "signature is right" in vector["why"]
