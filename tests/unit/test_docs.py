"""What is documented is what there is: settings, command line, routes, codes."""

import configparser
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import click
import msgspec
import pytest
from click.testing import CliRunner
from msgspec import Struct
from msgspec.structs import asdict

import pusher_server
from pusher_server.app import STRICT_LIMITS, App, AppLimits, EventType
from pusher_server.apps.database.schemas import layout
from pusher_server.cli import banner
from pusher_server.cli.apps import apps
from pusher_server.cli.main import main
from pusher_server.cli.webhooks import webhooks
from pusher_server.config import (
    DatabaseSettings,
    ServerSettings,
    WebsocketSettings,
    example_text,
    load,
)
from pusher_server.config.apps import OWN_SETTINGS
from pusher_server.config.settings import SECTIONS
from pusher_server.http_api.routes import ENDPOINTS, OPERATIONS
from pusher_server.protocol.errors import Code

TOP = Path(__file__).resolve().parents[2]
DOCS = TOP / "docs"

#: Folders that tools make.
FOREIGN = {".venv", "node_modules", ".pytest_cache", ".git", "build", "dist", "site"}
PAGES = sorted(path for path in TOP.rglob("*.md") if not FOREIGN & set(path.relative_to(TOP).parts))

Settings = dict[str, object]


def read(name: str) -> str:
    """A page, by its path from the top."""
    return (TOP / name).read_text("utf-8")


def page_name(path: Path) -> str:
    """How a page is called in test ids."""
    return path.relative_to(TOP).as_posix()


def defaults_in(struct: type[Struct], path: str) -> Iterator[tuple[str, object]]:
    """Dotted path and default of every setting of a table, as TOML has it."""
    for field in msgspec.structs.fields(struct):
        made = field.default_factory is not msgspec.NODEFAULT
        default = field.default_factory() if made else field.default
        if isinstance(default, Struct):
            yield from defaults_in(type(default), f"{path}.{field.name}")
        else:
            yield f"{path}.{field.name}", list(default) if isinstance(default, tuple) else default


def defaults_in_code() -> Settings:
    """Every setting but those that only an app itself can have."""
    tables = {**SECTIONS, "defaults": App}
    own = {f"defaults.{name}" for name in OWN_SETTINGS}
    return {
        path: default
        for name, struct in tables.items()
        for path, default in defaults_in(struct, name)
        if path not in own
    }


def flat(table: dict[str, object], path: str = "") -> Iterator[tuple[str, object]]:
    """The settings of a TOML document, as dotted paths."""
    for name, value in table.items():
        if isinstance(value, dict) and value:
            yield from flat(value, f"{path}{name}.")
        else:
            yield f"{path}{name}", value


def test_the_example_has_every_setting_with_its_default() -> None:
    """Also those that are commented out because Strict changes them."""
    text = example_text().partition("\n[[apps]]")[0]
    written_out = re.sub(r"^# (\w+ = \S+)$", r"\1", text, flags=re.M)
    assert dict(flat(tomllib.loads(written_out))) == defaults_in_code()


def documented_settings() -> dict[str, str]:
    """The first two columns of every table of settings."""
    rows = re.findall(
        r"^\| `([a-z_.]+\.[a-z_]+)` \| ([^|]+) \|", read("docs/configuration.md"), re.M
    )
    assert len(rows) == len(dict(rows)), "a setting stands in two rows"
    return dict(rows)


def test_the_page_has_every_setting_with_its_default() -> None:
    """docs/configuration.md against the structs, both ways."""
    documented = {
        path: tomllib.loads(f"value = {default.strip('`')}")["value"]
        for path, default in documented_settings().items()
        if not path.startswith("apps.")
    }
    assert documented == defaults_in_code()


def test_the_page_has_what_only_an_app_can_say() -> None:
    """Its own settings, and the two ways to write keys."""
    documented = {path for path in documented_settings() if path.startswith("apps.")}
    assert documented == {f"apps.{name}" for name in (*OWN_SETTINGS, "key", "secret")}


def help_text() -> str:
    """What the program says about itself, at 100 columns."""
    texts = []
    for command in ([], *([name] for name in main.commands)):
        run = CliRunner().invoke(
            main, [*command, "--help"], prog_name="pusher-server", terminal_width=100
        )
        assert run.exit_code == 0
        texts.append(f"$ {' '.join(['pusher-server', *command, '--help'])}\n{run.output}")
    return "\n".join(texts)


