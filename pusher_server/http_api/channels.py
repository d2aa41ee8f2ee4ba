"""The endpoints that inspect channels. All of them read from the cluster, so all are coroutines."""

import math
from typing import Any

from msgspec import Raw

from pusher_server.app import App
from pusher_server.http_api.errors import ApiError
from pusher_server.http_api.parts import ApiParts
from pusher_server.http_api.requests import Call, attributes, listed, parameter
from pusher_server.http_api.responses import ApiResponse, json_response
from pusher_server.protocol.channel_name import ChannelName, parse_channel_name
from pusher_server.protocol.text import encode

_PRESENCE = "presence-"


async def occupied(api: ApiParts, call: Call) -> ApiResponse:
    """`GET /channels`: occupied channels and, on request, their counts (docs/protocol/http-api.md#channels).

    `channels` is an object also when it is empty; PHP's library dies on a list.
    """
    prefix = parameter(call.query, "filter_by_prefix") or ""
    info = _info(call)
    if "user_count" in info and not prefix.startswith(_PRESENCE):
        raise ApiError(
            400,
            "user_count may only be requested for presence channels - "
            "please supply filter_by_prefix begining with presence-",  # sic: the text of Pusher
        )
    pieces: list[bytes] = []
    async for page in api.node.inspection.channels(call.app, prefix):
        channels: dict[str, dict[str, int]] = {name: {} for name in page}
        if "user_count" in info:
            for name, users in (await api.node.inspection.user_counts(call.app, page)).items():
                channels[name]["user_count"] = users
        if "subscription_count" in info:
            for name, subscriptions in page.items():
                channels[name]["subscription_count"] = subscriptions
        pieces.append(encode(channels)[1:-1])
    return ApiResponse(200, b'{"channels":{%b}}' % _joined(pieces))


async def one(api: ApiParts, call: Call) -> ApiResponse:
    """`GET /channels/{name}`: a vacant channel is 200 with `occupied: false`.

    See docs/protocol/http-api.md#channel.
    """
    channel = channel_argument(call)
    info = _info(call)
    if "user_count" in info and not channel.has_members:
        message = "Cannot retrieve the user count unless the channel is a presence channel"
        raise ApiError(400, message)
    if "cache" in info and not channel.remembers_last:
        raise ApiError(400, "Cannot retrieve the cache unless the channel is a cache channel")
    subscriptions = await _subscriptions(api, call.app, channel)
    description: dict[str, Any] = {"occupied": subscriptions > 0}
    if "user_count" in info:
        description["user_count"] = await _users(api, call.app, channel)
    if "subscription_count" in info:
        description["subscription_count"] = subscriptions
    if "cache" in info:
        event = await api.node.inspection.cached(call.app, channel.text)
        description["cache"] = event and {"data": Raw(event.data), "ttl": math.ceil(event.ttl)}
    return json_response(description)


async def stats(api: ApiParts, call: Call) -> ApiResponse:
    """`GET /channels/{name}/stats`, deprecated (docs/protocol/http-api.md#deprecated)."""
    channel = channel_argument(call)
    subscriptions = await _subscriptions(api, call.app, channel)
    description = {"occupied": subscriptions > 0, "connection_count": subscriptions}
    if channel.has_members:
        description["user_count"] = await _users(api, call.app, channel)
    return json_response(description)


async def members(api: ApiParts, call: Call) -> ApiResponse:
    """`GET /channels/{name}/users`; `with_user_info=1` as soketi has it (docs/protocol/http-api.md#users)."""
    channel = channel_argument(call)
    if not channel.has_members:
        raise ApiError(400, "Users can only be retrieved for presence channels")
    with_info = parameter(call.query, "with_user_info") in ("1", "true")
    pieces: list[bytes] = []
    async for page in api.node.inspection.members(call.app, channel.text):
        users: list[dict[str, Any]] = []
        for user_id, info in page:
            user: dict[str, Any] = {"id": user_id}
            if with_info and info:
                user["user_info"] = Raw(info)
            users.append(user)
        pieces.append(encode(users)[1:-1])
    return ApiResponse(200, b'{"users":[%b]}' % _joined(pieces))


async def connections(api: ApiParts, call: Call) -> ApiResponse:
    """`GET /connections`, as Reverb; Laravel Pulse reads it. Counts every connection."""
    return json_response({"connections": await api.node.inspection.connections(call.app)})


def channel_argument(call: Call) -> ChannelName:
    """The channel that the path names. Raises InvalidChannelName."""
    app = call.app
    return parse_channel_name(
        call.arguments[0],
        max_length=app.limits.channel_name_length,
        lenient=app.lenient_channel_names,
    )


def _joined(pieces: list[bytes]) -> bytes:
    """The insides of the pages' objects or lists as one: each page was encoded in a turn of its own."""
    return b",".join(filter(None, pieces))


def _info(call: Call) -> frozenset[str]:
    return attributes(",".join(listed(call.query, "info")))


async def _subscriptions(api: ApiParts, app: App, channel: ChannelName) -> int:
    return (await api.node.inspection.subscription_counts(app, [channel.text])).get(channel.text, 0)


async def _users(api: ApiParts, app: App, channel: ChannelName) -> int:
    return (await api.node.inspection.user_counts(app, [channel.text])).get(channel.text, 0)
