"""Settings -> objects -> uvicorn. Reads top to bottom as the picture in ARCHITECTURE.md."""

import asyncio
import logging
import os
import secrets
import time
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, cast

import uvicorn
from msgspec import Struct, structs

from pusher_server.app import App
from pusher_server.apps.database.runtime import DatabaseApps
from pusher_server.apps.static import StaticApps
from pusher_server.clients import heartbeat
from pusher_server.config import Config, ServerSettings, load, published_secrets
from pusher_server.errors import ConfigError
from pusher_server.http_api.asgi import create_api
from pusher_server.hub.connection import Connection
from pusher_server.hub.hub import Hub
from pusher_server.interfaces import CONTROL, AppChangedMessage, RateLimiter, Tallies
from pusher_server.limits.local import LocalRateLimiter
from pusher_server.limits.shared import SharedRateLimiter
from pusher_server.metrics.collector import Collector
from pusher_server.metrics.counting import COUNTED
from pusher_server.metrics.lag import LagWatch
from pusher_server.metrics.listener import Listener
from pusher_server.metrics.process_group import single
from pusher_server.node.node import Node
from pusher_server.server import cluster, webhooks
from pusher_server.server.address_limits import AddressLimits, Entrance
from pusher_server.server.file_reserve import FileReserve
from pusher_server.server.http_protocol import HttpProtocol
from pusher_server.server.lifecycle import DrainingServer
from pusher_server.server.listening import ListeningFileWatch, listen, raise_file_limit, urls_of
from pusher_server.server.operations import (
    link_readings,
    operations_listener,
    webhook_readings,
)
from pusher_server.server.proxies import TrustedProxies
from pusher_server.server.request_guard import RequestGuard
from pusher_server.server.specs import WorkerSpec
from pusher_server.server.tls import Certificate
from pusher_server.websocket.edge import WebSocketEdge

logger = logging.getLogger("pusher_server.server")


class StartReport(Struct, frozen=True):
    """What a started server runs on, for whoever tells the operator."""

    loop: str
    file_limit: int
    workers: int
    urls: list[str]
    #: Where the operations listener is, "" when there is none.
    operations: str = ""


