"""`pusher_server.migration.sources`: which server a path is of."""

from pathlib import Path

import pytest

from pusher_server.errors import ConfigError
from pusher_server.migration.draft import no_answers
from pusher_server.migration.findings import Verdict
from pusher_server.migration.sources import read_source
from tests.unit.migration.imported import app, is_noted, setting

REVERB = """<?php return ['servers' => ['reverb' => ['port' => 7001]], 'apps' => ['apps' => [['app_id' => '1',
    'key' => env('REVERB_APP_KEY'), 'secret' => 's', 'allowed_origins' => ['*'], 'max_message_size' => 1]]]];"""
WEBSOCKETS = """<?php return ['dashboard' => [], 'apps' => [['id' => '1', 'key' => env('PUSHER_APP_KEY'),
    'secret' => 's']]];"""
SOKETI = '{"appManager.array.apps": [{"id": "1", "key": "k", "secret": "s"}]}'
SOCKUDO = '[[app_manager.array.apps]]\nid = "1"\nkey = "k"\nsecret = "s"\n'
OURS = '[[apps]]\nid = "1"\nkey = "k"\nsecret = "s"\n'


def write(folder: Path, **files: str) -> None:
    """Write files; `__` in a name is a folder, and a last `_` a dot."""
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")


def peer(*arguments: str, environ: dict[str, str] | None = None) -> str:
    """The server that was recognised."""
    draft, _ = read_source(arguments[0], arguments[1:], environ or {}, no_answers)
    assert draft.apps or draft.table["database"]
    return draft.peer


def test_a_laravel_project(tmp_path: Path) -> None:
    """By its directory, or its file; the `.env` beside it is read."""
    write(tmp_path, config__reverb_php=REVERB, _env="REVERB_APP_KEY=from-env")
    for path in (tmp_path, tmp_path / "config" / "reverb.php"):
        draft, files = read_source(str(path), [], {}, no_answers)
        assert draft.peer == "reverb"
        assert app(draft)["key"] == "from-env"
        assert [file.name for file in files] == ["reverb.php", ".env"]


def test_variables_of_the_process_win(tmp_path: Path) -> None:
    """As Laravel has it."""
    write(tmp_path, config__reverb_php=REVERB, _env="REVERB_APP_KEY=from-env")
    draft, _ = read_source(
        "reverb", [str(tmp_path)], {"REVERB_APP_KEY": "from-process"}, no_answers
    )
    assert app(draft)["key"] == "from-process"


def test_each_kind_of_file(tmp_path: Path) -> None:
    """Recognised by what is in it."""
    write(tmp_path, a_json=SOKETI, b_toml=SOCKUDO, c_php=WEBSOCKETS, d_php=REVERB)
    write(tmp_path, _env="PUSHER_APP_KEY=k\nREVERB_APP_KEY=k")
    env = str(tmp_path / ".env")
    assert peer(str(tmp_path / "a.json")) == "soketi"
    assert peer(str(tmp_path / "b.toml")) == "sockudo"
    assert peer(str(tmp_path / "c.php"), env) == "laravel-websockets"
    assert peer(str(tmp_path / "d.php"), env) == "reverb"


def test_a_dotenv_alone(tmp_path: Path) -> None:
    """By its variables; credentials that could be anybody's need a name."""
    write(tmp_path, a_env="SOKETI_DEFAULT_APP_KEY=k")
    write(tmp_path, b_env="REVERB_APP_ID=1\nREVERB_APP_KEY=k\nREVERB_APP_SECRET=s")
    pusher = "PUSHER_APP_ID=1\nPUSHER_APP_KEY=k\nPUSHER_APP_SECRET=s\n"
    write(tmp_path, c_env=pusher, d_env=f"{pusher}PUSHER_HOST=127.0.0.1\n")
    assert peer(str(tmp_path / "a.env")) == "soketi"
    assert peer(str(tmp_path / "b.env")) == "reverb"
    assert peer(str(tmp_path / "c.env")) == "pusher"
    assert peer("laravel-websockets", str(tmp_path / "d.env")) == "laravel-websockets"
    with pytest.raises(ConfigError, match="name one of laravel-websockets"):
        peer(str(tmp_path / "d.env"))


