"""Clients and operations listen at two addresses: `pusher_server.config.load` refuses one for both."""

from pathlib import Path

import pytest

from pusher_server.config import load
from pusher_server.errors import ConfigError

APP = '[[apps]]\nid = "1"\nkey = "k"\nsecret = "ssssssssssssssssssss"\n'


def load_text(folder: Path, server: str, operations: str) -> None:
    """Load a configuration with these two tables."""
    file = folder / "x.toml"
    file.write_text(f"[server]\n{server}\n[operations]\n{operations}\n{APP}", "utf-8")
    load(file, {}, {})


@pytest.mark.parametrize(
    ("server", "operations"),
    [
        ("port = 9601", ""),
        ('host = "0.0.0.0"\nport = 7000', "port = 7000"),
        ('host = "10.0.0.1"\nport = 7000', 'host = "::"\nport = 7000'),
        ('host = "localhost"\nport = 7000', "port = 7000"),
    ],
)
def test_one_address_for_both_is_refused(tmp_path: Path, server: str, operations: str) -> None:
    """By the setting that is easier to change."""
    with pytest.raises(ConfigError, match=r"operations\.port: \d+ is server\.port, too: choose"):
        load_text(tmp_path, server, operations)


@pytest.mark.parametrize(
    ("server", "operations"),
    [
        ("port = 7000", "port = 7001"),
        ("port = 0", "port = 0"),
        ('host = "10.0.0.1"\nport = 7000', "port = 7000"),
        ("port = 7000", "port = 7000\nenabled = false"),
        ('unix_socket = "/run/x.sock"\nport = 7000', "port = 7000"),
    ],
)
def test_two_addresses_are_two(tmp_path: Path, server: str, operations: str) -> None:
    """Also with one port, when only one of them listens there."""
    load_text(tmp_path, server, operations)
