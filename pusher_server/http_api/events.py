"""Publishing: `POST /events`, `/batch_events` and the deprecated form (docs/protocol/http-api.md#events).

`data` is never parsed: the text from the backend is already what clients are to receive. A batch is
checked as a whole before anything of it is sent. Everything up to the answer is synchronous, unless
counts were requested: those are gathered after publishing. Once an event is out the answer is a success,
even if the counts fail: otherwise a backend would send the event again.
"""

import asyncio
import logging
from collections.abc import Iterable

import msgspec
from msgspec import Raw, Struct

from pusher_server.app import App
from pusher_server.auth.requests import Query
from pusher_server.errors import ClusterUnavailable
from pusher_server.http_api.channels import channel_argument
from pusher_server.http_api.errors import ApiError, missing, rate_limited
from pusher_server.http_api.parts import ApiParts
from pusher_server.http_api.requests import Call, NotAtOnce, attributes, listed, parameter
from pusher_server.http_api.responses import EMPTY, PLAIN, Answer, ApiResponse, json_response
from pusher_server.interfaces import Action
from pusher_server.nesting import SHALLOW
from pusher_server.node.publishing import ApiEvent
from pusher_server.protocol.channel_name import ChannelName, parse_channel_name
from pusher_server.protocol.socket_id import is_socket_id
from pusher_server.protocol.surrogates import has_surrogate
from pusher_server.protocol.text import (
    check_depth,
    encode,
    exceeds,
    read,
    string_bytes,
    string_literal,
)

logger = logging.getLogger(__name__)

#: Seconds for which counts are waited for. Libraries give a whole request 5 (Python) to 30 (PHP).
COUNTS_PATIENCE = 2.0

#: Parameters that every signed request has in its query: key, timestamp, version, digest, signature.
_SIGNING_PARAMETERS = 5
#: They would forge frames of the protocol.
_RESERVED = ("pusher:", "pusher_internal:")

#: Counts that a publication may request.
_ATTRIBUTES = frozenset({"user_count", "subscription_count"})


class BatchItem(Struct, gc=False):
    """One event of a batch. Required fields are checked later: they may stand in the query."""

    name: str | None = None
    data: Raw = Raw(b"")
    channel: str | None = None
    socket_id: str | None = None
    info: str | None = None


class EventBody(BatchItem, gc=False):
    """The body of `POST /events`: PHP sends `channel` for a single one, others `channels`."""

    channels: list[str] | None = None


class BatchBody(Struct, gc=False):
    """The body of `POST /batch_events`."""

    batch: list[BatchItem] | None = None


#: A channel and the names of its counts that were requested.
Wanted = tuple[ChannelName, frozenset[str]]

_event_body = msgspec.json.Decoder(EventBody)
_batch_body = msgspec.json.Decoder(BatchBody)


def trigger(api: ApiParts, call: Call) -> Answer:
    """`POST /events`: one event to some channels."""
    app = call.app
    body = EventBody()
    if call.body:
        body = read(_event_body, call.body)
        if len(call.body) > SHALLOW:
            check_depth(call.body, string_bytes(body.data))
    if len(call.query.pairs) > _SIGNING_PARAMETERS:
        _complete(body, call.query)
    names = body.channels or []
    if body.channel is not None:
        names = [*names, body.channel]
    wanted = attributes(body.info) & _ATTRIBUTES if body.info else None
    if wanted and call.at_once:
        raise NotAtOnce
    _consume(api, app, len(names), app.limits.event_channels)
    event = _event(app, body, names)
    api.node.publishing.publish(app, event)
    if not wanted:
        return EMPTY
    return _with_counts(api, app, [(channel, wanted) for channel in event.channels])


def trigger_batch(api: ApiParts, call: Call) -> Answer:
    """`POST /batch_events`: several events with one channel each, all or nothing."""
    app, limit = call.app, call.app.limits.batch_events
    items = read(_batch_body, call.body).batch
    if len(call.body) > SHALLOW:
        check_depth(call.body, sum([string_bytes(item.data) for item in items or ()]))
    if items is None:
        raise missing("batch")
    if not items:
        return EMPTY
    wanted = [attributes(item.info) & _ATTRIBUTES for item in items]
    if call.at_once and any(wanted):
        raise NotAtOnce
    _consume(api, app, len(items), limit)
    if 0 < limit < len(items):
        raise ApiError(400, f"Batch too large ({len(items)} > {limit})")
    events = [_batch_event(app, item) for item in items]
    for event in events:
        api.node.publishing.publish(app, event)
    if not any(wanted):
        return EMPTY
    return _with_batch_counts(
        api, app, [(event.channels[0], names) for event, names in zip(events, wanted, strict=True)]
    )


def trigger_raw(api: ApiParts, call: Call) -> Answer:
    """`POST /channels/{name}/events?name=…`: the body is the data; deprecated, 202 and empty."""
    app = call.app
    channel = channel_argument(call)
    try:
        data = encode(call.body.decode())
    except UnicodeDecodeError:
        raise ApiError(400, "The request body is not UTF-8") from None
    _consume(api, app, 1, 0)
    event = ApiEvent(
        name=_name(app, parameter(call.query, "name")),
        channels=(channel,),
        data=_data(app, data),
        socket_id=_socket_id(parameter(call.query, "socket_id")),
    )
    api.node.publishing.publish(app, event)
    return ApiResponse(202, b"", PLAIN)


