"""Decides which server a file, a directory or a `.env` belongs to, reads it, and makes the draft."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct, field

from pusher_server.config import published_secrets
from pusher_server.errors import ConfigError
from pusher_server.migration import (
    laravel_websockets,
    pusher_hosted,
    reverb,
    sockudo,
    soketi,
    tables_of_apps,
)
from pusher_server.migration.dotenv import parse
from pusher_server.migration.draft import Answers, Draft
from pusher_server.migration.files import parse_json, parse_toml, read_text
from pusher_server.migration.php import read_php

#: The servers that can be imported, by the names of the command line.
PEERS: Final = (
    laravel_websockets.NAME,
    soketi.NAME,
    reverb.NAME,
    sockudo.NAME,
    pusher_hosted.NAME,
)
#: Where a server keeps its settings, below the directory that is named.
_PLACES: Mapping[str, tuple[str, ...]] = {
    laravel_websockets.NAME: ("config/websockets.php",),
    reverb.NAME: ("config/reverb.php",),
    soketi.NAME: ("soketi.json", "config.json"),
    sockudo.NAME: ("config/config.toml", "config/config.json", "config.toml", "config.json"),
    pusher_hosted.NAME: (),
}
#: Variables of the process that count beside those of a `.env`, by their beginnings.
_OWN_VARIABLES: Mapping[str, tuple[str, ...]] = {
    laravel_websockets.NAME: ("PUSHER_", "LARAVEL_WEBSOCKETS_", "WEBSOCKETS_", "DB_", "REDIS_"),
    reverb.NAME: ("REVERB_", "REDIS_"),
    soketi.NAME: ("SOKETI_",),
    sockudo.NAME: ("SOCKUDO_",),
    pusher_hosted.NAME: ("PUSHER_",),
}
_IS_FILE = {
    reverb.NAME: reverb.is_file,
    laravel_websockets.NAME: laravel_websockets.is_file,
    soketi.NAME: soketi.is_file,
    sockudo.NAME: sockudo.is_file,
}


class _Material(Struct):
    """The files that were named, read."""

    #: The file with the settings, None when there are variables only.
    file: Path | None = None
    text: str = ""
    variables: dict[str, str] = field(default_factory=dict)
    read: list[Path] = field(default_factory=list)


def read_source(
    source: str, more: Sequence[str], environ: Mapping[str, str], answers: Answers
) -> tuple[Draft, list[Path]]:
    """The draft for a server, and the files that were read.

    `source`: the name of a server, or a path that tells which one it is. `more`: paths, or a database's URL.
    Raises ConfigError.
    """
    peer, paths = (source, list(more)) if source in PEERS else (None, [source, *more])
    urls = [path for path in paths if "://" in path]
    if urls or (len(paths) == 1 and tables_of_apps.is_sqlite(Path(paths[0]))):
        if len(paths) != 1 or peer is None:
            raise ConfigError(
                "SOURCE", "name the server and one database: `import soketi mysql://user@host/name`"
            )
        return tables_of_apps.read(peer, paths[0], answers), tables_of_apps.files(paths[0])
    material = _Material()
    for path in paths or ["."]:
        try:
            _collect(material, Path(path), peer, environ)
        except OSError as error:  # a name that is too long, a directory of somebody else's
            raise ConfigError(path[:80], f"cannot be read: {error.strerror}") from None
    _add_dotenv(material, environ)
    tree, peer = _recognise(material, peer, environ)
    variables = material.variables | {
        name: value for name, value in environ.items() if name.startswith(_OWN_VARIABLES[peer])
    }
    draft = _read(peer, tree, material, variables, answers)
    draft.keep_published_local(published_secrets())
    return draft, material.read


def _collect(material: _Material, path: Path, peer: str | None, environ: Mapping[str, str]) -> None:
    if path.is_dir():
        peers = (peer,) if peer is not None else tuple(_PLACES)
        places = dict.fromkeys(place for name in peers for place in _PLACES[name])
        there = [path / place for place in places if (path / place).is_file()]
        if peer is None and len(there) > 1:
            both = " and ".join(str(file) for file in there[:2])
            raise ConfigError(str(path), f"has {both}: name the server, or one of the files")
        for file in there[:1]:
            _add(material, file, environ)
        if (path / ".env").is_file():
            _add(material, path / ".env", environ)
        return
    if not path.exists() and peer is None and path.suffix == "" and len(path.parts) == 1:
        raise ConfigError(str(path), f"is none of {', '.join(PEERS)}, and no file or directory")
    _add(material, path, environ)


def _add(material: _Material, path: Path, environ: Mapping[str, str]) -> None:
    text = read_text(path)
    material.read.append(path)
    if path.name.startswith(".env") or path.suffix == ".env":
        # Laravel and soketi differ in `${NAME}`; nobody writes it and means it literally.
        material.variables |= parse(text, str(path), expand=True, environ=environ)
    elif material.file is not None:
        raise ConfigError(
            str(path), f"is a second file of settings beside {material.file}: name one"
        )
    else:
        material.file, material.text = path, text


def _add_dotenv(material: _Material, environ: Mapping[str, str]) -> None:
    """A configuration of Laravel's has its `.env` above its folder."""
    file = material.file
    if file is None or file.suffix != ".php" or material.variables:
        return
    beside = file.absolute().parent.parent / ".env"
    if file.absolute().parent.name == "config" and beside.is_file():
        _add(material, beside, environ)


