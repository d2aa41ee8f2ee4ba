"""Settings -> objects -> uvicorn. Reads top to bottom as the picture in ARCHITECTURE.md."""

import asyncio
import logging
import os
import secrets
import time
from collections.abc import Callable
from itertools import chain, count
from pathlib import Path

import uvicorn
from msgspec import Struct, structs

from pusher_server.app import App
from pusher_server.apps.database.runtime import DatabaseApps
from pusher_server.apps.static import StaticApps
from pusher_server.clients import heartbeat
from pusher_server.clients.admission import Admission
from pusher_server.clients.connection_log import OBSERVED, ConnectionLog
from pusher_server.clients.registry import ClientRegistry
from pusher_server.config import Config, load, published_secrets
from pusher_server.config.risks import app_risks
from pusher_server.diagnosis.evidence import Evidence
from pusher_server.errors import ConfigError
from pusher_server.http_api.asgi import create_api
from pusher_server.http_api.parts import ApiParts
from pusher_server.http_api.traffic import ApiTraffic
from pusher_server.hub.connection import Connection
from pusher_server.hub.hub import Hub
from pusher_server.interfaces import CONTROL, AppChangedMessage, AppProvider, RateLimiter, Tallies
from pusher_server.limits.local import LocalRateLimiter
from pusher_server.limits.shared import SharedRateLimiter
from pusher_server.metrics.collector import Collector
from pusher_server.metrics.counting import COUNTED
from pusher_server.metrics.lag import LagWatch
from pusher_server.metrics.process_group import single
from pusher_server.node.node import Node
from pusher_server.node.observers import Observers
from pusher_server.node.parts import NodeParts
from pusher_server.server import cluster, proxy_protocol, webhooks
from pusher_server.server.certificate_expiry import CertificateExpiry, files_of
from pusher_server.server.evidence_watch import EvidenceWatch
from pusher_server.server.file_reserve import FileReserve
from pusher_server.server.lifecycle import DrainingServer
from pusher_server.server.listening import ListeningFileWatch, listen, raise_file_limit, urls_of
from pusher_server.server.misdirected import MisdirectedLog
from pusher_server.server.operations import operations_listener
from pusher_server.server.operations_listener import OperationsListener
from pusher_server.server.request_guard import RequestGuard
from pusher_server.server.samples import cluster_samples, webhook_samples
from pusher_server.server.specs import WorkerSpec
from pusher_server.server.tls import Certificate
from pusher_server.server.uvicorn_config import uvicorn_config
from pusher_server.websocket.edge import WebSocketEdge

logger = logging.getLogger("pusher_server.server")


class StartReport(Struct, frozen=True):
    """The addresses and limits of a started server, to be shown to the operator."""

    loop: str
    file_limit: int
    workers: int
    urls: list[str]
    #: Where the operations listener is, "" when there is none.
    operations: str = ""


