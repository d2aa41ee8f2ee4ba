"""Questions of operators about what is there, and orders to publish or to end a connection, as values."""

from msgspec import Struct

#: Rows of an answer.
ROWS = 200


class ChannelsQuestion(Struct, frozen=True, kw_only=True, tag="channels"):
    """Asks for the occupied channels of an app. `channel` is a glob, "" is all."""

    app: str
    channel: str = ""


class ConnectionsQuestion(Struct, frozen=True, kw_only=True, tag="connections"):
    """Asks for the connections of an app; `channel` and `user` are exact, "" is all."""

    app: str
    channel: str = ""
    user: str = ""


class PublishOrder(Struct, frozen=True, kw_only=True, tag="publish"):
    """Publishes one event, as a backend does. `data` is the text that clients get."""

    app: str
    channel: str
    event: str
    data: str = ""


class KickOrder(Struct, frozen=True, kw_only=True, tag="kick"):
    """Closes a connection, or all connections of a user."""

    app: str
    socket_id: str = ""
    user: str = ""


class ChannelRow(Struct, frozen=True):
    """A channel, and its subscribers in the cluster."""

    channel: str
    subscribers: int


class ConnectionRow(Struct, frozen=True):
    """A connection: its client, its user if it has signed in, and its first channels."""

    socket_id: str
    address: str
    user: str
    subscriptions: int
    channels: tuple[str, ...]


class Answer(Struct, kw_only=True):
    """The answer to each of these. `problem` says why nothing was done; `more`: there are rows beyond `ROWS`.

    `count` is how many subscribers the event goes to, or how many connections were closed.
    """

    problem: str = ""
    channels: list[ChannelRow] = []
    connections: list[ConnectionRow] = []
    more: bool = False
    count: int = 0
    nodes: int = 1
    answered: int = 1
