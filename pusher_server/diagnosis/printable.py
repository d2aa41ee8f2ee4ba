"""Makes names that clients and backends chose fit for a sentence: short, and without control characters."""

import re

#: Characters of a name in a sentence.
SHOWN = 100

#: Control characters, line separators, and those that turn the direction of text around.
_UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]"
)


def printable(text: str, limit: int = SHOWN) -> str:
    """Return the first `limit` characters of the text, with escapes for what a terminal would obey."""
    cut = text if len(text) <= limit else f"{text[:limit]}…"
    return _UNPRINTABLE.sub(lambda match: match[0].encode("unicode_escape").decode(), cut)


def quoted(text: str) -> str:
    """Return the text as a name in a sentence, between backticks."""
    return f"`{printable(text)}`"


def counted(number: int, noun: str) -> str:
    """Return `1 connection`, `3 connections`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