class Server:
    """One process: all there is, or the worker that has `spec`.

    `on_begin` is called in the loop, before anything is waited for; `on_started` once it accepts clients.
    """

    def __init__(
        self,
        config: Config,
        *,
        config_path: Path | None = None,
        spec: WorkerSpec | None = None,
        on_begin: Callable[[], None] = lambda: None,
        on_started: Callable[[StartReport], None] = lambda report: None,
    ) -> None:
        """Raises ConfigError when a certificate cannot be used."""
        self._on_begin = on_begin
        self._on_started = on_started
        self._config = config
        self._config_path = config_path
        self._spec = spec
        self._apps_of_file = StaticApps(config.apps)
        #: There when the apps come from a database; the file's are none then.
        self._apps_of_database = self._database(config)
        self.apps: AppProvider = self._apps_of_file
        if self._apps_of_database is not None:
            self.apps = self._apps_of_database.provider
        self._closing: set[asyncio.Task[None]] = set()
        self._certificate = (
            Certificate(config.server.tls) if config.server.tls.certificate else None
        )
        self._expiry = CertificateExpiry(files_of(config), logs=self._is_first)
        node_id = _node_id(config, spec)
        hub = Hub(_call_soon, clock=time.monotonic)
        self._cluster = cluster.choose(
            node_id,
            config.cluster,
            "" if spec is None else spec.bus,
            clock=time.monotonic,
            epoch=secrets.randbits(63),
            here=hub.connection_counts,
        )
        parts = _node_parts(node_id, hub, self._cluster)
        self._webhooks = webhooks.observing(
            config,
            parts,
            self.apps,
            owner=spec.bus if spec is not None else f"{os.getpid()}.{secrets.token_hex(8)}",
        )
        self.node = self._node(parts)
        self._cluster.attach(self.node)
        self._api = ApiParts(
            node=self.node,
            apps=self.apps,
            limiter=_limiter(config, self._cluster.tallies),
            problem=self._problem,
            traffic=ApiTraffic(),
        )
        self._guard = RequestGuard(config.http)
        self._misdirected = MisdirectedLog(self.node.emit, time.monotonic, parts.evidence)
        self._clients = ClientRegistry(config.websocket.max_connections, time.monotonic)
        self._edge = self._websocket()
        self._reserve = self._file_reserve()
        self._lag = LagWatch(time.monotonic, heartbeat.INTERVAL)
        self.collector = self._collector()
        self._operations: OperationsListener | None = None

    def _node(self, parts: NodeParts) -> Node:
        self._watch = watch = EvidenceWatch(self._cluster.tallies)
        return Node(parts, self._app_announced, [self._webhooks.kept], watch.others, self.apps)

    @property
    def _is_first(self) -> bool:
        """Whether it logs what concerns all workers. All count it: a reload may have failed in one of them."""
        return self._spec is None or self._spec.index == 1

    def _websocket(self) -> WebSocketEdge:
        config = self._config
        if config.log.level == "debug":
            self.node.observe(ConnectionLog(self.node.hub).observe, *OBSERVED)
        return WebSocketEdge(
            self.node,
            self._clients,
            Admission(self.node, self.apps, self._clients, secrets.randbelow),
            config.websocket,
            path_prefix=config.server.path_prefix,
        )

    def _file_reserve(self) -> FileReserve:
        return FileReserve(
            idle=self._guard.idle,
            refused=self._clients.leaving,
            clock=time.monotonic,
            resized=self._clients.allow,
        )

    def _collector(self) -> Collector:
        """The source of metrics and health. It counts signals only if the operations listener is enabled."""
        stats = self._webhooks.stats
        worker = "1" if self._spec is None else str(self._spec.index)
        collector = Collector(
            self.node,
            worker=worker,
            lag=self._lag,
            requests=self._api.traffic.apps,
            sources=[
                lambda: cluster_samples(self._cluster, worker, _loop_time),
                lambda: webhook_samples(stats, time.time),
                lambda: self._expiry.samples(worker),
            ],
            webhook_latency=stats.latency,
            max_connections=self._config.websocket.max_connections,
            clock=time.time,
            not_ready=[lambda: None if self.apps.ready else self._problem()],
            problems=[self._problem],
        )
        if self._config.operations.enabled:
            self.node.observe(collector.counting.observe, *COUNTED)
        return collector

    def run(self) -> None:
        """Serve until stopped. Raises ConfigError before serving, when the address cannot be had."""
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
            answer, port = self.node.operator.answer, config.server.port
            group = single(self.collector)
            self._operations = operations_listener(config.operations, group, answer, port=port)
        self._uvicorn_server = DrainingServer(
            settings,
            node=self.node,
            clients=self._clients,
            delay=config.server.drain_delay,
            grace=config.server.shutdown_grace,
            cluster=self._cluster,
            tick=self._tick,
            reload=self.reload,
            starting=self.begin,
            started=lambda: self._on_started(self._report(urls, file_limit)),
            stopped=self.end,
            start_timeout=config.cluster.start_timeout,
            supervised=self._spec is not None,
            operations=self._operations,
            unix_file=ListeningFileWatch(config.server)
            if config.server.unix_socket and self._spec is None
            else None,
            reserve=self._reserve,
            misdirected=self._misdirected,
            handshake_timeout=config.http.header_timeout,
            proxy_headers=proxy_protocol.reader_for(config.server, self._misdirected),
        )
        try:
            self._uvicorn_server.run(sockets=sockets)
        finally:
            if config.server.unix_socket and self._spec is None:
                Path(config.server.unix_socket).unlink(missing_ok=True)

    def begin(self) -> None:
        """Start the work beside the clients, before the first of them. In the running loop."""
        self._on_begin()
        self._watch.start(self.node.operator.step)
        self._webhooks.start(expected=webhooks.are_expected(self._config))

    async def end(self) -> None:
        """Stop the work beside the clients, after the last of them."""
        self._watch.stop()
        await self._webhooks.stop()
        if self._apps_of_database is not None:
            await self._apps_of_database.close()

    def drain(self, *, at_once: bool = False) -> None:
        """Send the clients away after the delay, or at once; then end."""
        self._uvicorn_server.drain(at_once=at_once)

    def stop_now(self) -> None:
        """End at once."""
        self._uvicorn_server.stop_now()

    def reload(self) -> None:
        """Read certificates and `[[apps]]` again; a bad file changes nothing (docs/decisions.md#reload)."""
        try:
            config = load(self._config_path, os.environ, self._config.overrides)
            if self._certificate is not None:
                self._certificate.reload()
                self._expiry.loaded("server.tls.certificate")
        except ConfigError as error:
            logger.error("not reloaded, the old settings stay: %s", error)
            return
        for section in _changed_sections(self._config, config):
            logger.warning("[%s] has changed; this needs a restart", section)
        changed = self._apps_of_file.replace(config.apps)
        closing = [
            row for app_id, app in changed.items() for row in self.node.change_app(app_id, app)
        ]
        if self._is_first:
            for line in chain.from_iterable(app_risks(app) for app in changed.values() if app):
                logger.warning(line)
        logger.info(
            "reloaded: %d apps changed, %d connections to close", len(changed), len(closing)
        )
        if self._apps_of_database is not None:
            self._apps_of_database.use_defaults(config.defaults)
        self._config = structs.replace(self._config, apps=config.apps, defaults=config.defaults)
        if webhooks.are_expected(config):
            self._webhooks.expect()
        self._close_gently(closing)

    def _problem(self) -> str | None:
        """The text that `/ready` adds; None when nothing is wrong."""
        problems = [self._cluster.problem, self.apps.problem, self._webhooks.problem]
        return "; ".join(problem for problem in problems if problem is not None) or None

    def _database(self, config: Config) -> DatabaseApps | None:
        """Return the apps of the database; None when they stand in the file."""
        if not config.database.url:
            return None
        return DatabaseApps(
            config.database,
            config.defaults,
            time.monotonic,
            published=() if config.server.is_local else published_secrets(),
            on_change=self._app_changed,
        )

    def _app_announced(self, app_id: str) -> None:
        """Read an app again, because another node has announced that the database has another value of it."""
        if self._apps_of_database is not None:
            self._apps_of_database.note_announced(app_id)

    def _app_changed(self, app_id: str, app: App | None, is_news: bool) -> None:
        """The database has another value of an app that is in use.

        Other nodes need not wait for their poll. A node that got the change from another does not publish it.
        """
        if is_news:
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
        self._expiry.tick()
        self._cluster.sweep()
        if self._apps_of_database is not None:
            self._apps_of_database.tick()
        self.node.tick()
        self._clients.heartbeat.tick(self._clients.clock())
        self._edge.admission.full_apps.tick()
        self._guard.tick(now)

    def _uvicorn(self) -> uvicorn.Config:
        config = self._config
        return uvicorn_config(
            config,
            create_api(self._api, config.http, time.time, config.server.path_prefix),
            edge=self._edge,
            guard=self._guard,
            misdirected=self._misdirected,
            reserve=self._reserve,
            certificate=self._certificate,
        )

    def _report(self, urls: list[str], file_limit: int) -> StartReport:
        loop = type(asyncio.get_running_loop()).__module__.partition(".")[0]
        operations = "" if self._operations is None else self._operations.url
        return StartReport(
            loop=loop, file_limit=file_limit, workers=1, urls=urls, operations=operations
        )


