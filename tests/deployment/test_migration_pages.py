"""Each page "Coming from …": its steps, pasted, lead to a delivered event and leave the old files alone."""

import json
from pathlib import Path

import pytest

from tests.deployment import peers
from tests.deployment.pages import (
    MIGRATION,
    SERVER,
    Reader,
    blocks,
    credentials_in,
    event_block,
    is_server,
)

PEERS = sorted(page.stem for page in MIGRATION.glob("*.md"))
DELIVERED = {"event": "shipped", "channel": "orders", "data": "7"}
#: Pages with a container's variables.
STYLES = ("reverb", "soketi")


@pytest.fixture(scope="module")
def soketi_default(tmp_path_factory: pytest.TempPathFactory) -> str:
    """soketi's default options, from its package."""
    return peers.soketi_default(tmp_path_factory.mktemp("soketi"))


def test_every_server_has_a_page() -> None:
    """As `pusher-server import` knows them."""
    assert PEERS == ["laravel-websockets", "pusher", "reverb", "sockudo", "soketi"]


@pytest.mark.parametrize("peer", PEERS)
def test_the_steps_of_a_page(peer: str, tmp_path: Path, soketi_default: str) -> None:
    """Dry run, import, check, a server beside the old one, an event; nothing of the old server is touched."""
    files = peers.write(tmp_path, peer, soketi=soketi_default)
    before = {file: file.read_bytes() for file in files}
    reader = Reader(tmp_path)
    delivered = []
    for block in blocks(MIGRATION / f"{peer}.md", "Ten minutes"):
        if is_server(block) and "--env-style" not in block.text:
            with reader.paste_server(block.text):
                delivered.append(json.loads(reader.paste(event_block().text)))
        elif block.language == "sh" and not is_server(block):
            printed = reader.paste(block.text)
            if "--dry-run" in block.text:
                assert "unsafe before (" in printed
                assert not (tmp_path / "pusher-server.toml").exists()
    assert delivered == [DELIVERED]
    assert {file: file.read_bytes() for file in files} == before


@pytest.mark.parametrize("peer", PEERS)
def test_the_application_is_pointed_to_the_port_of_the_page(peer: str) -> None:
    """The lines for `.env` name the server that the step before has started."""
    (lines,) = [
        block.text
        for block in blocks(MIGRATION / f"{peer}.md", "Ten minutes")
        if block.language == "ini"
    ]
    (server,) = [
        block.text
        for block in blocks(MIGRATION / f"{peer}.md", "Ten minutes")
        if is_server(block) and "--env-style" not in block.text
    ]
    assert f"--port {SERVER}" in server
    assert f"_PORT={SERVER}\n" in lines


@pytest.mark.parametrize("peer", STYLES)
def test_a_container_with_the_old_variables(peer: str, tmp_path: Path) -> None:
    """Starts from them alone, and delivers."""
    (block,) = [
        block
        for block in blocks(MIGRATION / f"{peer}.md", "Ten minutes")
        if is_server(block) and "--env-style" in block.text
    ]
    reader = Reader(tmp_path)
    with reader.paste_server(block.text) as server:
        # Written only now: beside a config file the variables would not be alone.
        app = "\n".join(f'{name} = "{value}"' for name, value in credentials_in(block.text).items())
        (tmp_path / "pusher-server.toml").write_text(f"[[apps]]\n{app}\n")
        assert json.loads(reader.paste(event_block().text)) == DELIVERED
        assert f"pusher-server import {peer} --dry-run" in server.log.read_text()


def test_soketis_default_means_here_what_it_means_there(
    soketi_default: str, tmp_path: Path
) -> None:
    """Its package and our copy of its defaults give one draft."""
    from pusher_server.migration import soketi

    packaged = soketi.read(json.loads(soketi_default), {}, "soketi.json")
    ours = soketi.read({}, {}, "soketi.json")
    assert (packaged.table, packaged.apps) == (ours.table, ours.apps)
