"""What is published: a wheel with every file of the package, built without the network."""

import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

from pusher_server import __version__

TOP = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel of the working tree, opened."""
    folder = tmp_path_factory.mktemp("wheel")
    command = (sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder))
    subprocess.run(command, cwd=TOP, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return zipfile.ZipFile(built)


def test_it_has_every_file_of_the_package(wheel: zipfile.ZipFile) -> None:
    """Scripts in Lua, the defaults and `py.typed` (PEP 561), too."""
    listed = ("git", "ls-files", "--cached", "--others", "--exclude-standard", "pusher_server")
    tracked = subprocess.run(listed, cwd=TOP, check=True, capture_output=True, text=True).stdout
    wanted = {name for name in tracked.splitlines() if (TOP / name).is_file()}
    assert "pusher_server/py.typed" in wanted
    packed = {name for name in wheel.namelist() if name.startswith("pusher_server/")}
    assert packed == wanted | {"pusher_server/config.example.toml"}
    assert (
        wheel.read("pusher_server/config.example.toml")
        == (TOP / "config.example.toml").read_bytes()
    )


def test_it_says_what_it_is(wheel: zipfile.ZipFile) -> None:
    (name,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    metadata = Parser().parsestr(wheel.read(name).decode())
    assert (metadata["Name"], metadata["Version"]) == ("pusher-server", __version__)
    assert "Typing :: Typed" in metadata.get_all("Classifier", [])
    assert metadata.get_all("Provides-Extra") == ["sql"]
