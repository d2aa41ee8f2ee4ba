"""Containerfile, compose.yaml and Kubernetes' manifests, read as the tools that run them do."""

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]  # stubs would be another package

from pusher_server.config import Config, load

TOP = Path(__file__).resolve().parents[2]
COMPOSE = TOP / "ops" / "compose"
MANIFESTS = TOP / "ops" / "kubernetes"
CHART = TOP / "ops" / "helm" / "pusher-server"

#: What an operator gives a container; long enough to be no risk.
CREDENTIALS = {
    "PUSHER_APP_ID": "1234567",
    "PUSHER_APP_KEY": "0123456789abcdef0123",
    "PUSHER_APP_SECRET": "0123456789abcdef0123456789abcdef01234567",
}
#: All that docs/containers.md writes into `.env`.
ENV_FILE = {**CREDENTIALS, "OPERATIONS_TOKEN": "f" * 40, "REDIS_PASSWORD": "e" * 40}


@dataclass(frozen=True)
class Instruction:
    """One instruction of a Containerfile: its name, and the rest of its logical line."""

    name: str
    text: str

    @property
    def words(self) -> list[str]:
        """The rest as a shell splits it, or as JSON if it is an array."""
        if not self.text.startswith("["):
            return shlex.split(self.text)
        words: list[str] = json.loads(self.text)
        return words


def instructions() -> list[Instruction]:
    """All of the Containerfile; a backslash at the end of a line joins the next one to it."""
    text = (TOP / "Containerfile").read_text("utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n", "", "\n".join(lines))
    rows = [line.split(maxsplit=1) for line in joined.splitlines() if line.strip()]
    return [Instruction(name, rest.strip()) for name, rest in rows]


def stages() -> list[list[Instruction]]:
    """The instructions of each stage, beginning with its FROM; what is before the first is left out."""
    result: list[list[Instruction]] = []
    for instruction in instructions():
        if instruction.name == "FROM":
            result.append([])
        if result:
            result[-1].append(instruction)
    return result


def final(name: str) -> Instruction:
    """The only instruction of that name in the stage which becomes the image."""
    (only,) = [instruction for instruction in stages()[-1] if instruction.name == name]
    return only


def image_environment() -> dict[str, str]:
    """The variables that the image sets."""
    pairs = [word.partition("=") for word in final("ENV").words]
    return {name: value for name, _, value in pairs}


def health_check() -> list[str]:
    """The command of HEALTHCHECK."""
    command: list[str] = json.loads(final("HEALTHCHECK").text.partition("CMD ")[2])
    return command


def compose(variables: Mapping[str, str]) -> dict[str, Any]:
    """compose.yaml with its variables filled in. Raises KeyError for one that is needed and missing."""
    filled = _filled(yaml.safe_load((TOP / "compose.yaml").read_text("utf-8")), variables)
    assert isinstance(filled, dict)
    return filled


def _filled(value: object, variables: Mapping[str, str]) -> object:
    """A value whose strings have no more variables; Compose fills them in after it has read the YAML."""
    if isinstance(value, dict):
        return {name: _filled(below, variables) for name, below in value.items()}
    if isinstance(value, list):
        return [_filled(below, variables) for below in value]
    if not isinstance(value, str):
        return value

    def fill(match: re.Match[str]) -> str:
        name, default = match["name"], match["default"]
        if name is None:
            return "$"
        return variables[name] if default is None else variables.get(name, default)

    return re.sub(r"\$(?:\$|\{(?P<name>\w+)(?::-(?P<default>[^}]*)|:\?[^}]*)?\})", fill, value)


def required_variables() -> set[str]:
    """Those without which compose.yaml does not start."""
    return set(re.findall(r"\$\{(\w+):\?", (TOP / "compose.yaml").read_text("utf-8")))


def documents(text: str) -> Iterator[dict[str, Any]]:
    """The objects of a manifest, without empty documents."""
    yield from (document for document in yaml.safe_load_all(text) if document)


def manifests() -> dict[tuple[str, str], dict[str, Any]]:
    """Every object of ops/kubernetes by kind and name."""
    files = sorted(MANIFESTS.glob("*.yaml"))
    return by_kind_and_name("\n---\n".join(file.read_text("utf-8") for file in files))


def by_kind_and_name(text: str) -> dict[tuple[str, str], dict[str, Any]]:
    """The objects of a manifest; two of one kind and name are an error."""
    objects = [
        ((document["kind"], document["metadata"]["name"]), document) for document in documents(text)
    ]
    assert len(dict(objects)) == len(objects), "two objects with one name"
    return dict(objects)


def settings_of(environment: Mapping[str, str], file: Path | None = None) -> Config:
    """The settings with which a container of our image starts. Raises ConfigError."""
    return load(file, {**image_environment(), **environment}, {})


def seconds(duration: str | int) -> float:
    """Of a duration such as "60s", as Compose and HAProxy write it."""
    match = re.fullmatch(r"(\d+)(s|m|h)?", str(duration))
    assert match is not None, duration
    return float(match[1]) * {"s": 1, "m": 60, "h": 3600, None: 1}[match[2]]
