"""`pusher_server.cli.container_health`: where the image's health check asks."""

from pathlib import Path

import pytest

from pusher_server.cli.container_health import places

PORT = "PUSHER_SERVER__OPERATIONS__PORT"
HOST = "PUSHER_SERVER__OPERATIONS__HOST"
SOKETIS = "SOKETI_METRICS_SERVER_PORT"


@pytest.mark.parametrize(
    ("variables", "text", "expected"),
    [
        ({}, None, [("127.0.0.1", 9_601)]),
        ({PORT: "9700"}, None, [("127.0.0.1", 9_700)]),
        ({PORT: "9700", SOKETIS: "9800"}, "port = 9900", [("127.0.0.1", 9_700)]),
        ({SOKETIS: "9800"}, None, [("127.0.0.1", 9_800), ("127.0.0.1", 9_601)]),
        ({SOKETIS: "9601"}, None, [("127.0.0.1", 9_601)]),
        ({SOKETIS: "9800"}, "port = 9900", [("127.0.0.1", 9_800), ("127.0.0.1", 9_900)]),
        ({SOKETIS: "many"}, "port = 9900", [("127.0.0.1", 9_900)]),
        ({}, "port = 'x'", [("127.0.0.1", 9_601)]),
        ({}, "port = [", [("127.0.0.1", 9_601)]),
        ({HOST: "0.0.0.0"}, None, [("127.0.0.1", 9_601)]),
        ({HOST: "::"}, "host = '10.0.0.1'", [("::1", 9_601)]),
        ({}, "host = '10.0.0.1'", [("10.0.0.1", 9_601)]),
    ],
)
def test_places(
    tmp_path: Path, variables: dict[str, str], text: str | None, expected: list[tuple[str, int]]
) -> None:
    """Ours decides; else soketi's, and the file's or the default."""
    config = tmp_path / "pusher-server.toml"
    if text is not None:
        config.write_text(f"[operations]\n{text}\n", "utf-8")
    assert places(variables, config) == expected