class Server:
    """One process: all there is, or the worker that has `spec`.

    `on_started` is called once it accepts clients.
    """

    def __init__(
        self, config: Config, *, config_path: Path | None = None, spec: WorkerSpec | None = None
    ) -> None:
        """Raises ConfigError when a certificate cannot be used."""
        self.on_started: Callable[[StartReport], None] = lambda report: None
        #: Called in the loop, before anything is waited for.
        self.on_begin: Callable[[], None] = lambda: None
        self._config = config
        self._config_path = config_path
        self._spec = spec
        self._apps = StaticApps(config.apps)
        #: There when the apps come from a database; the file's are none then.
        self._live = _apps_of_database(config)
        self._closing: set[asyncio.Task[None]] = set()
        self._certificate = (
            Certificate(config.server.tls) if config.server.tls.certificate else None
        )
        node_id = _node_id(config, spec)
        self._cluster = cluster.choose(
            node_id,
            config.cluster,
            "" if spec is None else spec.bus,
            clock=time.monotonic,
            epoch=secrets.randbits(63),
            here=lambda: self.node.connections_here(),
        )
        self.node = Node(
            node_id,
            hub=Hub(_call_soon, clock=time.monotonic),
            broker=self._cluster.broker,
            roster=self._cluster.roster,
            census=self._cluster.census,
            apps=self._apps if self._live is None else self._live.provider,
            limiter=_limiter(config, self._cluster.tallies),
            clock=time.monotonic,
            # A random start in 2**62: two nodes that count from there never meet.
            event_ids=count(secrets.randbits(62)),
        )
        self._cluster.attach(self.node)
        self.node.problem = self._problem
        if self._live is not None:
            self._live.provider.on_change = self._app_changed
            self.node.app_changed_elsewhere = self._live.note
        self._webhooks = webhooks.attach(
            config,
            self.node,
            self._cluster.roster,
            owner=spec.bus if spec is not None else f"{os.getpid()}.{secrets.token_hex(8)}",
        )
        self._guard = RequestGuard(config.http)
        self._edge, self._reserve = self._clients()
        self._lag = LagWatch(time.monotonic, heartbeat.INTERVAL)
        self.gathering = self._gathering()
        self._operations: Listener | None = None

    def _clients(self) -> tuple[WebSocketEdge, FileReserve]:
        """Who may connect, and how many of them."""
        edge = WebSocketEdge(
            self.node,
            self._config.websocket,
            path_prefix=self._config.server.path_prefix,
            clock=time.monotonic,
            random_below=secrets.randbelow,
        )
        reserve = FileReserve(
            idle=self._guard.idle,
            refused=edge.leaving,
            clock=time.monotonic,
            resized=edge.allow,
        )
        return edge, reserve

    def _gathering(self) -> Collector:
        """What metrics and health read; it hears of refusals if somebody will ask."""
        stats = self._webhooks.stats
        gathering = Collector(
            self.node,
            worker="1" if self._spec is None else str(self._spec.index),
            lag=self._lag,
            links=lambda: link_readings(self._cluster.stores),
            webhooks=lambda: webhook_readings(stats),
            webhook_latency=stats.latency,
            max_connections=self._config.websocket.max_connections,
            evicted=lambda: self._cluster.evicted.totals,
            clock=time.time,
            not_ready=[lambda: None if self.node.apps.ready else self._problem()],
            problems=[self._problem],
        )
        if self._config.operations.enabled:
            self.node.observe(gathering.counting.observe, *COUNTED)
        return gathering

    def run(self) -> None:
        """Serve until told to stop. Raises ConfigError before serving, when the address cannot be had."""
        config = self._config
        file_limit = raise_file_limit()
        self._reserve.limit_to(file_limit)
        if self._spec is None:
            sockets = listen(config.server, config.websocket.send_buffer_bytes)
        else:
            sockets = self._spec.sockets()
        settings = self._uvicorn()
        urls = urls_of(config.server, sockets)
        if self._spec is None:
            self._operations = operations_listener(
                config.operations, single(self.gathering), port=config.server.port
            )
        self._uvicorn_server = DrainingServer(
            settings,
            node=self.node,
            edge=self._edge,
            grace=config.server.shutdown_grace,
            cluster=self._cluster,
            tick=self._tick,
            reload=self.reload,
            starting=self.begin,
            started=lambda: self.on_started(self._report(urls, file_limit)),
            stopped=self.end,
            start_timeout=config.cluster.start_timeout,
            supervised=self._spec is not None,
            operations=self._operations,
            unix_file=ListeningFileWatch(config.server)
            if config.server.unix_socket and self._spec is None
            else None,
            reserve=self._reserve,
            handshake_timeout=config.http.header_timeout,
        )
        try:
            self._uvicorn_server.run(sockets=sockets)
        finally:
            if config.server.unix_socket and self._spec is None:
                Path(config.server.unix_socket).unlink(missing_ok=True)

    def begin(self) -> None:
        """What runs beside the clients, before the first of them. In the running loop."""
        self.on_begin()
        self._webhooks.start(expected=webhooks.are_expected(self._config))

    async def end(self) -> None:
        """After the last client."""
        await self._webhooks.stop()
        if self._live is not None:
            await self._live.close()

    def drain(self) -> None:
        """Send the clients away, then end."""
        self._uvicorn_server.drain()

    def stop_now(self) -> None:
        """End at once."""
        self._uvicorn_server.stop_now()

    def reload(self) -> None:
        """Read certificates and `[[apps]]` again; a bad file changes nothing (docs/decisions.md#reload)."""
        try:
            config = load(self._config_path, os.environ, self._config.overrides)
            if self._certificate is not None:
                self._certificate.reload()
        except ConfigError as error:
            logger.error("not reloaded, the old settings stay: %s", error)
            return
        for section in _changed_sections(self._config, config):
            logger.warning("[%s] has changed; this needs a restart", section)
        changed = self._apps.replace(config.apps)
        closing = [
            each for app_id, app in changed.items() for each in self.node.change_app(app_id, app)
        ]
        logger.info(
            "reloaded: %d apps changed, %d connections to close", len(changed), len(closing)
        )
        if self._live is not None:
            self._live.use_defaults(config.defaults)
        self._config = structs.replace(self._config, apps=config.apps, defaults=config.defaults)
        if webhooks.are_expected(config):
            self._webhooks.expect()
        self._close_gently(closing)

    def _problem(self) -> str | None:
        """What `/ready` says besides; None when nothing is wrong."""
        told = [self._cluster.problem, self.node.apps.problem, self._webhooks.problem]
        return "; ".join(each for each in told if each is not None) or None

    def _app_changed(self, app_id: str, app: App | None) -> None:
        """The database has another value of an app that is in use; other nodes need not wait for their poll."""
        # Whoever looks because of this and finds the change says so as well; who finds none says nothing.
        self._cluster.broker.publish(CONTROL, AppChangedMessage(app_id=app_id))
        closing = self.node.change_app(app_id, app)
        logger.info(
            "an app has changed in the database",
            extra={"app": app_id, "connections_to_close": len(closing)},
        )
        self._close_gently(closing)

    def _close_gently(self, closing: list[tuple[Connection, int, str]]) -> None:
        if closing:
            task = asyncio.get_running_loop().create_task(
                self._uvicorn_server.close_gently(closing)
            )
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    def _tick(self, now: float) -> None:
        self._lag.tick()
        self._cluster.sweep()
        if self._live is not None:
            self._live.tick()
        self.node.tick()
        self._edge.heartbeat.tick(self._edge.clock())
        self._guard.tick(now)

    def _uvicorn(self) -> uvicorn.Config:
        config = self._config
        api = create_api(self.node, config.http, time.time, config.server.path_prefix)
        proxies = TrustedProxies(config.server.trusted_proxies)
        protocol = partial(
            HttpProtocol,
            api=api,
            edge=self._edge,
            guard=self._guard,
            reserve=self._reserve,
            proxies=proxies,
            entrance=_entrance(config.server, proxies),
        )
        certificate = self._certificate
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
            timeout_graceful_shutdown=1,
            ssl_context_factory=None if certificate is None else lambda *_: certificate.context,
        )

    def _report(self, urls: list[str], file_limit: int) -> StartReport:
        loop = type(asyncio.get_running_loop()).__module__.partition(".")[0]
        operations = "" if self._operations is None else self._operations.url
        return StartReport(
            loop=loop, file_limit=file_limit, workers=1, urls=urls, operations=operations
        )


