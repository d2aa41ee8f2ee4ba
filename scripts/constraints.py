"""Exact versions of what the server needs, with the hashes of their files: constraints.txt.

    python -m scripts.constraints          writes it anew, with the newest versions that pyproject.toml allows
    python -m scripts.constraints check    says what does not fit pyproject.toml, with exit status 1

It holds for every Python and platform: markers stand where they differ. No line has an address: an installer
takes files from wherever it is configured to, and compares their hashes.
"""

import hashlib
import json
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

TOP = Path(__file__).resolve().parent.parent
FILE = TOP / "constraints.txt"
HEADER = """\
# Exact versions of what pusher-server and its extra `sql` need, with the hashes of their files.
# They are what the tests ran with. `make constraints` writes this file.
#
#     pip install --require-hashes -r constraints.txt
#     pip install --no-deps pusher_server-*.whl    # or the checkout: .
#
# made for: {digest}
"""


def wanted(project: dict[str, object]) -> list[str]:
    """The requirements of the server and of its extras, as pyproject.toml has them."""
    extras = project["optional-dependencies"]
    assert isinstance(extras, dict)
    own = project["dependencies"]
    assert isinstance(own, list)
    return [*own, *(requirement for extra in extras.values() for requirement in extra)]


def digest(project: dict[str, object]) -> str:
    """Names what constraints are made for: a change of it makes them stale."""
    made_for = [project["requires-python"], sorted(wanted(project))]
    return hashlib.sha256(json.dumps(made_for).encode()).hexdigest()[:16]


def pins(text: str) -> dict[str, tuple[Requirement, int]]:
    """Name -> the pinned requirement and its number of hashes."""
    found: dict[str, tuple[Requirement, int]] = {}
    for entry in text.replace("\\\n", " ").splitlines():
        if entry.strip() and not entry.startswith("#"):
            pinned, *hashes = entry.split("--hash=sha256:")
            requirement = Requirement(pinned.strip())
            found[canonicalize_name(requirement.name)] = requirement, len(hashes)
    return found


def problems(text: str, project: dict[str, object]) -> Iterator[str]:
    """Say what is wrong with the text of constraints, one line each."""
    if "://" in text or "--index" in text or "--find-links" in text:
        yield "constraints.txt names an address or an index"
    if f"# made for: {digest(project)}\n" not in text:
        yield "constraints.txt is not made for the dependencies of pyproject.toml: run `make constraints`"
    entries = pins(text)
    for line in wanted(project):
        requirement = Requirement(line)
        entry = entries.get(canonicalize_name(requirement.name))
        if entry is None:
            yield f"constraints.txt has no {requirement.name}"
        elif not requirement.specifier.contains(version_of(entry[0]), prereleases=True):
            yield f"constraints.txt has {entry[0]}, and pyproject.toml wants {requirement}"
    for requirement, hashes in entries.values():
        if hashes == 0:
            yield f"constraints.txt has no hash of {requirement.name}"


def installed_here(text: str) -> set[str]:
    """`name==version` of each pinned package that this Python on this platform needs."""
    return {
        f"{name}=={version_of(requirement)}"
        for name, (requirement, _) in pins(text).items()
        if requirement.marker is None or requirement.marker.evaluate()
    }


def version_of(pinned: Requirement) -> Version:
    """The one version that a pinned requirement allows. Raises ValueError when it pins none."""
    (specifier,) = pinned.specifier
    if specifier.operator != "==":
        raise ValueError(f"{pinned} pins no version")
    return Version(specifier.version)


def project() -> dict[str, object]:
    """The table `[project]` of pyproject.toml."""
    table: dict[str, object] = tomllib.loads((TOP / "pyproject.toml").read_text("utf-8"))["project"]
    return table


def resolve(project: dict[str, object]) -> str:
    """Resolve anew, for every platform and every Python that the server runs on."""
    lowest = str(project["requires-python"]).removeprefix(">=")
    command = (
        "uv", "pip", "compile", "pyproject.toml", "--quiet", "--universal", "--all-extras",
        "--python-version", lowest, "--generate-hashes", "--no-header", "--no-annotate",
        "--no-emit-index-url", "--no-emit-find-links",
    )  # fmt: skip
    tool = str(Path(sys.executable).parent / command[0])
    done = subprocess.run((tool, *command[1:]), cwd=TOP, check=True, capture_output=True, text=True)
    return done.stdout


def main(arguments: list[str]) -> int:
    """Write or check; the exit status."""
    table = project()
    if arguments != ["check"]:
        FILE.write_text(HEADER.format(digest=digest(table)) + resolve(table), "utf-8")
    wrong = list(problems(FILE.read_text("utf-8"), table))
    for problem in wrong:
        print(problem, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
