"""A connection's name: two integers and a dot."""

import pytest

from pusher_server.protocol.socket_id import HALF_LIMIT, is_socket_id, make_socket_id


@pytest.mark.parametrize("text", ["1.2", "0.0", "1234567890.9876543210"])
def test_what_the_official_libraries_accept_is_accepted(text: str) -> None:
    assert is_socket_id(text)


@pytest.mark.parametrize(
    "text", ["", "1", "1.", ".1", "1.2.3", "a.b", "1.2\n", " 1.2", "-1.2", "1:2"]
)
def test_anything_else_is_not(text: str) -> None:
    assert not is_socket_id(text)


def test_a_made_id_is_one_number_cut_in_two_of_ten_digits() -> None:
    asked: list[int] = []

    def random_below(limit: int) -> int:
        asked.append(limit)
        return limit - 2

    made = make_socket_id(random_below)
    assert made == "9999999999.9999999998"
    assert is_socket_id(made)
    assert asked == [HALF_LIMIT**2]
