"""The name of a connection: two integers joined by a dot, text and never a number.

See docs/protocol/connection.md#socket-id.
"""

import re
from collections.abc import Callable

_SHAPE = re.compile(r"\A[0-9]+\.[0-9]+\Z")
#: Each half has at most 10 digits; twice 33 bits make a repeat in a cluster as good as impossible.
HALF_LIMIT = 10**10


def is_socket_id(text: str) -> bool:
    """Whether the official libraries would accept it."""
    return _SHAPE.match(text) is not None


def make_socket_id(random_below: Callable[[int], int]) -> str:
    """Make a fresh id. `random_below(n)` gives 0…n-1, unguessable: the id is an input to auth."""
    first, second = divmod(random_below(HALF_LIMIT * HALF_LIMIT), HALF_LIMIT)
    return f"{first}.{second}"
