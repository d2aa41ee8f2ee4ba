"""The path on which clients come."""

import pytest

from pusher_server.protocol.client_path import has_double_slash, key_in, path_of, shown_path


@pytest.mark.parametrize("path", ["/app/k", "/app/k/", "/ws/app/k", "/ws/app/k//"])
def test_the_key_is_behind_app_with_or_without_the_prefix(path: str) -> None:
    assert key_in(path, "/ws") == "k"


@pytest.mark.parametrize("path", ["", "/", "/app", "/app/", "/ws/app", "/x/app/k", "/app/k/send"])
def test_other_paths_have_no_key(path: str) -> None:
    assert key_in(path, "/ws") is None


def test_the_prefix_may_be_app_itself() -> None:
    assert (key_in("/app/k", "/app"), key_in("/app/app/k", "/app")) == ("k", "k")


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/app/k?a=//", "/app/k"),
        ("//app/k", "//app/k"),
        ("http://h/app/k?b", "/app/k"),
        ("http://h//app/k", "//app/k"),
        ("http://h", "/"),
        ("*", "*"),
        ("/app/http://x", "/app/http://x"),
    ],
)
def test_a_target_has_its_path_in_both_forms(target: str, path: str) -> None:
    assert path_of(target) == path


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/app/null", "/app/null"),
        ("/app/0123456789abcdef0123", "/app/0123... (20 characters)"),
        ("/ws/app/0123456789abcdef0123/", "/ws/app/0123... (20 characters)/"),
        ("/app/app/0123456789abcdef0123", "/app/app/0123... (20 characters)"),
        ("//app//0123456789abcdef0123/send", "//app/0123... (20 characters)/send"),
        ("/apps/0123456789abcdef0123/events", "/apps/0123456789abcdef0123/events"),
        ("/", "/"),
    ],
)
def test_of_a_long_key_only_the_beginning_is_shown(path: str, shown: str) -> None:
    """It may be a secret, where somebody has swapped the two."""
    assert shown_path(path) == shown


def test_slashes_at_the_end_are_no_double_slash() -> None:
    assert not has_double_slash("/ready//")
    assert has_double_slash("//ready")
    assert has_double_slash("/app//k/")
