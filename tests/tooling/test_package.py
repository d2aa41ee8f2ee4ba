"""The package: an sdist and a wheel with every file of the package, built without the network.

`scripts.package` installs and tries them as well, in a step of its own.
"""

import json
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from pusher_server import __version__
from scripts import constraints, package
from scripts.package import Unfit

TOP = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The sdist and the wheel of the working tree."""
    return package.build(tmp_path_factory.mktemp("archives"))


@pytest.fixture(scope="module")
def wheel(archives: tuple[Path, Path]) -> zipfile.ZipFile:
    """The wheel, opened."""
    return zipfile.ZipFile(archives[1])


@pytest.fixture(scope="module")
def metadata(wheel: zipfile.ZipFile) -> Message:
    (name,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    return Parser().parsestr(wheel.read(name).decode())


def tracked(folder: str) -> set[str]:
    listed = ("git", "ls-files", "--cached", "--others", "--exclude-standard", folder)
    names = subprocess.run(listed, cwd=TOP, check=True, capture_output=True, text=True).stdout
    return {name for name in names.splitlines() if (TOP / name).is_file()}


def test_the_wheel_has_every_file_of_the_package(wheel: zipfile.ZipFile) -> None:
    """Scripts in Lua, the defaults and `py.typed` (PEP 561), too."""
    wanted = tracked("pusher_server")
    assert "pusher_server/py.typed" in wanted
    packed = {name for name in wheel.namelist() if not name.split("/")[0].endswith(".dist-info")}
    assert packed == wanted | {"pusher_server/config.example.toml"}
    assert (
        wheel.read("pusher_server/config.example.toml")
        == (TOP / "config.example.toml").read_bytes()
    )


def test_the_sdist_has_the_package_its_pages_and_nothing_else(archives: tuple[Path, Path]) -> None:
    with tarfile.open(archives[0]) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    beside = {name for name in names if not name.startswith("pusher_server/")}
    assert names - beside == tracked("pusher_server")
    assert beside == {
        ".gitignore", "CHANGELOG.md", "LICENSE", "PKG-INFO", "README.md", "SECURITY.md",
        "config.example.toml", "constraints.txt", "pyproject.toml",
    }  # fmt: skip


def test_the_metadata_is_that_of_the_project(metadata: Message) -> None:
    assert (metadata["Name"], metadata["Version"]) == ("pusher-server", __version__)
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["License-Expression"] == "MIT"
    assert metadata.get_all("License-File") == ["LICENSE"]
    assert "Typing :: Typed" in metadata.get_all("Classifier", [])
    assert metadata.get_all("Provides-Extra") == ["sql"]
    assert metadata["Description-Content-Type"] == "text/markdown"
    stated = {Requirement(line) for line in metadata.get_all("Requires-Dist", [])}
    project = constraints.project()
    own, extras = project["dependencies"], project["optional-dependencies"]
    assert isinstance(own, list)
    assert isinstance(extras, dict)
    wanted = {Requirement(line) for line in own}
    wanted |= {Requirement(f"{line}; extra == 'sql'") for line in extras["sql"]}
    assert stated == wanted


def test_the_wheel_installs_the_command(wheel: zipfile.ZipFile) -> None:
    (name,) = [name for name in wheel.namelist() if name.endswith("/entry_points.txt")]
    assert wheel.read(name).decode() == (
        "[console_scripts]\npusher-server = pusher_server.cli.main:main\n"
    )


def test_the_same_tree_gives_the_same_bytes(archives: tuple[Path, Path], tmp_path: Path) -> None:
    again = package.build(tmp_path)
    for before, after in zip(archives, again, strict=True):
        assert before.read_bytes() == after.read_bytes(), before.name


def test_the_wheel_can_be_made_from_the_sdist(archives: tuple[Path, Path], tmp_path: Path) -> None:
    package.check_sdist(*archives, tmp_path)


def test_an_sdist_that_lacks_a_file_is_refused(archives: tuple[Path, Path], tmp_path: Path) -> None:
    """The check of `scripts.package` can fail."""
    with tarfile.open(archives[0]) as sdist:
        sdist.extractall(tmp_path, filter="data")
    (source,) = tmp_path.iterdir()
    (source / "pusher_server" / "py.typed").unlink()
    shutil.make_archive(str(tmp_path / "poor"), "gztar", tmp_path, source.name)
    (tmp_path / "scratch").mkdir()
    with pytest.raises(Unfit, match="differs"):
        package.check_sdist(tmp_path / "poor.tar.gz", archives[1], tmp_path / "scratch")


def test_a_bill_of_materials_lists_what_is_pinned(tmp_path: Path) -> None:
    """Neither more nor less, under the right version, and nothing of the machine that made it."""
    bill = tmp_path / "bill.json"
    pinned = {"click==8.5.1", "typing-extensions==4.16.0"}

    def write(names: str, version: str = "1.2.3", more: str = "") -> None:
        root = {"name": "pusher-server", "version": version, "description": more}
        pairs = (name.split("==") for name in names.split())
        parts = [{"name": name, "version": number} for name, number in pairs]
        bill.write_text(json.dumps({"components": parts, "metadata": {"component": root}}))

    write("click==8.5.1 typing_extensions==4.16.0")
    package.check_bill(bill, pinned, "1.2.3")
    write("click==8.5.1")
    with pytest.raises(Unfit, match=r"differ in typing-extensions==4\.16\.0"):
        package.check_bill(bill, pinned, "1.2.3")
    write("click==8.5.1 typing_extensions==4.16.0 pip==23.2")
    with pytest.raises(Unfit, match=r"differ in pip==23\.2"):
        package.check_bill(bill, pinned, "1.2.3")
    write("click==8.5.1 typing_extensions==4.16.0", version="1.2.2")
    with pytest.raises(Unfit, match="not of this version"):
        package.check_bill(bill, pinned, "1.2.3")
    write("click==8.5.1 typing_extensions==4.16.0", more=f"file://{TOP}")
    with pytest.raises(Unfit, match="a path of this machine"):
        package.check_bill(bill, pinned, "1.2.3")


def test_checksums_are_what_sha256sum_reads(tmp_path: Path) -> None:
    for name in ("a.whl", "b.tar.gz"):
        (tmp_path / name).write_text(name)
    package.checksums(tmp_path)
    package.checksums(tmp_path)
    command = ("sha256sum", "--check", "--strict", "SHA256SUMS")
    checked = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
    assert checked.stdout == "a.whl: OK\nb.tar.gz: OK\n"


def test_a_failure_is_one_step_with_the_end_of_its_output() -> None:
    with pytest.raises(Unfit, match=r"failed:\nthe reason"):
        package.run(sys.executable, "-c", "print('the reason'); raise SystemExit(1)")