def test_the_command_line_is_documented() -> None:
    """The text between the marks is what `--help` prints, however it breaks its lines."""
    found = re.search(
        r"<!-- help: -->\n```text\n(.*?)```\n<!-- end of help -->",
        read("docs/configuration.md"),
        re.S,
    )
    assert found is not None
    assert found[1].split() == help_text().split()


@pytest.mark.parametrize("group", [apps, webhooks], ids=["apps", "webhooks"])
def test_the_commands_of_a_group_are_documented(group: click.Group) -> None:
    """On the page of the same name, as above."""
    texts = []
    for name in group.commands:
        run = CliRunner().invoke(
            main, [str(group.name), name, "--help"], prog_name="pusher-server", terminal_width=100
        )
        texts.append(f"$ pusher-server {group.name} {name} --help\n{run.output}")
    page = read(f"docs/{group.name}.md")
    found = re.search(r"<!-- help: -->\n```text\n(.*?)```\n<!-- end of help -->", page, re.S)
    assert found is not None
    assert found[1].split() == "\n".join(texts).split()


def test_the_columns_of_every_preset_are_documented() -> None:
    """The table of docs/apps.md against the presets, both ways."""
    rows = re.findall(
        r"^\| `([\w.]+)` \| ([^|]*) \| ([^|]*) \| ([^|]*) \|$", read("docs/apps.md"), re.M
    )
    for column, preset in enumerate(("own", "soketi", "laravel-websockets"), 1):
        documented = {row[0]: row[column].strip("` ") for row in rows if row[column].strip()}
        known = layout(DatabaseSettings(url="sqlite:///x", preset=preset))  # type: ignore[arg-type]
        assert documented == {name: each.name for name, each in known.columns.items()}


def test_every_route_has_a_heading() -> None:
    """docs/http-api.md against the routing table, both ways."""
    routes = [f"{method} {path}" for method, path, _, _ in ENDPOINTS]
    routes += [f"GET {path}" for path, _ in OPERATIONS]
    headings = re.findall(r"^### `(.+)`$", read("docs/http-api.md"), re.M)
    assert sorted(headings) == sorted(routes)


def test_every_code_is_explained() -> None:
    """docs/protocol/connection.md against `Code`, both ways."""
    rows = re.findall(r"^\| (4\d{3}) \| `([A-Z_]+)` \|", read("docs/protocol/connection.md"), re.M)
    assert {int(number): name for number, name in rows} == {code.value: code.name for code in Code}


def test_every_event_of_webhooks_is_documented() -> None:
    """The table of docs/webhooks.md against `EventType`, both ways."""
    section = read("docs/webhooks.md").partition("\n## Events")[2].partition("\n### ")[0]
    header, *documented = re.findall(r"^\| `(\w+)` \|", section, re.M)
    assert header == "name"
    assert sorted(documented) == sorted(get_args(EventType))


def test_every_limit_of_an_app_stands_beside_those_of_others() -> None:
    """The first table of docs/protocol/limits.md against the struct, both ways."""
    section = read("docs/protocol/limits.md").partition("Times and further limits")[0]
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \|", section, re.M)
    assert {name: int(default) for name, default in rows} == asdict(AppLimits())


def test_the_limits_of_strict_are_told() -> None:
    """Default and Strict value of each, in the table of what Strict changes."""
    section = read("docs/protocol/limits.md").partition("## What Strict changes")[2]
    rows = re.findall(r"^\| [^|]+ \| (no limit|\d+)[^|]* \| (\d+)[^|]* \|$", section, re.M)
    told = {(0 if default == "no limit" else int(default), int(strict)) for default, strict in rows}
    assert told == {(getattr(AppLimits(), name), strict) for name, strict in STRICT_LIMITS.items()}


def test_the_versions_of_the_clients_are_those_installed() -> None:
    """The table of clients against tests/js/package.json and tests/java/pom.xml."""
    installed = json.loads(read("tests/js/package.json"))["dependencies"]
    artifact = r"<artifactId>([\w-]+)</artifactId>\s*<version>([^<]+)</version>"
    installed.update(re.findall(artifact, read("tests/java/pom.xml")))
    page = read("docs/protocol/clients.md")
    for row, package in (
        ("pusher-js", "pusher-js"),
        ("laravel-echo", "laravel-echo"),
        ("npm `pusher`", "pusher"),
        ("pusher-java-client", "pusher-java-client"),
        ("pusher-http-java", "pusher-http-java"),
    ):
        found = re.search(rf"^\| {re.escape(row)}[^|]*\| ([\d.]+) \| run", page, re.M)
        assert found is not None, row
        assert found[1] == installed[package]