def _call_soon(callback: Callable[[], None]) -> None:
    asyncio.get_running_loop().call_soon(callback)


def _node_parts(node_id: str, hub: Hub, shared: cluster.Cluster) -> NodeParts:
    return NodeParts(
        node_id=node_id,
        hub=hub,
        broker=shared.broker,
        roster=shared.roster,
        census=shared.census,
        observers=Observers(),
        evidence=Evidence(time.monotonic),
        clock=time.monotonic,
        # A random start in 2**62: two nodes that count from there never meet.
        event_ids=count(secrets.randbits(62)),
    )


def _loop_time() -> float:
    return asyncio.get_running_loop().time()


def _limiter(config: Config, tallies: Tallies | None) -> RateLimiter:
    if tallies is None or not config.cluster.shared_rates:
        return LocalRateLimiter(time.monotonic)
    return SharedRateLimiter(time.monotonic, tallies)


def _node_id(config: Config, spec: WorkerSpec | None) -> str:
    """Unique among all processes there ever were: a restarted node is not taken for its predecessor."""
    named = config.cluster.node_id
    if spec is None:
        return f"{named or secrets.token_hex(4)}.{secrets.token_hex(4)}"
    return f"{named}-{spec.index}.{spec.node_id}" if named else f"{spec.node_id}.{spec.index}"


def _changed_sections(before: Config, after: Config) -> list[str]:
    names = ("server", "websocket", "http", "operations", "log", "cluster", "webhooks", "database")
    return [name for name in names if getattr(before, name) != getattr(after, name)]
