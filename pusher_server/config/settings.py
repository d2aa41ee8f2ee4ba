"""The settings tree: one struct per table of `config.example.toml`, which documents every field.

Sizes are bytes, times are seconds. `__post_init__` checks the rules that a type cannot express. Its
messages start with the field's name and "is" or "has", from which `problems` reads the setting's name.
"""

import ipaddress
import re
from collections.abc import Mapping
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from pusher_server.app import App, stray_character
from pusher_server.config.redis import RedisSettings

Port = Annotated[int, Meta(ge=0, le=65_535)]
Count = Annotated[int, Meta(ge=0)]
#: At most a day: event loops refuse timers without end.
Seconds = Annotated[float, Meta(ge=0, le=86_400)]
#: A wait that must end: 0 would mean "at once, always".
Deadline = Annotated[float, Meta(gt=0, le=86_400)]
Bytes = Annotated[int, Meta(ge=1)]


AppsFrom = Literal["file", "embedded", "environment", "variable", "database"]


class TlsSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[server.tls]`: PEM files; both or neither."""

    certificate: str = ""
    key: str = ""
    key_password: str = ""

    def __post_init__(self) -> None:
        if self.certificate and not self.key:
            raise ValueError("key is missing; name the private key that belongs to the certificate")
        if self.key and not self.certificate:
            raise ValueError("certificate is missing; name the one that belongs to the private key")

    def __repr__(self) -> str:
        return f"TlsSettings(certificate={self.certificate!r}, key={self.key!r}, key_password=***)"


class ServerSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[server]`: addresses to listen on, processes and event loop."""

    host: str = "127.0.0.1"
    port: Port = 6001
    unix_socket: str = ""
    workers: int | str = 1
    path_prefix: str = ""
    trusted_proxies: tuple[str, ...] = ()
    proxy_protocol: bool = False
    loop: Literal["auto", "uvloop", "asyncio"] = "auto"
    backlog: Bytes = 2_048
    connections_per_address: Count = 0
    connection_attempts_per_address: Annotated[float, Meta(ge=0, le=1_000_000)] = 0.0
    drain_delay: Seconds = 0.0
    shutdown_grace: Seconds = 5.0
    tls: TlsSettings = field(default_factory=TlsSettings)

    def __post_init__(self) -> None:
        if not self.host and not self.unix_socket:
            raise ValueError("host is empty; write 127.0.0.1, or 0.0.0.0 for every interface")
        if self.workers != "auto" and not re.fullmatch(r"[1-9]\d{0,2}", str(self.workers)):
            raise ValueError(
                f'workers is {self.workers!r}; write a whole number from 1 to 999, or "auto"'
            )
        if not re.fullmatch(r"(/[^/?#\s]+)*", self.path_prefix):
            raise ValueError(
                f"path_prefix is {self.path_prefix!r}; write it as '/name', or leave it empty"
            )
        for proxy in self.trusted_proxies:
            if not _is_network(proxy):
                raise ValueError(
                    f"trusted_proxies has {proxy!r}; write networks such as '10.0.0.0/8'"
                )
        if self.proxy_protocol and not (self.trusted_proxies or self.unix_socket):
            raise ValueError(
                "proxy_protocol is true and trusted_proxies is empty; name the proxies that send the header"
            )

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach us: a loopback address or a Unix socket."""
        if self.unix_socket or self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True


class WebsocketSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[websocket]`: liveness, slow readers, capacity of one process."""

    pong_timeout: Deadline = 30.0
    wait_timeout: Deadline = 10.0
    write_buffer_bytes: Bytes = 2_097_152
    stall_timeout: Deadline = 2.0
    send_buffer_bytes: Count = 131_072
    max_connections: Count = 0
    subscriptions_per_second: Count = 0


class HttpSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[http]`: limits and options of the HTTP API."""

    request_bytes: Bytes = 10_485_760
    header_bytes: Bytes = 65_536
    header_timeout: Deadline = 10.0
    body_timeout: Deadline = 30.0
    keep_alive: Deadline = 75.0
    timestamp_tolerance: Annotated[int, Meta(ge=1)] = 600
    json_errors: bool = False
    cors: bool = False


class OperationsSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[operations]`: the listener of metrics and health."""

    enabled: bool = True
    host: str = "127.0.0.1"
    port: Port = 9601
    soketi_names: bool = False
    token: str = ""

    def __post_init__(self) -> None:
        if not self.host:
            raise ValueError("host is empty; write 127.0.0.1, or 0.0.0.0 for every interface")
        if not re.fullmatch(r"[!-~]*", self.token):
            raise ValueError("token has a blank or a character that no HTTP header can carry")
        problem = stray_character(self.token)
        if problem:
            raise ValueError(f"token {problem}")

    def __repr__(self) -> str:
        return (
            f"OperationsSettings(enabled={self.enabled!r}, host={self.host!r}, port={self.port!r},"
            f" soketi_names={self.soketi_names!r}, token=***)"
        )


class LogSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[log]`: how much and in which form, always to standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["console", "json"] = "console"
    access: bool = False


class ClusterSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[cluster]`: this node's id and lease, and the connections to other nodes."""

    node_id: str = ""
    lease: Annotated[float, Meta(ge=1, le=3_600)] = 10.0
    undo_window: Seconds = 3.0
    start_timeout: Seconds = 5.0
    shared_rates: bool = False
    bus_directory: str = ""
    redis: RedisSettings = field(default_factory=RedisSettings)

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9_-]{0,64}", self.node_id):
            raise ValueError(
                f"node_id is {self.node_id!r}; write letters, digits, '_' and '-', 64 at most"
            )


class DatabaseSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[database]`: apps from an SQL table, instead of `[[apps]]`; no url means none."""

    url: str = ""
    preset: Literal["own", "soketi", "laravel-websockets"] = "own"
    table: str = ""
    poll_interval: Deadline = 2.0
    #: Setting of an app -> column, over the preset's own; `limits` may be a table of its own.
    columns: dict[str, str | dict[str, str]] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"DatabaseSettings(url=***, preset={self.preset!r}, table={self.table!r})"


#: Link-local addresses, and others at which clouds give a machine its secrets: those of Amazon, Google,
#: Scaleway, Alibaba and Azure.
DENIED_NETWORKS = (
    "169.254.0.0/16",
    "fe80::/10",
    "fd00:ec2::/32",
    "fd20:ce::/64",
    "fd00:42::42/128",
    "100.100.100.200/32",
    "168.63.129.16/32",
)


class WebhookSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[webhooks]`: how the webhooks of all apps are stored and sent; each app has its own list of webhooks."""

    outbox: str = ""
    waiting: Annotated[int, Meta(ge=1, le=10_000_000)] = 100_000
    waiting_bytes: Annotated[int, Meta(ge=1_048_576, le=1_099_511_627_776)] = 268_435_456
    dead_letters: Annotated[int, Meta(ge=0, le=1_000_000)] = 1_000
    log_size: Annotated[int, Meta(ge=1, le=100_000)] = 200
    timeout: Annotated[float, Meta(gt=0, le=60)] = 10.0
    retry_first: Annotated[float, Meta(gt=0, le=290)] = 1.0
    retry_longest: Annotated[float, Meta(gt=0, le=290)] = 60.0
    #: Python's validator refuses a body that is 300 s old.
    retry_for: Annotated[float, Meta(gt=0, le=290)] = 290.0
    batch_window: Annotated[float, Meta(ge=0, le=10)] = 0.05
    batch_events: Annotated[int, Meta(ge=1, le=1_000)] = 100
    denied_networks: tuple[str, ...] = DENIED_NETWORKS

    def __post_init__(self) -> None:
        for network in self.denied_networks:
            if not _is_network(network):
                raise ValueError(
                    f"denied_networks has {network!r}; write networks such as '10.0.0.0/8'"
                )
        if "\0" in self.outbox:
            raise ValueError("outbox has a zero byte; name a file")
        if self.retry_longest < self.retry_first:
            raise ValueError(
                f"retry_longest is {self.retry_longest:g}, which is less than retry_first"
                f" ({self.retry_first:g}); write the longest pause between attempts"
            )


class Config(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All settings. `server/composition.py` gives each component its own part, never the whole tree."""

    server: ServerSettings = field(default_factory=ServerSettings)
    websocket: WebsocketSettings = field(default_factory=WebsocketSettings)
    http: HttpSettings = field(default_factory=HttpSettings)
    operations: OperationsSettings = field(default_factory=OperationsSettings)
    log: LogSettings = field(default_factory=LogSettings)
    cluster: ClusterSettings = field(default_factory=ClusterSettings)
    webhooks: WebhookSettings = field(default_factory=WebhookSettings)
    database: DatabaseSettings = field(default_factory=DatabaseSettings)
    #: `[defaults]` is already merged into these.
    apps: tuple[App, ...] = ()
    #: Where apps come from: the operator's file, our published example, `PUSHER_APP_*`,
    #: `PUSHER_SERVER__APPS`, or the database; then `apps` is empty.
    apps_from: AppsFrom = "embedded"
    #: `[defaults]` as written and checked, for the apps that a database brings.
    defaults: Mapping[str, object] = field(default_factory=dict)
    #: Settings of the command line (dotted path -> value); a reload has to apply them again.
    overrides: Mapping[str, object] = field(default_factory=dict)
    #: Notes for the operator about sources that were ignored; shown once at start.
    notices: tuple[str, ...] = ()

    @property
    def denied_to_webhooks(self) -> tuple[str, ...]:
        """Networks that no webhook may reach; none for apps of the file, which the operator writes."""
        return self.webhooks.denied_networks if self.apps_from == "database" else ()

    def __repr__(self) -> str:
        shown = {
            name: getattr(self, name) for name in self.__struct_fields__ if name != "defaults"
        }  # as they were written: their webhooks may hold secrets
        return f"Config({', '.join(f'{name}={value!r}' for name, value in shown.items())})"


#: The tables that `[section]` may name, with their structs.
SECTIONS: dict[str, type[Struct]] = {
    "server": ServerSettings,
    "websocket": WebsocketSettings,
    "http": HttpSettings,
    "operations": OperationsSettings,
    "log": LogSettings,
    "cluster": ClusterSettings,
    "webhooks": WebhookSettings,
    "database": DatabaseSettings,
}