def _recognise(
    material: _Material, peer: str | None, environ: Mapping[str, str]
) -> tuple[dict[str, object], str]:
    """The tree of the file, {} without one, and the server that it belongs to."""
    if material.file is None:
        return {}, _by_variables(material, peer, environ)
    name = str(material.file)
    tree = _parse(material, peer, environ)
    kind = material.file.suffix
    candidates = (
        (reverb.NAME, laravel_websockets.NAME) if kind == ".php" else (soketi.NAME, sockudo.NAME)
    )
    matching = [other for other in candidates if _IS_FILE[other](tree)]
    if peer is None and len(matching) == 1:
        return tree, matching[0]
    if peer in matching or (peer == soketi.NAME and not matching and soketi.is_possible(tree)):
        return tree, peer
    if kind != ".php" and isinstance(tree.get("apps"), list):
        raise ConfigError(name, "is a configuration of this server already: check-config reads it")
    if matching:
        raise ConfigError(name, f"is a file of {matching[0]}, not of {peer}")
    known = ", ".join(PEERS[:-1])
    raise ConfigError(
        name, f"is no configuration of {peer or f'any of {known}'} that is known here"
    )


def _parse(material: _Material, peer: str | None, environ: Mapping[str, str]) -> dict[str, object]:
    assert material.file is not None
    name, variables = str(material.file), {**material.variables, **environ}
    if material.file.suffix == ".php":
        root = str(material.file.absolute().parent.parent)
        return read_php(material.text, name, variables.get, root)
    if material.file.suffix == ".toml":
        return parse_toml(sockudo.substitute(material.text, variables, name), name)
    if material.file.suffix == ".json":
        # soketi has no variables in its file.
        is_plain = peer == soketi.NAME
        text = material.text if is_plain else sockudo.substitute(material.text, variables, name)
        return parse_json(text, name)
    raise ConfigError(name, "is none of .php, .json, .toml and .env")


def _by_variables(material: _Material, peer: str | None, environ: Mapping[str, str]) -> str:
    names = [*material.variables, *environ] if peer is not None else list(material.variables)
    owners = {
        soketi.NAME: any(name.startswith("SOKETI_") for name in names),
        reverb.NAME: "REVERB_APP_KEY" in names,
        sockudo.NAME: any(name.startswith("SOCKUDO_") for name in names),
        laravel_websockets.NAME: "PUSHER_APP_KEY" in names,
        pusher_hosted.NAME: "PUSHER_APP_KEY" in names,
    }
    if peer is not None:
        if owners[peer]:
            return peer
        places = " or ".join((*_PLACES[peer], ".env"))
        raise ConfigError(peer, f"there is no {places} with its settings here: name the file")
    likely = [name for name in (soketi.NAME, reverb.NAME, sockudo.NAME) if owners[name]]
    if not likely and pusher_hosted.is_environment(material.variables):
        likely = [pusher_hosted.NAME]
    if len(likely) != 1:
        where = str(material.read[0]) if material.read else "."
        raise ConfigError(
            where, f"does not say which server it is for: name one of {', '.join(PEERS)}"
        )
    return likely[0]


def _read(
    peer: str,
    tree: dict[str, object],
    material: _Material,
    variables: dict[str, str],
    answers: Answers,
) -> Draft:
    name = str(material.file or (material.read[0] if material.read else "the environment"))
    if peer == soketi.NAME:
        return soketi.read(tree, variables, name, answers)
    if peer == reverb.NAME:
        return reverb.read(tree or reverb.published(variables), name, answers)
    if peer == sockudo.NAME:
        return sockudo.read(tree, variables, name, answers)
    if peer == laravel_websockets.NAME:
        tree = tree or laravel_websockets.published(variables)
        return laravel_websockets.read(tree, variables, name, answers)
    return pusher_hosted.read(variables, name, answers)
