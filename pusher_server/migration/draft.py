"""A configuration of ours in the making: the settings, and a finding for each setting of the other server."""

import re
from collections.abc import Callable, Collection, Mapping
from typing import Final

from pusher_server.errors import ConfigError
from pusher_server.migration.findings import Finding, Question, Verdict, shown
from pusher_server.migration.options import MISSING, Options
from pusher_server.migration.php import env_value
from pusher_server.migration.php_operators import COMPUTED_NAME, Unknown

#: Answers a question; None when there is no answer.
Answers = Callable[[Question], str | None]

#: The advice for a setting whose name is computed in PHP.
NAME_IS_COMPUTED: Final = (
    "the name of a setting is computed here, so it was left out: write it by hand"
)

_VARIABLE = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)+")
#: Names of settings whose source text is not shown, because it may hold a secret.
_SECRET_WORDS = ("secret", "password", "pass", "token", "passphrase", "url")


def no_answers(_question: Question) -> str | None:
    """Leaves every question open."""
    return None


def _is_unicode(value: object) -> bool:
    """Whether a value can be written: a variable of the process may have bytes that are no text."""
    if isinstance(value, Mapping):
        return all(map(_is_unicode, (*value, *value.values())))
    if isinstance(value, list | tuple):
        return all(map(_is_unicode, value))
    return not (isinstance(value, str) and any("\ud800" <= letter <= "\udfff" for letter in value))


class Settings:
    """A table of our configuration, filled with findings. `sources` stands before names of the other server."""

    def __init__(self, draft: "Draft", table: dict[str, object], sources: str, label: str) -> None:
        self.draft = draft
        self.table = table
        self.sources = sources
        self._label = label

    def is_left_out(self, source: str) -> bool:
        """Whether a value is computed, and nobody has said what it is: nothing is known of the setting."""
        return self._name(source) in self.draft.left_out

    def take(self, source: str, setting: str, value: object, note: str = "") -> None:
        """Write a value that means the same here."""
        self._write(Verdict.TAKEN, source, setting, value, note)

    def change(self, source: str, setting: str, value: object, why: str) -> None:
        """Write a value that differs from the other server's."""
        self._write(Verdict.CHANGED, source, setting, value, why)

    def differ(self, source: str, why: str) -> None:
        """Note a difference that needs no setting."""
        if not self._is_partly_left_out(source):
            self._add(Verdict.CHANGED, source, "", why)

    def refuse(self, source: str, advice: str) -> None:
        """Note a setting that has no counterpart, with what to do."""
        if not self.is_left_out(source):
            self._add(Verdict.IMPOSSIBLE, source, "", advice)

    def refuse_unread(
        self, options: Options, advice: str, table: str = "", of_it: str = ""
    ) -> None:
        """Note each setting that nothing has read; below `table` with the advice `of_it`, if it has a value."""
        for path, value in options.unread():
            is_of_it = bool(table) and f"{path}.".startswith(f"{table}.")
            if path.rpartition(".")[2].startswith(COMPUTED_NAME):
                self.refuse(path, NAME_IS_COMPUTED)
            elif not is_of_it:
                self.refuse(path, advice)
            elif value not in (None, "", [], {}):
                self.refuse(path, of_it)

    def warn(self, source: str, danger: str) -> None:
        """Note a danger that was there before."""
        if not self._is_partly_left_out(source):
            self._add(Verdict.UNSAFE, source, "", danger)

    def value(self, options: Options, *paths: str, until_then: str = "") -> tuple[str, object]:
        """A setting's name and value. An unknown one is asked for, and else MISSING and left out.

        The name is the first path that exists, as `sources` completes it. `until_then`: what holds until
        the operator writes the setting.
        """
        path, value = options.first(*paths)
        if isinstance(value, list):  # with one unknown element it is not known as a whole
            value = next((item for item in value if isinstance(item, Unknown)), value)
        if not isinstance(value, Unknown):
            return path, value
        name = f"{self.sources}{path}"
        may_be_secret = path.rpartition(".")[2].lower().endswith(_SECRET_WORDS)
        text = "" if may_be_secret else f" (`{value.source}`)"
        question = Question(
            name,
            f"{name} is computed in {options.name}, line {value.line}{text}."
            " Its value, lists with commas, nothing to leave it out",
            "secret" if may_be_secret else "text",
        )
        answer = self.draft.answers(question)
        if not answer:
            until = f". Until then {until_then}" if until_then else ""
            self.refuse(
                path,
                f"is computed in {options.name}, line {value.line}{text}, and was left out:"
                f" write the setting by hand, or give --answer {name}=VALUE{until}",
            )
            self.draft.left_out.add(name)
            return path, MISSING
        return path, env_value(answer)

    def _name(self, source: str) -> str:
        # A variable has its full name already.
        return source if _VARIABLE.fullmatch(source) else f"{self.sources}{source}"

    def _is_partly_left_out(self, source: str) -> bool:
        name = self._name(source)
        return any(f"{left}.".startswith(f"{name}.") for left in self.draft.left_out)

    def _write(self, verdict: Verdict, source: str, setting: str, value: object, note: str) -> None:
        if self.is_left_out(source):
            return
        if not _is_unicode(value):
            raise ConfigError(self._name(source), "is not UTF-8 text; write it as UTF-8")
        table = self.table
        *above, name = setting.split(".")
        for step in above:
            below = table.setdefault(step, {})
            assert isinstance(below, dict)
            table = below
        table[name] = value
        self._add(verdict, source, f"{self._label}{setting} = {shown(setting, value)}", note)

    def _add(self, verdict: Verdict, source: str, result: str, note: str) -> None:
        finding = Finding(verdict, self._name(source), result, note)
        if finding not in self.draft.findings:
            self.draft.findings.append(finding)


class Draft(Settings):
    """The whole configuration: `table` has our sections, `apps` the tables of `[[apps]]`."""

    def __init__(self, peer: str, answers: Answers = no_answers) -> None:
        super().__init__(self, {}, "", "")
        self.peer = peer
        self.answers = answers
        self.apps: list[dict[str, object]] = []
        self.findings: list[Finding] = []
        #: Full names of settings that are computed, and were not answered.
        self.left_out: set[str] = set()

    def app(self, sources: str) -> Settings:
        """A new app, whose settings are called `sources…` at the other server."""
        table: dict[str, object] = {}
        self.apps.append(table)
        return Settings(self, table, sources, "")

    def keep_published_local(self, published: Collection[str]) -> None:
        """Listen on loopback only when an app has one of these secrets: the server starts nowhere else."""
        server = self.table.get("server")
        if not isinstance(server, dict) or not any(
            app.get("secret") in published for app in self.apps
        ):
            return
        self.findings = [
            finding for finding in self.findings if not finding.result.startswith("server.host ")
        ]
        self.change(
            "(host)",
            "server.host",
            "127.0.0.1",
            "everybody knows the secret of an app, so others must not reach it: give it one of its own first",
        )

    def drop(self, setting: str, source: str, advice: str) -> None:
        """Take a setting out again, or a whole table, with what to do."""
        table = self.table
        *above, name = setting.split(".")
        for step in above:
            below = table.get(step)
            if not isinstance(below, dict):
                return
            table = below
        table.pop(name, None)
        self.refuse(source, advice)
