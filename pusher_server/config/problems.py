"""Messages about wrong settings: one line that names the setting and the fix.

Misspelt names are refused before msgspec reads the values, because only here the valid names are
known, to suggest one. The messages of msgspec about values are reworded for people who write TOML.
"""

import difflib
import re
import typing
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TypeVar, cast

import msgspec
from msgspec import Struct

from pusher_server.errors import ConfigError

Table = Mapping[str, object]
T = TypeVar("T", bound=Struct)

#: msgspec's words for a type -> a TOML writer's words.
_KINDS = {
    "`str`": "text in quotes",
    "`int`": "a whole number",
    "`float`": "a number",
    "`bool`": "true or false",
    "`array`": "a list in [ ]",
    "`object`": "a table",
    "`null`": "nothing",
}


def fields_of(struct: type[Struct]) -> dict[str, object]:
    """The settings of a table: name -> type, without the bounds of `Annotated`."""
    kinds: dict[str, object] = {}
    for field in msgspec.structs.fields(struct):
        annotated = hasattr(field.type, "__metadata__")
        kinds[field.name] = typing.get_args(field.type)[0] if annotated else field.type
    return kinds


def subtable_of(kind: object) -> type[Struct] | None:
    """The struct of a field that is itself a table, else None."""
    return kind if isinstance(kind, type) and issubclass(kind, Struct) else None


def settings_in(struct: type[Struct], path: str) -> Iterator[str]:
    """Every setting below a table, as dotted paths."""
    for name, kind in fields_of(struct).items():
        below = subtable_of(kind)
        if below is not None:
            yield from settings_in(below, f"{path}.{name}")
        else:
            yield f"{path}.{name}"


def check_names(
    table: object,
    struct: type[Struct],
    path: str,
    *,
    elsewhere: Collection[str],
    extra: Collection[str] = (),
) -> None:
    """Refuse settings that do not exist, naming the nearest that does.

    `extra` are names that this one table knows beyond its struct's fields; `elsewhere` are the
    dotted paths of all settings, for one that was written into the wrong table.
    """
    if not isinstance(table, Mapping):
        raise ConfigError(path, f"expected a table; write it as [{path}]")
    fields = fields_of(struct)
    known = [*fields, *extra]
    for name, value in table.items():
        if name not in known:
            raise ConfigError(f"{path}.{name}", unknown(name, path, known, elsewhere))
        below = subtable_of(fields.get(name))
        if below is not None:
            check_names(value, below, f"{path}.{name}", elsewhere=elsewhere)
        below = subtable_of(item_of(fields.get(name)))
        if below is not None:
            _check_list(value, below, f"{path}.{name}", elsewhere)


def _check_list(value: object, struct: type[Struct], path: str, elsewhere: Collection[str]) -> None:
    """As `check_names`, for a list of tables. `to_struct` refuses other values."""
    if isinstance(value, Mapping):
        header = re.sub(r"\[\d+\]", "", path)
        raise ConfigError(path, f"expected a list of tables; write [[{header}]] above each")
    for index, item in enumerate(value if isinstance(value, list) else ()):
        if isinstance(item, Mapping):
            check_names(item, struct, f"{path}[{index}]", elsewhere=elsewhere)


def unknown(name: str, path: str, known: Collection[str], elsewhere: Collection[str]) -> str:
    """The message about an unknown `name` below `path` ("" at the top), with the best suggestion."""
    prefix = f"{path}." if path else ""
    near = difflib.get_close_matches(name, known, n=1)
    if near:
        return f"unknown setting; did you mean `{prefix}{near[0]}`?"
    homes = [setting for setting in elsewhere if setting.rpartition(".")[2] == name]
    if homes:
        return f"unknown setting here; did you mean `{homes[0]}`?"
    return f"unknown setting; known here: {', '.join(sorted(known))}"


def kind_at(struct: type[Struct], steps: Sequence[str]) -> object | None:
    """The type of the setting that `steps` lead to from `struct`, None when there is none.

    A step into a list or a table of free names is written as msgspec does: `name[0]`, `name[...]`.
    """
    kind: object = struct
    for step in steps:
        name, inside, _ = step.partition("[")
        table = subtable_of(kind)
        kind = fields_of(table).get(name) if table is not None else None
        if inside:
            kind = item_of(kind)
    return kind


def item_of(kind: object) -> object | None:
    """The type of a list's items, or of a free table's values, None for any other type."""
    if typing.get_origin(kind) is tuple:
        return cast(object, typing.get_args(kind)[0])
    if typing.get_origin(kind) in (dict, Mapping):
        return cast(object, typing.get_args(kind)[1])
    return None


def to_struct(table: Table, struct: type[T], path: str, *, origins: Mapping[str, str]) -> T:
    """Convert a table whose names were checked. Raises ConfigError with the setting's path.

    `origins` has the source of each setting that does not come from the file.
    """
    try:
        return msgspec.convert(table, struct, strict=False)
    except msgspec.ValidationError as error:
        text, _, place = str(error).partition(" - at `$")
        below = place.removesuffix("`")
        own_check = re.match(r"(\w+) (is|has) ", text)
        if own_check and kind_at(struct, [*below.split(".")[1:], own_check[1]]) is not None:
            below = f"{below}.{own_check[1]}"
        setting = f"{path}{below}".removeprefix(".")
        origin = f" ({origins[setting]})" if setting in origins else ""
        raise ConfigError(
            setting, _reworded(text, kind_at(struct, below.split(".")[1:])) + origin
        ) from None


def _reworded(text: str, kind: object | None) -> str:
    """msgspec's sentence in the words of TOML: the expected type, and the value in the file."""
    if text.startswith("Invalid enum value"):
        choices = ", ".join(str(choice) for choice in typing.get_args(kind))
        return text.replace("Invalid enum value", f"expected one of {choices}; got")
    text = text.replace("Object missing required field", "missing setting")
    text = text.replace("Object contains unknown field", "unknown setting")
    for name, words in _KINDS.items():
        text = text.replace(name, words)
    return text.replace("Expected", "expected")
