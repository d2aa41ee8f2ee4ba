"""The states of a client's connection, over any transport; each leads to a later one.

- OPENING: the app is being looked up; early bytes are kept
- OPEN:    `connection_established` is written
- ENDING:  a close by us is scheduled; nothing is read any more
- CLOSING: our end is written, such as a close frame; only the client's end counts now
- CLOSED:  the transport is gone
"""

from enum import IntEnum


class State(IntEnum):
    """See the module's table."""

    OPENING = 0
    OPEN = 1
    ENDING = 2
    CLOSING = 3
    CLOSED = 4