def _complete(body: EventBody, query: Query) -> None:
    """Pusher takes parameters from the query too; the body takes precedence."""
    if body.name is None:
        body.name = parameter(query, "name")
    if body.channels is None and body.channel is None:
        body.channels = listed(query, "channels") + listed(query, "channel")
    if not bytes(body.data) and (data := parameter(query, "data")) is not None:
        body.data = Raw(encode(data))
    if body.socket_id is None:
        body.socket_id = parameter(query, "socket_id")
    if body.info is None:
        body.info = ",".join(listed(query, "info"))


def _consume(api: ApiParts, app: App, cost: int, limit: int) -> None:
    """Take from the app's rate. The cost is cut to the limit: more is refused right after."""
    cost = max(1, min(cost, limit) if limit else cost)
    wait = api.limiter.consume(app, Action.PUBLISH, cost)
    if wait > 0:
        raise rate_limited(wait, "rate_publish")


def _event(app: App, body: BatchItem, names: Iterable[str]) -> ApiEvent:
    """Check fields and limits, in the order name, channels, data (docs/protocol/http-api.md#check-order)."""
    return ApiEvent(
        name=_name(app, body.name),
        channels=_channels(app, names),
        data=_data(app, bytes(body.data)),
        socket_id=_socket_id(body.socket_id),
    )


def _batch_event(app: App, item: BatchItem) -> ApiEvent:
    if item.channel is None:
        raise missing("channel")
    return _event(app, item, (item.channel,))


def _name(app: App, name: str | None) -> str:
    """Any text but an empty or a reserved one: Laravel sends class names with backslashes."""
    if not name:
        raise missing("name")
    limit = app.limits.event_name_length
    if 0 < limit < len(name):
        raise ApiError(400, f"Event name too long ({len(name)} > {limit} characters)")
    if name.startswith(_RESERVED):
        raise ApiError(400, "Event names that begin with pusher: or pusher_internal: are reserved")
    if has_surrogate(name):
        raise ApiError(400, f"The event name {name[:200]!r} has a lone surrogate")
    return name


def _channels(app: App, names: Iterable[str]) -> tuple[ChannelName, ...]:
    """Parsed, without repeats. An encrypted channel has a key of its own, so it must be alone."""
    limits = app.limits
    names = dict.fromkeys(names)
    if not names:
        raise missing("channels")
    if 0 < limits.event_channels < len(names):
        raise ApiError(400, f"Too many channels ({len(names)} > {limits.event_channels})")
    length, lenient = limits.channel_name_length, app.lenient_channel_names
    channels = tuple(
        [parse_channel_name(name, max_length=length, lenient=lenient) for name in names]
    )
    if len(channels) > 1 and any(channel.is_encrypted for channel in channels):
        raise ApiError(400, "An event for an encrypted channel cannot go to other channels as well")
    return channels


def _data(app: App, raw: bytes) -> bytes:
    """The data as a JSON string literal; its length is that of the text inside."""
    if not raw:
        raise missing("data")
    literal = string_literal(raw)
    limit = app.limits.event_data_bytes
    if exceeds(literal, limit):
        message = f"The data content of this event exceeds the allowed maximum ({limit} bytes)."
        raise ApiError(413, message, reason="too_large")
    return literal


def _socket_id(text: str | None) -> str | None:
    if text is not None and not is_socket_id(text):
        raise ApiError(400, "Invalid socket id: it must be two integers joined by a dot")
    return text


async def _with_counts(api: ApiParts, app: App, wanted: list[Wanted]) -> ApiResponse:
    counts = await _counts(api, app, wanted)
    if counts is None:
        return EMPTY
    names = [channel.text for channel, _ in wanted]
    return json_response({"channels": dict(zip(names, counts, strict=True))})


async def _with_batch_counts(api: ApiParts, app: App, wanted: list[Wanted]) -> ApiResponse:
    counts = await _counts(api, app, wanted)
    return EMPTY if counts is None else json_response({"batch": counts})


async def _counts(api: ApiParts, app: App, wanted: list[Wanted]) -> list[dict[str, int]] | None:
    """The requested counts of each channel, in order; None if the cluster cannot answer now, or not soon.

    The events are out by then, so the publication has succeeded all the same.
    """
    subscribed = {
        c.text for c, names in wanted if "subscription_count" in names and c.user_id is None
    }
    present = {c.text for c, names in wanted if "user_count" in names and c.has_members}
    inspection = api.node.inspection
    try:
        async with asyncio.timeout(COUNTS_PATIENCE):
            subscriptions = (
                await inspection.subscription_counts(app, subscribed) if subscribed else {}
            )
            users = await inspection.user_counts(app, present) if present else {}
    except (ClusterUnavailable, TimeoutError):
        return None
    except Exception:
        logger.exception("the counts that a publication asked for were not found")
        return None
    return [_attributes_of(c.text, names, subscriptions, users) for c, names in wanted]


def _attributes_of(
    channel: str, wanted: frozenset[str], subscriptions: dict[str, int], users: dict[str, int]
) -> dict[str, int]:
    counts: dict[str, int] = {}
    if "subscription_count" in wanted and channel in subscriptions:
        counts["subscription_count"] = subscriptions[channel]
    if "user_count" in wanted and channel in users:
        counts["user_count"] = users[channel]
    return counts
