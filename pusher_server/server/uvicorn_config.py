"""Configures uvicorn for the clients: our protocol class, and uvicorn's own settings."""

import time
from functools import partial
from typing import Any, cast

import uvicorn

from pusher_server.config import Config, ServerSettings
from pusher_server.http_api.asgi import ApiApplication
from pusher_server.http_api.fast_publish import FastPublish
from pusher_server.server.address_limits import AddressLimits, Entrance
from pusher_server.server.file_reserve import FileReserve
from pusher_server.server.http_protocol import HttpProtocol
from pusher_server.server.misdirected import MisdirectedLog
from pusher_server.server.proxies import TrustedProxies
from pusher_server.server.request_guard import RequestGuard
from pusher_server.server.tls import Certificate
from pusher_server.websocket.edge import WebSocketEdge

#: Seconds in which API requests may end when the clients are gone.
GRACEFUL_SECONDS = 1


def uvicorn_config(
    config: Config,
    api: ApiApplication,
    *,
    edge: WebSocketEdge,
    guard: RequestGuard,
    misdirected: MisdirectedLog,
    reserve: FileReserve,
    certificate: Certificate | None,
) -> uvicorn.Config:
    """Return uvicorn's settings for the API and the WebSocket edge on one port."""
    proxies = TrustedProxies(config.server.trusted_proxies)
    protocol = partial(
        HttpProtocol,
        fast=FastPublish(api, guard.settings.request_bytes),
        edge=edge,
        guard=guard,
        misdirected=misdirected,
        reserve=reserve,
        proxies=proxies,
        entrance=_entrance(config.server, proxies),
    )
    return uvicorn.Config(
        api,
        http=cast(Any, protocol),  # any callable will do: `Server.startup` only calls it
        ws="none",
        loop=config.server.loop,
        lifespan="off",
        log_config=None,
        access_log=config.log.access,
        proxy_headers=bool(config.server.trusted_proxies),
        forwarded_allow_ips=list(config.server.trusted_proxies),
        server_header=False,
        backlog=config.server.backlog,
        timeout_keep_alive=cast(int, config.http.keep_alive),  # only handed to call_later
        timeout_graceful_shutdown=GRACEFUL_SECONDS,
        ssl_context_factory=None if certificate is None else lambda *_: certificate.context,
    )


def _entrance(settings: ServerSettings, proxies: TrustedProxies) -> Entrance | None:
    """The limits by address; None when nothing is counted by address."""
    most, attempts = settings.connections_per_address, settings.connection_attempts_per_address
    if not most and not attempts:
        return None
    return Entrance(AddressLimits(most, attempts, clock=time.monotonic), proxies)
