"""Reads the array that a PHP configuration returns, as text: nothing of it is executed.

Literals, `env(…)` and a few pure functions have a value. Anything else is an `Unknown`, which keeps its
source: the operator is asked for it, or it is left out by name.
"""

import re
from collections.abc import Callable, Mapping

from pusher_server.errors import ConfigError
from pusher_server.migration.files import DEEPEST
from pusher_server.migration.php_functions import FUNCTIONS, NotPure
from pusher_server.migration.php_operators import FALSY, Unknown, apply, combine, key_of, number
from pusher_server.migration.php_tokens import Lines, Token, tokens

#: Looks up an environment variable.
Lookup = Callable[[str], str | None]

#: Operators by how tightly they bind (php.net, "Operator Precedence").
_LEVELS = (
    ("??",),
    ("||",),
    ("&&",),
    ("|",),
    ("^",),
    ("&",),
    ("==", "!=", "<>", "===", "!==", "<=>"),
    ("<", ">", "<=", ">="),
    (".",),
    ("<<", ">>"),
    ("+", "-"),
    ("*", "/", "%"),
    ("instanceof",),
    ("**",),
)
_BINDING = {operator: level for level, operators in enumerate(_LEVELS) for operator in operators}
#: These bind less than anything else, also than `? :`.
_WORDS = ("or", "xor", "and")
#: Words behind which comes something that only PHP knows.
_CODE = (
    "clone",
    "fn",
    "function",
    "include",
    "include_once",
    "match",
    "new",
    "print",
    "require",
    "require_once",
    "static",
    "throw",
    "yield",
)
_CLOSING = {"(": ")", "[": "]", "{": "}"}
_CLOSED = tuple(_CLOSING.values())
#: The source of an unknown value is shown up to here.
_SHOWN = 60


def read_php(source: str, name: str, lookup: Lookup, root: str | None = None) -> dict[str, object]:
    """The array that the file returns: dict, list, str, int, float, bool, None or `Unknown` inside.

    `lookup` answers `env(…)`, `root` is the directory of the Laravel project. Raises ConfigError when the
    file is no such configuration, ends too early, or is nested too deeply.
    """
    return _Reader(source, name, lookup, root).read()


