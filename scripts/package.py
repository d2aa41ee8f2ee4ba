"""Builds the sdist and the wheel, tries them in empty environments, and lists what is inside.

    python -m scripts.package [--to DIR] [--wheels DIR]

DIR (dist/) then has both archives, the SBOM (CycloneDX) and SHA256SUMS. With `--wheels` nothing comes from the
network, but from that folder. Every check ends the program with one line when it fails.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

from packaging.utils import canonicalize_name

from pusher_server import __version__
from scripts import constraints

TOP = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
TRIAL = TOP / "scripts" / "package_trial.py"


class Unfit(Exception):
    """The package is not what it should be; the text is a line for the maintainer."""


def run(*command: str | Path, cwd: Path = TOP, **environment: str) -> str:
    """Run a command and return what it printed. Raises Unfit with the end of its output."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd, env={**os.environ, **environment}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    if done.returncode:
        raise Unfit(f"{Path(command[0]).name} {command[1]} failed:\n{done.stdout[-3_000:]}")
    return done.stdout


def build(to: Path, source: Path = TOP) -> tuple[Path, Path]:
    """Build both into a folder. The same tree gives the same bytes. Returns the sdist and the wheel."""
    epoch = "0" if source != TOP else run("git", "log", "-1", "--format=%ct").strip()
    for kind in ("sdist", "wheel"):
        command = (sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", to.resolve())
        run(*command, cwd=source, SOURCE_DATE_EPOCH=epoch)
    (sdist,), (wheel,) = to.glob("*.tar.gz"), to.glob("*.whl")
    return sdist, wheel


def contents(wheel: Path) -> dict[str, str]:
    """Name -> digest of each file in a wheel but its list of files, which has them all."""
    with zipfile.ZipFile(wheel) as archive:
        return {
            name: hashlib.sha256(archive.read(name)).hexdigest()
            for name in archive.namelist()
            if not name.endswith("/RECORD")
        }


def check_sdist(sdist: Path, wheel: Path, scratch: Path) -> None:
    """Check that the wheel can be made from the sdist alone. Raises Unfit."""
    with tarfile.open(sdist) as archive:
        archive.extractall(scratch, filter="data")
    (source,) = scratch.iterdir()
    _, again = build(scratch / "again", source)
    if contents(again) != contents(wheel):
        raise Unfit("the wheel made from the sdist differs from the one made from the tree")


def check_metadata(*archives: Path) -> None:
    """Check that an index would take and show them. Raises Unfit."""
    run(sys.executable, "-m", "twine", "check", "--strict", *archives)


class Environment:
    """An empty virtual environment, without pip."""

    def __init__(self, folder: Path, wheels: Path | None) -> None:
        run(sys.executable, "-m", "venv", "--without-pip", folder)
        self.python = folder / "bin" / "python"
        self._source = ("--no-index", "--find-links", str(wheels.resolve())) if wheels else ()

    def install(self, *arguments: str | Path) -> None:
        """Install as a user would, from an index or from the folder of wheels."""
        pip = (sys.executable, "-m", "pip", "--python", self.python)
        run(*pip, "install", "--quiet", "--disable-pip-version-check", *self._source, *arguments)
        run(*pip, "check")

    def try_out(self, kind: str, folder: Path) -> None:
        """Start the server there, and bring an event from its API to a client. Raises Unfit."""
        clean = {"PYTHONPATH": "", "PYTHONDONTWRITEBYTECODE": "1"}
        print(run(self.python, "-I", TRIAL, kind, cwd=folder, **clean), end="", flush=True)

    def bill_of_materials(self, to: Path, version: str, scratch: Path) -> None:
        """Write a CycloneDX document of what is installed."""
        project = scratch / "pyproject.toml"
        project.write_text(
            f'[project]\nname = "pusher-server"\nversion = "{version}"\nlicense = "MIT"\n'
            'description = "A self-hosted broadcast server that speaks the Pusher Channels protocol"\n'
        )
        command = (
            BIN / "cyclonedx-py", "environment", self.python, "--pyproject", project,
            "--mc-type", "application", "--output-reproducible", "--output-file", to,
        )  # fmt: skip
        run(*command)


def check_bill(bill: Path, pinned: set[str], version: str) -> None:
    """Check that the document lists each pinned package once, and nothing of this machine. Raises Unfit."""
    text = bill.read_text("utf-8")
    document = json.loads(text)
    listed = {
        f"{canonicalize_name(part['name'])}=={part['version']}" for part in document["components"]
    }
    if listed != pinned:
        differing = ", ".join(sorted(listed ^ pinned))
        raise Unfit(f"the SBOM and constraints.txt differ in {differing}")
    root = document["metadata"]["component"]
    if (root["name"], root["version"]) != ("pusher-server", version):
        raise Unfit("the SBOM is not of this version")
    if str(TOP) in text or tempfile.gettempdir() in text or "file:" in text:
        raise Unfit("the SBOM names a path of this machine")


def checksums(to: Path) -> None:
    """Write SHA256SUMS, as sha256sum reads it."""
    lines = [
        f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n"
        for file in sorted(to.iterdir())
        if file.name != "SHA256SUMS"
    ]
    (to / "SHA256SUMS").write_text("".join(lines))


def make(to: Path, wheels: Path | None) -> None:
    """Build and check all of it. Raises Unfit."""
    pinned = constraints.FILE.read_text("utf-8")
    wrong = list(constraints.problems(pinned, constraints.project()))
    if wrong:
        raise Unfit("; ".join(wrong))
    shutil.rmtree(to, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix="pusher-server-package-") as name:
        scratch = Path(name)
        print("building the sdist and the wheel", flush=True)
        sdist, wheel = build(to)
        check_metadata(sdist, wheel)
        (scratch / "source").mkdir()
        check_sdist(sdist, wheel, scratch / "source")

        print(f"installing {wheel.name} into an empty environment", flush=True)
        plain = Environment(scratch / "plain", wheels)
        plain.install(wheel)
        plain.try_out("plain", scratch)

        print("the same with exact versions, hashes, and the extra `sql`", flush=True)
        exact = Environment(scratch / "exact", wheels)
        exact.install("--require-hashes", "-r", constraints.FILE)
        exact.install("--no-deps", f"{wheel}[sql]")
        exact.try_out("sql", scratch)

        bill = to / f"pusher_server-{__version__}.cdx.json"
        exact.bill_of_materials(bill, __version__, scratch)
        check_bill(bill, constraints.installed_here(pinned), __version__)
    checksums(to)
    for file in sorted(to.iterdir()):
        print(f"  {file.stat().st_size:>9,}  {file.name}")


def main(arguments: list[str]) -> int:
    """Make the package; the exit status."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--to", type=Path, default=TOP / "dist")
    parser.add_argument("--wheels", type=Path)
    options = parser.parse_args(arguments)
    try:
        make(options.to, options.wheels)
    except Unfit as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
