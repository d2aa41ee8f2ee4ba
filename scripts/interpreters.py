"""The versions of Python that the server is tested on, each with an environment of its own in .venv/others.

    interpreters.py     makes the environments of all versions that are found here, but of its own

`make test-full` runs `TIERS` on each, and says which versions it has not run.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
FOLDER = TOP / ".venv" / "others"
OWN = "{}.{}".format(*sys.version_info[:2])

#: What is promised; `pyproject.toml` has a classifier for each.
SUPPORTED = ("3.11", "3.12", "3.13")
#: Run when one is found, and named when none is.
TRIED = (*SUPPORTED, "3.14")
#: Where another version of Python can differ; the other tiers test what is above it.
TIERS = ("unit", "edge", "conformance")


def environment_of(version: str) -> Path | None:
    """The interpreter of a version's environment; None before it was made."""
    python = FOLDER / version / "bin" / "python"
    return python if python.exists() else None


def others() -> Iterator[tuple[str, Path | None]]:
    """Each version but our own, with the interpreter of its environment."""
    return ((version, environment_of(version)) for version in TRIED if version != OWN)


def summary() -> str:
    """Say in one line which versions run and which do not."""
    missing = [version for version, python in others() if python is None]
    present = [version for version in TRIED if version not in missing]
    line = f"Python {', '.join(present)}"
    return f"{line}; NOT RUN, because none was found: {', '.join(missing)}" if missing else line


def find(version: str, environ: Mapping[str, str]) -> Path | None:
    """An interpreter of this version, from PATH or from pyenv's folder, that can make environments."""
    name = f"python{version}"
    known = shutil.which(name, path=environ.get("PATH"))
    pyenv = Path(environ.get("PYENV_ROOT") or Path(environ.get("HOME", "/")) / ".pyenv")
    built = sorted(pyenv.glob(f"versions/{version}.*/bin/{name}"), key=_numbers, reverse=True)
    for candidate in (*([Path(known)] if known else []), *built):
        # pyenv has a shim for each version that is installed, and most of them refuse to run.
        test = (
            f"import ensurepip, sys, venv; sys.exit('{version}' != '%d.%d' % sys.version_info[:2])"
        )
        if subprocess.run((candidate, "-c", test), capture_output=True).returncode == 0:
            return candidate
    return None


def _numbers(path: Path) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", path.parts[-3])]


def make(version: str, python: Path) -> None:
    """Make the environment of a version, with what `scripts/setup dev` installs, or bring it up to date."""
    requirements = TOP / ".venv" / "dev-requirements.txt"
    project = tomllib.loads((TOP / "pyproject.toml").read_text("utf-8"))["project"]
    contents = repr((sorted(project.items()), requirements.read_text("utf-8")))
    place = f"{TOP} {python}"
    wanted = f"{place} {hashlib.sha256(contents.encode()).hexdigest()}"
    folder = FOLDER / version
    stamp = folder / ".made-from"
    made_from = stamp.read_text("utf-8") if stamp.exists() and environment_of(version) else ""
    if made_from == wanted:
        return
    print(f"Making an environment for Python {version} ({python}) ...", file=sys.stderr, flush=True)
    if not made_from.startswith(f"{place} "):
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run((python, "-m", "venv", folder), check=True)
    install = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    command = (folder / "bin" / "python", *install, "-e", TOP, "-r", requirements)
    subprocess.run(command, check=True)
    stamp.write_text(wanted, "utf-8")


def main() -> int:
    """Make all that can be made. A version that cannot be had is named; the exit status is 0 all the same."""
    for version in TRIED:
        if version == OWN:
            continue
        python = find(version, os.environ)
        if python is None:
            shutil.rmtree(FOLDER / version, ignore_errors=True)
            print(f"Python {version} was not found: its tests will not run", file=sys.stderr)
            continue
        try:
            make(version, python)
        except subprocess.CalledProcessError as error:
            shutil.rmtree(FOLDER / version, ignore_errors=True)
            print(f"Python {version}: no environment could be made: {error}", file=sys.stderr)
            if version in SUPPORTED:
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