class _Reader:
    """One pass over the tokens. Every method begins at the current token and ends behind its part."""

    def __init__(self, source: str, name: str, lookup: Lookup, root: str | None) -> None:
        self._source = source
        self._name = name
        self._lines = Lines(source)
        self._tokens = tokens(source, name)
        self._at = 0
        self._depth = 0
        self._variables: dict[str, object] = {}
        self._lookup = lookup
        self._root = root

    def read(self) -> dict[str, object]:
        while self._token.kind != "end":
            if self._is_name("return"):
                self._at += 1
                value = self._expression()
                self._expect(";")
                if not isinstance(value, dict):
                    break
                return value
            self._statement()
        raise ConfigError(
            self._name, "returns no array of settings, as a file in Laravel's config/ does"
        )

    def _statement(self) -> None:
        """An assignment is kept; anything else is passed over."""
        following = self._tokens[min(self._at + 1, len(self._tokens) - 1)]
        if self._token.kind == "variable" and following.text == "=":
            variable = self._token.text
            self._at += 2
            self._variables[variable] = self._expression()
            self._expect(";")
            return
        while self._token.kind != "end" and self._token.text != ";":
            if self._token.kind == "symbol" and self._token.text in _CLOSING:
                is_block = self._token.text == "{"
                self._skip_group()
                if is_block:
                    return
            else:
                self._at += 1
        self._at += self._token.kind != "end"

    @property
    def _token(self) -> Token:
        return self._tokens[self._at]

    def _is_symbol(self, *texts: str) -> bool:
        return self._token.kind == "symbol" and self._token.text in texts

    def _is_name(self, text: str) -> bool:
        return self._token.kind == "name" and self._token.text.lower() == text

    def _expect(self, text: str) -> None:
        if not self._is_symbol(text):
            raise self._broken()
        self._at += 1

    def _broken(self) -> ConfigError:
        line = self._lines.of(self._token.start)
        if self._token.kind == "end":
            return ConfigError(self._name, f"ends too early, in line {line}; is it the whole file?")
        return ConfigError(self._name, f"line {line} cannot be read as PHP settings")

    def _skip_group(self) -> None:
        """Pass over balanced brackets."""
        open_ones: list[str] = []
        while True:
            token = self._token
            if token.kind == "end":
                raise self._broken()
            self._at += 1
            if token.kind == "symbol" and token.text in _CLOSING:
                open_ones.append(_CLOSING[token.text])
            elif token.kind == "symbol" and token.text in _CLOSED and token.text != open_ones.pop():
                self._at -= 1
                raise self._broken()
            if not open_ones:
                return

    def _unknown(self, start: int) -> Unknown:
        """The source from `start` to the current token, as an unknown value."""
        end = self._tokens[self._at - 1].end
        # Unknown values can be nested: only the beginning of each is copied.
        text = re.sub(r"\s+", " ", self._source[start : min(end, start + 4 * _SHOWN)]).strip()
        shown = text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
        return Unknown(shown, self._lines.of(start))

    def _expression(self) -> object:
        start = self._token.start
        value = self._conditional()
        first = self._token.text.lower()
        while self._token.kind == "name" and self._token.text.lower() in _WORDS:
            word = self._token.text.lower()
            self._at += 1
            right = self._conditional()
            try:
                if word != first:  # `or` and `and` in one have a precedence of their own
                    raise NotPure
                value = combine(word, value, right)
            except NotPure:
                value = self._unknown(start)
        return value

    def _conditional(self) -> object:
        self._depth += 1
        if self._depth > DEEPEST:
            raise ConfigError(self._name, f"is nested more than {DEEPEST} levels deep")
        start = self._token.start
        value = self._binary(0)
        if self._is_symbol("?"):
            self._at += 1
            short = self._is_symbol(":")
            chosen = value if short else self._expression()
            self._expect(":")
            other = self._conditional()
            if isinstance(value, Unknown):
                value = self._unknown(start)
            else:
                value = chosen if value not in FALSY else other
        self._depth -= 1
        return value

    def _binary(self, least: int) -> object:
        start = self._token.start
        left = self._unary()
        while True:
            operator = self._token.text.lower() if self._token.kind in ("symbol", "name") else ""
            binding = _BINDING.get(operator, -1)
            if binding < least or binding < 0:
                return left
            self._at += 1
            # All of them are read from the left: of `??` it makes no difference, a chain of `**` is unknown.
            right = self._binary(binding + 1)
            try:
                if operator == "**" and self._is_symbol("**"):
                    raise NotPure
                left = combine(operator, left, right)
            except NotPure:
                left = self._unknown(start)

    def _unary(self) -> object:
        start = self._token.start
        signs: list[Token] = []
        while self._is_symbol("!", "-", "+", "@", "&") or self._token.kind == "cast":
            signs.append(self._token)
            self._at += 1
        value = self._postfix()
        for sign in reversed(signs):
            if isinstance(value, Unknown):
                return self._unknown(start)
            try:
                value = apply(sign, value)
            except NotPure:
                return self._unknown(start)
        return value

    def _postfix(self) -> object:
        """A primary value; what is called or taken out of it is unknown."""
        start = self._token.start
        value = self._primary()
        is_known = True
        while self._is_symbol("->", "?->", "::", "[", "(", "{"):
            if self._is_symbol("[", "(", "{"):
                self._skip_group()
            else:
                self._at += 2
                if self._at >= len(self._tokens):
                    self._at = len(self._tokens) - 1
                    raise self._broken()
            is_known = False
        return value if is_known else self._unknown(start)

    def _primary(self) -> object:
        token = self._token
        if token.kind == "end":
            raise self._broken()
        self._at += 1
        if token.kind == "string":
            return token.text
        if token.kind == "number":
            return number(token.text)
        if token.kind == "template":
            return self._unknown(token.start)
        if token.kind == "variable":
            return self._variables.get(token.text, self._unknown(token.start))
        if token.text == "[":
            return self._array("]")
        if token.text == "(":
            value = self._expression()
            self._expect(")")
            return value
        if token.kind == "name":
            return self._named(token)
        self._at -= 1
        raise self._broken()

    def _named(self, token: Token) -> object:
        """A constant, a class, or a call."""
        word = token.text.lower()
        if word in ("true", "false", "null"):
            return {"true": True, "false": False, "null": None}[word]
        if self._is_symbol("::"):
            self._at += 1
            if self._token.kind == "end":
                raise self._broken()
            self._at += 1
            if self._tokens[self._at - 1].text == "class":
                return token.text.lstrip("\\")
            return self._unknown(token.start)
        if word in _CODE:
            self._pass_over()
            return self._unknown(token.start)
        if self._is_symbol("("):
            self._at += 1
            if word == "array":
                return self._array(")")
            arguments = self._arguments()
            return self._call(token, word.lstrip("\\"), arguments)
        return self._unknown(token.start)

    def _pass_over(self) -> None:
        """Go on to the end of an element: a comma or a closing bracket of the surrounding group."""
        while self._token.kind != "end" and not self._is_symbol(",", ";", "]", ")", "}"):
            if self._is_symbol("(", "[", "{"):
                self._skip_group()
            else:
                self._at += 1

    def _arguments(self) -> list[object]:
        values: list[object] = []
        while not self._is_symbol(")"):
            if self._is_symbol("..."):
                self._at += 1
            start = self._token.start
            value = self._expression()
            if self._is_symbol(":"):  # a named argument
                self._at += 1
                self._expression()
                value = self._unknown(start)
            values.append(value)
            if not self._is_symbol(")"):
                self._expect(",")
        self._at += 1
        return values

    def _call(self, token: Token, function: str, arguments: list[object]) -> object:
        if function == "env" and arguments and isinstance(arguments[0], str):
            given = self._lookup(arguments[0])
            if given is not None:
                return env_value(given)
            return arguments[1] if len(arguments) > 1 else None
        known = FUNCTIONS.get(function)
        if known is None:
            return self._unknown(token.start)
        try:
            return known(arguments, self._root)
        except NotPure:
            return self._unknown(token.start)

    def _array(self, closing: str) -> object:
        """A list when no element has a key, else a dict whose keys are texts."""
        items: list[tuple[str | None, object]] = []
        while not self._is_symbol(closing):
            start = self._token.start
            is_spread = self._is_symbol("...")
            self._at += is_spread
            value = self._expression()
            key: str | None = None
            if self._is_symbol("=>"):
                self._at += 1
                key = key_of(value)
                value = self._expression()
            if is_spread:
                value = self._unknown(start)
            items.append((key, value))
            if not self._is_symbol(closing):
                self._expect(",")
        self._at += 1
        if all(key is None for key, _ in items):
            return [value for _, value in items]
        return {
            str(place) if key is None else key: value for place, (key, value) in enumerate(items)
        }


def env_value(text: str) -> object:
    """A variable's value as Laravel's `env()` gives it (laravel/framework, Illuminate/Support/Env.php)."""
    words: Mapping[str, object] = {"true": True, "false": False, "empty": "", "null": None}
    word = text.lower()
    word = word[1:-1] if word.startswith("(") and word.endswith(")") else word
    if word in words:
        return words[word]
    quoted = re.fullmatch(r"(['\"])(.*)\1", text)
    return quoted[2] if quoted else text
