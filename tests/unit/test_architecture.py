"""The house rules that no other tool checks; ARCHITECTURE.md and the packages' tours against the package."""

import ast
import configparser
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
PACKAGE = TOP / "pusher_server"
MODULES = sorted(PACKAGE.rglob("*.py"))

FILE_LINES = 400
FUNCTION_LINES = 60

#: Names that say nothing about what is inside.
SHAPELESS = {"utils", "util", "helpers", "common", "manager", "handler", "service", "base", "misc"}

#: Time, randomness and the network come into these as arguments.
CORE = (
    "app.py",
    "backoff.py",
    "diagnosis",
    "histogram.py",
    "log_rate_limit.py",
    "nesting.py",
    "outage.py",
    "signals.py",
    "token_bucket.py",
    "turns.py",
    "protocol",
    "auth",
    "hub",
)
OUTSIDE = {"asyncio", "time", "random", "secrets", "socket", "ssl", "logging", "threading", "os"}


def name_of(path: Path) -> str:
    """A module as ARCHITECTURE.md writes it: `hub/channel.py`."""
    return path.relative_to(PACKAGE).as_posix()


every_module = pytest.mark.parametrize("path", MODULES, ids=name_of)

#: Folders of modules: the whole package first, then the packages inside.
FOLDERS = sorted(path.parent for path in MODULES if path.name == "__init__.py")
every_package = pytest.mark.parametrize("folder", FOLDERS, ids=name_of)
every_room = pytest.mark.parametrize("folder", FOLDERS[1:], ids=name_of)


def imported(tree: ast.Module) -> Iterator[str]:
    """The top-level packages that a module imports, wherever in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module.partition(".")[0]


@every_module
def test_a_file_is_short(path: Path) -> None:
    """400 lines at most: a longer one has two subjects."""
    assert len(path.read_text("utf-8").splitlines()) <= FILE_LINES


@every_module
def test_functions_are_short(path: Path) -> None:
    """60 lines at most, docstring and signature included."""
    functions = [
        node
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    ]
    lengths = {node.name: (node.end_lineno or 0) - node.lineno + 1 for node in functions}
    assert {name: lines for name, lines in lengths.items() if lines > FUNCTION_LINES} == {}


@every_module
def test_a_module_says_what_it_is_for(path: Path) -> None:
    """In its docstring."""
    assert ast.get_docstring(ast.parse(path.read_text("utf-8")))


@every_module
def test_a_name_is_a_noun_with_a_subject(path: Path) -> None:
    """Neither a module nor a folder has a name that fits everything."""
    words = {
        word for part in path.relative_to(PACKAGE).with_suffix("").parts for word in part.split("_")
    }
    assert not words & SHAPELESS


@pytest.mark.parametrize(
    "path", [path for path in MODULES if name_of(path).split("/")[0] in CORE], ids=name_of
)
def test_the_core_does_no_io_and_keeps_no_clock(path: Path) -> None:
    """Also inside functions and behind TYPE_CHECKING."""
    assert not OUTSIDE & set(imported(ast.parse(path.read_text("utf-8"))))


def test_the_core_is_all_there() -> None:
    """A renamed room must not fall out of the rule above."""
    assert {name_of(path).split("/")[0] for path in MODULES} >= set(CORE)


def tour_of(folder: Path) -> str:
    """The docstring of a package."""
    return ast.get_docstring(ast.parse((folder / "__init__.py").read_text("utf-8"))) or ""


def sights_of(tour: str) -> list[str]:
    """The names of the bullets, in their order: one module or package in each."""
    return re.findall(r"^- `(\w+)` +\S", tour, re.M)


def inside(folder: Path) -> set[str]:
    """The modules and packages of a package, without its `__init__`."""
    modules = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    return modules | {path.parent.name for path in folder.glob("*/__init__.py")}


@every_package
def test_a_tour_names_every_module_and_no_other(folder: Path) -> None:
    """Once each; the package above names the packages inside."""
    sights = sights_of(tour_of(folder))
    assert sorted(sights) == sorted(inside(folder))


@every_package
def test_a_tour_is_read_in_one_breath_per_line(folder: Path) -> None:
    """A module has one line, and no sentence has 25 words or more."""
    tour = tour_of(folder)
    bullets = [line for line in tour.splitlines() if line.startswith("- ")]
    assert len(bullets) == len(sights_of(tour))
    prose = [" ".join(part.split()) for part in re.split(r"\n\n|^- .*$", tour, flags=re.M)]
    sentences = [
        sentence
        for part in [*prose, *bullets]
        for sentence in re.split(r"(?<=[.:;]) ", part)
        if not part.startswith("May import:")
    ]
    assert [sentence for sentence in sentences if len(sentence.split()) >= 25] == []


def floors() -> list[set[str]]:
    """The layers of `.importlinter`, the highest first."""
    contracts = configparser.ConfigParser()
    contracts.read(TOP / ".importlinter", "utf-8")
    lines = contracts["importlinter:contract:layers"]["layers"].split("\n")
    return [set(re.findall(r"\w+", line)) for line in lines if line.strip()]


def below(room: str) -> set[str]:
    """What the contracts let a package or module import."""
    layers = floors()
    (own,) = [number for number, floor in enumerate(layers) if room in floor]
    allowed = {name for floor in layers[own + 1 :] for name in floor}
    contracts = configparser.ConfigParser()
    contracts.read(TOP / ".importlinter", "utf-8")
    adapters = contracts["importlinter:contract:adapters"]
    if f"pusher_server.{room}" in adapters["source_modules"].split():
        allowed -= {name.rpartition(".")[2] for name in adapters["forbidden_modules"].split()}
    return allowed


def rooms_imported(path: Path) -> Iterator[str]:
    """The packages and modules of ours, on their highest level, that a module imports."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module == "pusher_server":
            modules = [f"pusher_server.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules = [node.module or ""]
        else:
            continue
        yield from (name.split(".")[1] for name in modules if name.startswith("pusher_server."))


@every_room
def test_a_tour_says_what_the_package_may_import(folder: Path) -> None:
    """All that it does import, and nothing that the layers forbid."""
    found = re.search(r"^May import: (.+)\.$", tour_of(folder), re.M | re.S)
    assert found is not None
    top = folder.relative_to(PACKAGE).parts[0]
    named = set(re.findall(r"`(\w+)`", found[1]))
    if found[1].startswith("every other package"):
        excepted = set(re.findall(r"but `(\w+)`", found[1]))
        named = {name for floor in floors() for name in floor} - excepted - {top}
    imports = {
        name
        for path in folder.glob("*.py")
        for name in rooms_imported(path)
        if name != "__version__"
    }
    assert imports - {top} <= named <= below(top)


def test_the_page_names_files_that_exist() -> None:
    """The journeys of ARCHITECTURE.md; modules as in the package, tests from the top."""
    page = (TOP / "ARCHITECTURE.md").read_text("utf-8")
    named = set(re.findall(r"`((?:[a-z_]+/)*[a-z_]+\.py)`", page))
    tests = {name for name in named if name.startswith("tests/")}
    assert named - tests
    assert named - tests - {name_of(path) for path in MODULES} == set()
    assert [name for name in tests if not (TOP / name).is_file()] == []


def test_the_page_names_every_package() -> None:
    """In the picture of the layers, as `.importlinter` has them."""
    page = (TOP / "ARCHITECTURE.md").read_text("utf-8")
    picture = page.partition("## The picture")[2].partition("```")[2].partition("```")[0]
    assert inside(PACKAGE) - {"__main__"} <= set(re.findall(r"\w+", picture))


def test_the_page_names_things_that_exist() -> None:
    """`Class.method` and `Class` in the journeys are found in the code."""
    page = (TOP / "ARCHITECTURE.md").read_text("utf-8")
    defined: dict[str, set[str]] = {}
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef):
                defined.setdefault(node.name, set()).update(_members(node))
    missing = [
        f"{owner}.{member}"
        for owner, member in re.findall(r"`([A-Z][A-Za-z]+)\.([a-z_]\w*)", page)
        if member not in defined.get(owner, set())
    ]
    assert missing == []


