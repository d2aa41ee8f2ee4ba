"""`pusher_server.apps.database.webhook_column`: what can be used is, and the rest gets a line."""

import pytest

from pusher_server.apps.database.webhook_column import MOST_WEBHOOKS, read_column

GOOD = {"url": "https://example.com/hook"}


def complaint(item: object) -> str:
    """What is said about a webhook that stands beside a good one, which is used in any case."""
    usable, left_out = read_column([item, GOOD])
    assert usable == [GOOD]
    (line,) = left_out
    assert "\n" not in line
    return line


def test_values_of_a_driver_that_parses_json_are_taken_as_they_are() -> None:
    """PostgreSQL's json, MySQL's; in SQLite it is text."""
    assert read_column([GOOD]) == ([GOOD], [])
    assert read_column(b'[{"url": "https://example.com/hook"}]') == ([GOOD], [])


def test_what_php_and_soketi_write_for_nothing_is_nothing() -> None:
    """An empty array where an object belongs; keys that are null; no function at Amazon."""
    item = {**GOOD, "headers": [], "filter": [], "event_types": None, "lambda_function": ""}
    assert read_column([{**item, "lambda": {"region": "x"}}]) == ([GOOD], [])


@pytest.mark.parametrize(
    ("item", "said"),
    [
        (
            {"lambda_function": "arn"},
            "webhooks[0].lambda_function: AWS Lambda is not supported; give a `url`; this webhook is left out",
        ),
        ({"ulr": "x"}, "webhooks[0].ulr: unknown setting; did you mean `webhooks[0].url`?"),
        ({}, "webhooks[0]: missing setting `url`; this webhook is left out"),
        ({"url": "ftp://x"}, "webhooks[0].url: url is not http:// or https://"),
        ({"url": 7}, "webhooks[0].url: expected text in quotes, got a whole number"),
        ({**GOOD, "event_types": ["chanel"]}, "webhooks[0].event_types[0]: expected one of channel_"),
        ({**GOOD, "headers": {"a": 1}}, "webhooks[0].headers[...]: expected text in quotes"),
        ({**GOOD, "filter": {"x": "y"}}, "webhooks[0].filter.x: unknown setting; known here"),
        ("https://example.com/hook", "webhooks[0]: expected an object with a `url`"),
    ],
)  # fmt: skip
def test_a_webhook_that_cannot_be_used_is_left_out(item: object, said: str) -> None:
    """With one line that names it."""
    assert complaint(item).startswith(said)


@pytest.mark.parametrize("column", ["{", '[{"url":', "[" * 100_000, '{"url": "http://x"}', "7"])
def test_a_column_that_is_no_list_is_no_webhooks(column: str) -> None:
    """The app goes on without."""
    usable, left_out = read_column(column)
    assert usable == []
    assert len(left_out) == 1


def test_of_too_many_webhooks_the_first_are_used() -> None:
    """With one line for all others, however many and whatever they are."""
    usable, left_out = read_column([GOOD] * MOST_WEBHOOKS + ["x"] * 100_000)
    assert usable == [GOOD] * MOST_WEBHOOKS
    assert left_out == ["there are 100060 webhooks: only the first 60 are used"]


def test_secrets_are_not_said() -> None:
    """Neither of headers nor of the URL."""
    said = complaint({"url": "ftp://me:hush@x/?token=hush", "headers": {"Authorization": "hush"}})
    said += complaint({**GOOD, "headers": {"Authorization": "hush\n"}})
    assert "hush" not in said