def test_the_changelog_begins_with_this_version() -> None:
    """Its newest release is the package's version."""
    versions = re.findall(r"^## \[(\d[^\]]*)\]", read("CHANGELOG.md"), re.M)
    assert versions[0] == pusher_server.__version__


def fences(language: str) -> list[tuple[str, str]]:
    """The code blocks in one language: page and text."""
    return [
        (page_name(path), block)
        for path in PAGES
        for block in re.findall(
            rf"^```{language}\n(.*?)^```$", path.read_text("utf-8"), re.M | re.S
        )
    ]


@pytest.mark.parametrize(("page", "block"), fences("toml"), ids=lambda text: text.splitlines()[0])
def test_toml_in_the_docs_is_a_configuration(page: str, block: str, tmp_path: Path) -> None:
    """It loads, with an app added where it has none and names no database."""
    app = '\n[[apps]]\nid = "1"\nkey = "k"\nsecret = "s"\n'
    file = tmp_path / "docs.toml"
    complete = "[[apps]]" in block or "[database]" in block
    file.write_text(block if complete else block + app, "utf-8")
    config = load(file, {}, {})
    assert config.apps or config.database.url


def test_the_readme_has_the_lines_that_the_server_prints() -> None:
    """Its `.env` is the banner's, with the embedded app."""
    (block,) = [block for page, block in fences("ini") if page == "README.md"]
    shown = configparser.ConfigParser()
    shown.read_string("[env]\n" + block)
    printed = configparser.ConfigParser()
    app = tomllib.loads(example_text())["apps"][0]
    text = banner.LARAVEL.format(
        app_id=app["id"],
        key=app["key"],
        secret=app["secret"],
        host=ServerSettings().host,
        port=ServerSettings().port,
        scheme="http",
    )
    lines = [line.strip() for line in text.splitlines() if re.match(r"\s+[A-Z_]+=", line)]
    printed.read_string("\n".join(["[env]", *lines]))
    assert dict(shown["env"]) == dict(printed["env"])


def test_the_readme_begins_with_what_is_needed() -> None:
    """The Debian packages stand before the first command, which is `make run`; `make test` is named, too."""
    before, _, behind = read("README.md").partition("```sh\n")
    assert "apt-get install make python3-venv" in before
    assert behind.startswith("make run")
    assert "make test" in behind


def test_the_readme_links_every_page_of_a_peer_and_every_way_to_install() -> None:
    """A page that nobody finds from the first one is not there."""
    links = set(re.findall(r"\]\((docs/[\w/-]+\.md)", read("README.md")))
    peers = {page_name(path) for path in (DOCS / "migration").glob("*.md")}
    assert links >= peers | {"docs/package.md", "docs/containers.md", "docs/deployment.md"}


def test_the_readme_stays_short() -> None:
    """A page for the impatient: some two minutes of prose. What is longer has a page of its own."""
    prose = re.sub(r"```.*?```", "", read("README.md").partition("\n## More")[0], flags=re.S)
    words = re.findall(r"\w[\w'.,]*", re.sub(r"\]\([^)]*\)", "]", prose))
    assert len(words) < 560


def test_the_proxy_waits_longer_than_a_quiet_client() -> None:
    """nginx must not cut a connection before our ping has been answered."""
    found = re.findall(r"proxy_read_timeout (\d+)s;", read("docs/deploy/nginx.conf"))
    quiet = App.__struct_defaults__[
        App.__struct_fields__.index("activity_timeout") - len(App.__struct_fields__)
    ]
    assert found
    assert all(int(seconds) > quiet + WebsocketSettings().pong_timeout for seconds in found)


@pytest.mark.parametrize("path", PAGES, ids=page_name)
def test_pages_name_targets_of_make_that_exist(path: Path) -> None:
    """`make x` in a page is a target of the Makefile."""
    targets = set(re.findall(r"^([a-z-]+):", read("Makefile"), re.M))
    named = set(re.findall(r"(?:^|`)make ([a-z-]+)\b", path.read_text("utf-8"), re.M))
    assert named <= targets


