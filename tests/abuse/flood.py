"""A flood as a value: which bytes a stranger sends, and in which manner."""

from dataclasses import dataclass
from enum import StrEnum

APP_ID, KEY, SECRET = "1", "abuse-key", "abuse-secret-of-this-test-only"
#: The channel of a flood's own socket. A token in `Flood.opening` stands for the signature.
OWN_CHANNEL = "private-flood"
AUTH_TOKEN = b"@auth@"


#: Connections of a CHURN that are open together: enough that the server need never wait for the next.
AT_A_TIME = 16


class Manner(StrEnum):
    """How the bytes get to the server."""

    #: The block again and again, as fast as the server takes it; a closed connection is replaced.
    STREAM = "stream"
    #: Connect, send the block once, close; the next ones.
    CHURN = "churn"
    #: Many connections that send one byte each from time to time.
    DRIBBLE = "dribble"
    #: Connect, finish the TLS handshake, close; the next one.
    HANDSHAKE = "handshake"


@dataclass(frozen=True)
class Flood:
    """One shape. `block` is what is repeated; `text` says for the table what it is."""

    name: str
    text: str
    block: bytes
    manner: Manner = Manner.STREAM
    #: Whether an established WebSocket connection comes first, and what is said on it once.
    websocket: bool = False
    opening: tuple[bytes, ...] = ()  # payloads of text frames
    #: What comes once on each connection before the first block, as it stands.
    head: bytes = b""
    #: Whether the server's answers are read.
    reads: bool = True
    connections: int = 1
    #: Bytes per segment; 0 leaves it to the kernel.
    segment: int = 0
    #: CHURN: whether a part of the answer is awaited before the close, and whether the close is a reset.
    waits: bool = False
    resets: bool = True
    #: Whether the server must speak TLS for it.
    needs_tls: bool = False
    #: Bytes of plain TCP even where the server speaks TLS.
    below_tls: bool = False

    @property
    def connects(self) -> bool:
        """Whether it stands with new clients in the kernel's queue, which is first come, first served."""
        return self.manner in (Manner.CHURN, Manner.HANDSHAKE)


def repeated(piece: bytes, size: int = 262_144) -> bytes:
    """Whole copies of a piece, about so many bytes: a block that one system call can send."""
    return piece * max(1, size // len(piece))
