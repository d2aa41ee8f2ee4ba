"""Reads a Laravel project as text: `.env`, configuration, rules of channels, pages. Executes nothing.

The rules of `.env` and of PHP's arrays are those of `pusher-server import`.
"""

import re
from pathlib import Path

from msgspec import Struct, field

from pusher_server.config import json_text
from pusher_server.doctor.results import Result, fault
from pusher_server.errors import ConfigError
from pusher_server.migration.dotenv import parse
from pusher_server.migration.files import LARGEST, read_text
from pusher_server.migration.php import read_php
from pusher_server.migration.php_tokens import Token, tokens

#: Files of the page that are read at most, below `resources/`.
_MOST_PAGES = 200
_PAGE_SUFFIXES = (".js", ".ts", ".jsx", ".tsx", ".vue", ".mjs")
_ENV_OF_PAGE = re.compile(r"(?:import\.meta\.env|process\.env)\.((?:VITE|MIX)_\w+)")
#: A variable with another value for when it is missing. The one of Laravel's own files is hosted Pusher.
_DEFAULTED = re.compile(_ENV_OF_PAGE.pattern + r"\s*(?:\?\?|\|\||\?)")
#: Options that stand where they are used, none of them taken from elsewhere by `...`.
_WRITTEN_OUT = re.compile(r"\bnew\s+(?:Echo\s*\(|Pusher\s*\([^,{}]+,)\s*\{(?![^}]*\.\.\.)")
_ECHO = re.compile(r"\bnew\s+(?:Echo|Pusher)\s*\(|\bconfigureEcho\s*\(")


class Page(Struct, frozen=True):
    """A script of the page that makes an Echo. `variables` are those of `.env` that it reads.

    `defaulted` are those of them that have a default of the page's own. `lacks_host`: its options stand there,
    and none of them is the host.
    """

    name: str
    variables: tuple[str, ...]
    defaulted: frozenset[str]
    lacks_host: bool


class Project(Struct):
    """A Laravel project. A part that is None is not there; `problems` are files that cannot be read."""

    root: Path
    env: dict[str, str] | None = None
    broadcasting: dict[str, object] | None = None
    queue: dict[str, object] | None = None
    #: Of routes/channels.php.
    channels: list[Token] | None = None
    channels_text: str = ""
    #: Names in bootstrap/app.php, bootstrap/providers.php and config/app.php.
    bootstrap: set[str] | None = None
    php_packages: set[str] | None = None
    page_packages: set[str] | None = None
    pages: list[Page] = field(default_factory=list)
    problems: list[Result] = field(default_factory=list)

    def __repr__(self) -> str:
        return f"Project({str(self.root)!r})"

    def lookup(self, name: str) -> str | None:
        """Return a variable's value, None without one."""
        return (self.env or {}).get(name)

    def is_older(self, path: str, than: str) -> bool:
        """Whether a file is there, and was written before another one that is there."""
        try:
            return (self.root / path).stat().st_mtime < (self.root / than).stat().st_mtime
        except OSError:
            return False


def read_project(root: Path) -> Project:
    """Return the project in a directory. Raises ConfigError when none is there."""
    if root.name == ".env" and root.is_file():
        root = root.parent
    places = (".env", "artisan", "config/broadcasting.php", "composer.json")
    if not any((root / place).is_file() for place in places):
        raise ConfigError(
            "--laravel", f"{str(root)[:80]!r} has no Laravel project: no .env, no artisan"
        )
    project = Project(root)
    text = _text(project, ".env")
    if text is not None:
        try:
            project.env = parse(text, ".env", expand=True)
        except ConfigError as error:
            _unreadable(project, error)
    project.broadcasting = _php(project, "config/broadcasting.php")
    project.queue = _php(project, "config/queue.php")
    _read_channels(project)
    _read_bootstrap(project)
    project.php_packages = _packages(project, "composer.json", ("require",))
    project.page_packages = _packages(project, "package.json", ("dependencies", "devDependencies"))
    _read_pages(project)
    return project


def _unreadable(project: Project, error: ConfigError) -> None:
    """Keep the file and the line that cannot be read; the text of such an error has no value."""
    result = fault("project", "file_unreadable", file=error.setting, problem=error.problem)
    project.problems.append(result)


def _text(project: Project, name: str) -> str | None:
    if not (project.root / name).is_file():
        return None
    try:
        return read_text(project.root / name)
    except ConfigError as error:
        _unreadable(project, ConfigError(name, error.problem))
        return None


def _php(project: Project, name: str) -> dict[str, object] | None:
    text = _text(project, name)
    if text is None:
        return None
    try:
        return read_php(text, name, project.lookup, str(project.root))
    except ConfigError as error:
        _unreadable(project, error)
        return None


def _read_channels(project: Project) -> None:
    name = "routes/channels.php"
    text = _text(project, name)
    if text is None:
        return
    project.channels_text = text
    try:
        project.channels = tokens(text, name)
    except ConfigError as error:
        _unreadable(project, error)


def _read_bootstrap(project: Project) -> None:
    """Keep the names of the code, without comments and texts."""
    for name in ("bootstrap/app.php", "bootstrap/providers.php", "config/app.php"):
        text = _text(project, name)
        if text is None:
            continue
        try:
            names = {
                token.text.lstrip("\\") for token in tokens(text, name) if token.kind == "name"
            }
        except ConfigError:
            continue  # the application's own code may have more than settings have
        project.bootstrap = (project.bootstrap or set()) | names
    if project.bootstrap is not None and _calls_routes(project):
        project.bootstrap.add("withBroadcasting")


def _calls_routes(project: Project) -> bool:
    """Whether the project's own code calls `Broadcast::routes()`.

    The provider of Laravel 10 and older does not count: config/app.php has it commented out at first.
    """
    for folder in ("app/Providers", "routes"):
        for path in sorted((project.root / folder).glob("*.php")):
            if path.name == "BroadcastServiceProvider.php":
                continue
            text = _text(project, path.relative_to(project.root).as_posix()) or ""
            if re.search(r"\bBroadcast::routes\s*\(", _without_comments(text)):
                return True
    return False


def _packages(project: Project, name: str, tables: tuple[str, ...]) -> set[str] | None:
    text = _text(project, name)
    if text is None:
        return None
    try:
        tree = json_text.parse_json(text)
    except ValueError as error:
        _unreadable(project, ConfigError(name, str(error)))
        return None
    if not isinstance(tree, dict):
        return None
    listed = [tree.get(table) for table in tables]
    return {package for table in listed if isinstance(table, dict) for package in table}


def _read_pages(project: Project) -> None:
    """Keep the scripts of the page that make an Echo or a Pusher."""
    folder = project.root / "resources"
    names = sorted(path for path in folder.rglob("*") if path.suffix in _PAGE_SUFFIXES)
    for path in names[:_MOST_PAGES]:
        try:
            if path.stat().st_size > LARGEST:
                continue
            text = _without_comments(path.read_text("utf-8", "replace"))
        except OSError:
            continue
        if _ECHO.search(text):
            name = path.relative_to(project.root).as_posix()
            variables = tuple(dict.fromkeys(_ENV_OF_PAGE.findall(text)))
            defaulted = (
                frozenset() if ".pusher.com" in text else frozenset(_DEFAULTED.findall(text))
            )
            lacks_host = _WRITTEN_OUT.search(text) is not None and "wsHost" not in text
            project.pages.append(Page(name, variables, defaulted, lacks_host))


def _without_comments(text: str) -> str:
    """Return a script without comments in lines of their own; `//` in a URL is none."""
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    return re.sub(r"^\s*//.*$", "", text, flags=re.MULTILINE)
