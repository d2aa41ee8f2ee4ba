"""`pusher_server.migration.webhooks`: the problem of a webhook, in words."""

import pytest

from pusher_server.migration.webhooks import problem_of


@pytest.mark.parametrize(
    ("webhook", "problem"),
    [
        ({"url": "https://a.example/h"}, None),
        ({"url": "ftp://a.example"}, "url is not http"),
        ({"url": "https://a.example", "event_types": ["nope"]}, "event_types[0]: expected one of"),
        ({"url": "https://a.example", "more": 1}, "more"),
        ({}, "missing setting `url`"),
        ({"url": 5}, "url: "),
    ],
)
def test_the_problem_names_its_setting_once(
    webhook: dict[str, object], problem: str | None
) -> None:
    """And is None for a good webhook."""
    words = problem_of(webhook)
    if problem is None:
        assert words is None
    else:
        assert words is not None
        assert words.startswith(problem)
        assert words.split()[0].rstrip(":") != words.split()[1].rstrip(":")
