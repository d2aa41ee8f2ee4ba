"""Signals: events of the domain, as values for observers such as webhooks and metrics.

A signal is emitted once in the cluster, on the node where its cause is, after the fact.
Observers never answer and never block (docs/decisions.md#observers-of-signals).
"""

from collections.abc import Callable

from msgspec import Struct


class Signal(Struct, frozen=True, kw_only=True):
    """The common part: which app it happened in."""

    app_id: str


class ConnectionOpened(Signal, frozen=True, kw_only=True):
    """A client has received `connection_established`."""

    socket_id: str


class ConnectionClosed(Signal, frozen=True, kw_only=True):
    """A client that was established is gone; `code` is the close code, 1006 when it just dropped."""

    socket_id: str
    code: int


class Settled(Signal, frozen=True, kw_only=True):
    """A change that outlasted the undo window and is now final.

    `id` stays the same when the signal is emitted again, after the node that decided it has died; "" when
    unknown.
    """

    id: str = ""
    channel: str


class ChannelOccupied(Settled, frozen=True, kw_only=True):
    """A channel went from no subscriber to one, and this does not undo a recent vacating."""


class ChannelVacated(Settled, frozen=True, kw_only=True):
    """A channel has had no subscriber for the whole undo window (docs/protocol/webhooks.md#delay)."""


class MemberAdded(Settled, frozen=True, kw_only=True):
    """A user's first connection joined a presence channel, and this does not undo a recent leave."""

    user_id: str


class MemberRemoved(Settled, frozen=True, kw_only=True):
    """A user has been gone from a presence channel for the whole undo window."""

    user_id: str


class ClientEventSent(Signal, frozen=True, kw_only=True):
    """A client event was accepted. `data` is the JSON string literal that was relayed, quotes and all."""

    channel: str
    event: str
    data: bytes
    socket_id: str
    user_id: str | None


class CacheMissed(Signal, frozen=True, kw_only=True):
    """A client subscribed to a cache channel that holds nothing."""

    channel: str


class SubscriptionCountChanged(Signal, frozen=True, kw_only=True):
    """The number of subscribers, as it was just sent to them."""

    channel: str
    subscription_count: int


class EventPublished(Signal, frozen=True, kw_only=True):
    """The backend published an event to one channel; `recipients` are those on this node."""

    channel: str
    event: str
    recipients: int


class SubscriptionRejected(Signal, frozen=True, kw_only=True):
    """A subscription was refused. `reason` is the text that the client received."""

    channel: str
    socket_id: str
    reason: str
    #: Pusher's type of the error: AuthError, LimitReached, InvalidChannel, InvalidData.
    kind: str


class ConnectionRefused(Signal, frozen=True, kw_only=True):
    """A client was not let in, or was ended for a fault, with this close code.

    `app_id` is empty when its key is no app's. `reason` is one word, where the code has several.
    """

    code: int
    reason: str = ""


class MessageRefused(Signal, frozen=True, kw_only=True):
    """A message was answered with this error code (0: with none), and the connection stays."""

    code: int


class RequestRefused(Signal, frozen=True, kw_only=True):
    """An API request was not let through. `app_id` is empty when its key is no app's.

    `reason` is one of `unknown_key`, `signature`, `clock`, `disabled`, `rate_publish`, `rate_read`,
    `address_connections`, `address_attempts`, or the reason of a `Mistake` (`server/misdirected.py`).
    """

    reason: str


Observer = Callable[[Signal], None]