def _call_soon(callback: Callable[[], None]) -> None:
    asyncio.get_running_loop().call_soon(callback)


def _entrance(settings: ServerSettings, proxies: TrustedProxies) -> Entrance | None:
    """None when nothing is counted by address."""
    most, attempts = settings.connections_per_address, settings.connection_attempts_per_address
    if not most and not attempts:
        return None
    return Entrance(AddressLimits(most, attempts, clock=time.monotonic), proxies)


def _apps_of_database(config: Config) -> DatabaseApps | None:
    """None when they stand in the file."""
    if not config.database.url:
        return None
    return DatabaseApps(
        config.database,
        config.defaults,
        time.monotonic,
        published=() if config.server.is_local else published_secrets(),
    )


def _limiter(config: Config, tallies: Tallies | None) -> RateLimiter:
    if tallies is None or not config.cluster.shared_rates:
        return LocalRateLimiter(time.monotonic)
    return SharedRateLimiter(time.monotonic, tallies)


def _node_id(config: Config, spec: WorkerSpec | None) -> str:
    """Unique among all processes there ever were: nobody takes a restarted node for what it was before."""
    named = config.cluster.node_id
    if spec is None:
        return f"{named or secrets.token_hex(4)}.{secrets.token_hex(4)}"
    return f"{named}-{spec.index}.{spec.node_id}" if named else f"{spec.node_id}.{spec.index}"


def _changed_sections(before: Config, after: Config) -> list[str]:
    names = ("server", "websocket", "http", "operations", "log", "cluster", "webhooks", "database")
    return [name for name in names if getattr(before, name) != getattr(after, name)]