def test_variables_of_the_process_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a server is named, in an empty directory."""
    monkeypatch.chdir(tmp_path)
    assert peer("soketi", environ={"SOKETI_PORT": "7001"}) == "soketi"
    with pytest.raises(
        ConfigError, match=r"^soketi: there is no soketi\.json or config\.json or \.env"
    ):
        peer("soketi")


def test_a_soketi_file_with_little_in_it(tmp_path: Path) -> None:
    """Is soketi's when it is said to be, and only then."""
    write(tmp_path, a_json='{"debug": true, "port": 7001}')
    assert peer("soketi", str(tmp_path / "a.json")) == "soketi"
    with pytest.raises(ConfigError, match="is no configuration of any of"):
        peer(str(tmp_path / "a.json"))


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("reverb", "w.php"), "w.php: is a file of laravel-websockets, not of reverb"),
        (("laravel-websockets", "r.php"), "r.php: is a file of reverb, not of laravel-websockets"),
        (("soketi", "k.toml"), "k.toml: is a file of sockudo, not of soketi"),
        (("sockudo", "s.json"), "s.json: is a file of soketi, not of sockudo"),
        (("sockudo", "ours.toml"), "ours.toml: is a configuration of this server already"),
        (("soketi", "package.json"), "package.json: is no configuration of soketi"),
        (("reverb", "s.json"), "s.json: is a file of soketi, not of reverb"),
        (("x.yaml",), "x.yaml: is none of .php, .json, .toml and .env"),
        (("s.json", "k.toml"), "k.toml: is a second file of settings beside s.json"),
        (("unheardof",), "unheardof: is none of laravel-websockets, soketi, reverb"),
        (("reverb", "nowhere.php"), "nowhere.php: no such file"),
        (("both",), "both: has both/config/websockets.php and both/config/reverb.php"),
        (("mysql://u@h/d",), "SOURCE: name the server and one database"),
        (("reverb", "mysql://u@h/d"), "reverb: has no table of apps"),
        (("pusher", "s.json"), "s.json: is a file of soketi, not of pusher"),
    ],
)
def test_another_tools_file_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], problem: str
) -> None:
    """That names the file, what it is, and what to do."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path, w_php=WEBSOCKETS, r_php=REVERB, s_json=SOKETI, k_toml=SOCKUDO, ours_toml=OURS)
    write(tmp_path, package_json='{"name": "x", "dependencies": {}}', x_yaml="a: 1")
    (tmp_path / "both").mkdir()
    write(tmp_path / "both", config__reverb_php=REVERB, config__websockets_php=WEBSOCKETS)
    with pytest.raises(ConfigError) as refused:
        peer(*arguments)
    assert str(refused.value).startswith(problem)


def test_published_credentials_stay_on_this_machine(tmp_path: Path) -> None:
    """soketi's and sockudo's examples have the secret of ours, with which the server starts here only."""
    write(tmp_path, a_json=SOKETI.replace('"s"', '"app-secret"'))
    draft, _ = read_source("soketi", [str(tmp_path / "a.json")], {}, no_answers)
    assert setting(draft, "server.host") == "127.0.0.1"
    assert is_noted(draft, Verdict.CHANGED, "(host)")
    assert not [finding for finding in draft.findings if "0.0.0.0" in finding.result]


def test_a_table_by_its_url() -> None:
    """With the preset of its server."""
    for server in ("soketi", "sockudo", "laravel-websockets"):
        draft, _ = read_source(server, ["postgresql://u:p@h/d"], {}, no_answers)
        assert draft.table["database"]["url"] == "postgresql://u:p@h/d"  # type: ignore[index]