#: Ten things that somebody may want to add, and the files that a right answer must name.
ANSWERS = {
    "a webhook event": {"app.py", "signals.py", "webhooks/events.py", "docs/webhooks.md"},
    "a metric": {
        "metrics/catalogue.py",
        "metrics/counting.py",
        "docs/metrics.md",
        "ops/grafana-dashboard.json",
    },
    "a transport": {
        ".importlinter",
        "hub/connection.py",
        "clients/dispatch.py",
        "clients/session.py",
        "server/composition.py",
        "server/uvicorn_config.py",
        "server/http_protocol.py",
    },
    "an operator's page": {
        "metrics/operations.py",
        "metrics/reading.py",
        "metrics/collector.py",
        "docs/metrics.md",
        ".importlinter",
    },
    "a client event like `cache_miss`": {"protocol/events.py", "node/subscriptions.py"},
    "an API route with history": {
        "http_api/channels.py",
        "http_api/routes.py",
        "docs/http-api.md",
        "interfaces.py",
        "cluster/broker.py",
        "cluster/local.py",
        "cluster/commands.py",
        "cluster/memory/store.py",
        "cluster/redis/encoding.py",
    },
    "a setting": {"config/settings.py", "config.example.toml", "docs/configuration.md"},
    "an app store": {
        "interfaces.py",
        "server/composition.py",
        "tests/contract/test_app_provider.py",
    },
    "a limit": {"app.py", "config.example.toml", "docs/configuration.md", "docs/apps.md"},
    "a webhook delivery rule": {
        "webhooks/delivery/target_queue.py",
        "tests/unit/webhooks/delivery/test_target_queue.py",
    },
}
#: A file as the table names it: by its path from the top, or from the package.
FILE = re.compile(r"`((?:[\w-]+/)*(?:[\w.-]+\.[a-z]+|\.importlinter))`")


def where_to_add() -> dict[str, tuple[str, list[str]]]:
    """Rows of "Where would I add…": what, to where it goes, and the words of its example."""
    section = read("ARCHITECTURE.md").partition("## Where would I add…")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (an? .+?|something .+?) \| (.+) \| (.+) \|$", section, re.M)
    rows += re.findall(r"^\| (another .+?) \| (.+) \| (.+) \|$", section, re.M)
    assert len(rows) == len(re.findall(r"^\| (?!…|-)", section, re.M)), "a row is not understood"
    return {what: (where, re.findall(r"`([^`]+)`", example)) for what, where, example in rows}


def file_at(name: str) -> Path:
    """The file that a row means."""
    return TOP / name if (TOP / name).exists() else TOP / "pusher_server" / name


@pytest.mark.parametrize("what", ANSWERS)
def test_the_page_says_where_a_feature_goes(what: str) -> None:
    """Ten questions, answered by ARCHITECTURE.md alone."""
    assert set(FILE.findall(where_to_add()[what][0])) >= ANSWERS[what]


@pytest.mark.parametrize("what", where_to_add())
def test_where_a_feature_goes_there_is_one_like_it(what: str) -> None:
    """Each file of a row exists, and contains a word of the row's example."""
    where, words = where_to_add()[what]
    names = FILE.findall(where)
    assert names
    assert words
    missing = [
        name
        for name in names
        if not file_at(name).is_file()
        or not any(word.lower() in file_at(name).read_text("utf-8").lower() for word in words)
    ]
    assert missing == []


def sentences_of(page: str) -> list[str]:
    """The sentences of a page: in paragraphs, items and cells, without code blocks and the targets of links."""
    prose = re.sub(r"```.*?```", "", page, flags=re.S)
    prose = re.sub(r"\]\([^)]*\)", "]", prose)
    parts = re.split(r"\n\n|\n(?=- |\d+\. |\|)|\|", re.sub(r"^#.*$", "", prose, flags=re.M))
    return [
        sentence
        for part in parts
        for sentence in re.split(
            r"(?<=[.?!]) ", re.sub(r"^- \*\*\w+:\*\* ", "", " ".join(part.split()))
        )
    ]


@pytest.mark.parametrize("name", ["ARCHITECTURE.md", "CONTRIBUTING.md", "docs/decisions.md"])
def test_sentences_are_short(name: str) -> None:
    """Under 25 words: for engineers whose first language is another one."""
    sentences = sentences_of(read(name))
    assert len(sentences) > 50
    assert [sentence for sentence in sentences if len(sentence.split()) >= 25] == []