def _members(owner: ast.ClassDef) -> set[str]:
    """Methods, annotated fields, and attributes that methods set on `self`."""
    found: set[str] = set()
    for node in ast.walk(owner):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            found.add(node.name)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found.add(node.target.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            found.add(node.attr)
    return found


def test_contributing_lists_the_tiers() -> None:
    """Every directory of tests that `make test` or `make test-full` runs is explained, and no other."""
    runner = ast.parse((TOP / "scripts" / "run_checks.py").read_text("utf-8"))
    tiers = {
        ast.unparse(node.targets[0]): ast.literal_eval(node.value)
        for node in runner.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in ("TIERS", "FULL_TIERS")
    }
    page = (TOP / "CONTRIBUTING.md").read_text("utf-8")
    explained = re.findall(r"^\| `tests/(\w+)` \|", page, re.M)
    assert explained == [*tiers["TIERS"], *tiers["FULL_TIERS"]]


def test_contributing_names_tests_that_exist() -> None:
    """Its examples of where a test belongs."""
    page = (TOP / "CONTRIBUTING.md").read_text("utf-8")
    named = re.findall(r"`((?:tests|pusher_server)/[\w/]+(?:\.py)?)`", page)
    assert named
    assert [name for name in named if not (TOP / name).exists()] == []


def test_what_tests_share_has_a_tour_and_imports_no_tier() -> None:
    """`tests/support`: a tier may change without it."""
    folder = TOP / "tests" / "support"
    tour = set(re.findall(r"`(\w+)`", (folder / "__init__.py").read_text("utf-8")))
    assert {path.stem for path in folder.glob("*.py")} - {"__init__"} == tour
    imported = {
        name
        for path in folder.glob("*.py")
        for name in re.findall(r"^\s*(?:from|import) (tests\b\S*)", path.read_text("utf-8"), re.M)
    }
    assert {name for name in imported if not name.startswith("tests.support")} == set()


def test_units_have_the_folders_of_the_package() -> None:
    """And those of our tools, which CONTRIBUTING.md names."""
    page = (TOP / "CONTRIBUTING.md").read_text("utf-8")
    tools = set(re.findall(r"`tests/unit/(\w+)`", page))
    folders = {path.parent.name for path in (TOP / "tests" / "unit").glob("*/__init__.py")}
    assert folders - tools <= {folder.name for folder in FOLDERS[1:]}
    assert tools <= folders


@pytest.mark.parametrize(
    "interface", ["broker", "roster", "census", "app_provider", "rate_limiter", "store", "outbox"]
)
def test_an_interface_has_a_suite(interface: str) -> None:
    """For every implementation of it, as CONTRIBUTING.md says."""
    suite = TOP / "tests" / "contract" / f"test_{interface}.py"
    assert re.search(r"^(async )?def test_", suite.read_text("utf-8"), re.M)
