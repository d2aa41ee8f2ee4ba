"""The two C programs, built when their sources have changed."""

import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
BUILD = HERE / ".build"
#: OpenSSL 3 calls HMAC() and SHA1() deprecated; they are the ones that every version has.
FLAGS = ("-O2", "-Wall", "-Wextra", "-Wno-deprecated-declarations", "-Wno-format-truncation")
INSTALL = "apt-get install gcc libc6-dev libssl-dev   (or, as root: scripts/bench-setup compiler)"


class BuildFailed(Exception):
    """A program could not be built; the text says what to install."""


def load_client() -> Path:
    """The load client's executable."""
    return _build("pusherload", HERE / "client")


def floor() -> Path:
    """The C floor's executable."""
    return _build("floor", HERE / "floor")


def _build(name: str, sources: Path) -> Path:
    program = BUILD / name
    inputs = sorted(sources.glob("*.[ch]"))
    if program.exists() and program.stat().st_mtime > max(p.stat().st_mtime for p in inputs):
        return program
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise BuildFailed(f"no C compiler was found: {INSTALL}")
    BUILD.mkdir(exist_ok=True)
    files = [str(path) for path in inputs if path.suffix == ".c"]
    # Under another name first: several who build at once do not run each other's half.
    made = program.with_suffix(".new")
    command = [compiler, *FLAGS, "-o", str(made), *files, "-lcrypto"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        hint = INSTALL if "openssl/" in done.stderr or "lcrypto" in done.stderr else ""
        raise BuildFailed(f"{name} could not be built: {hint}\n{done.stderr[-2000:]}")
    made.replace(program)
    return program
