"""`[cluster.redis]`: the addresses of Redis, and the login, TLS and prefix for it."""

import re
from typing import Annotated
from urllib.parse import unquote, urlsplit

from msgspec import Meta, Struct

DEFAULT_PORT = 6379
SENTINEL_PORT = 26379

_PLACE = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\s:/@\[\]]+))(?::([0-9]{1,5}))?")


class RedisAddress(Struct, frozen=True):
    """Where a server listens: host and port, or the path of a Unix socket."""

    host: str = ""
    port: int = DEFAULT_PORT
    path: str = ""

    def __str__(self) -> str:
        if self.path:
            return self.path
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def address_of(text: str, default_port: int = DEFAULT_PORT) -> RedisAddress | None:
    """`host`, `host:port` or `[address]:port`; None when it is none of them."""
    match = _PLACE.fullmatch(text)
    if match is None:
        return None
    port = int(match[3] or default_port)
    return RedisAddress(match[1] or match[2], port) if 0 < port < 65_536 else None


class RedisUrl(Struct, frozen=True):
    """The parts of a URL. `addresses` has several hosts for a Redis Cluster only, none beside Sentinels."""

    addresses: tuple[RedisAddress, ...]
    tls: bool
    username: str
    password: str
    database: int

    def __repr__(self) -> str:
        return f"RedisUrl(places={self.addresses!r}, tls={self.tls!r}, database={self.database!r}, ***)"


def parse_url(url: str) -> RedisUrl:
    """`redis://[user[:password]@]host[:port][,host…][/db]`, `rediss://…`, `unix://[user[:password]@]/path`.

    Raises ValueError with a text that starts with "url" and has no password in it.
    """
    scheme, _, rest = url.partition("://")
    if scheme not in {"redis", "rediss", "unix"} or not rest:
        raise ValueError(
            "url is none of redis://host:6379/0, rediss://host:6379/0 (TLS) and unix:///path/redis.sock"
        )
    try:
        parts = urlsplit(url)
        query = parts.query
    except ValueError:
        raise ValueError(
            "url has an unreadable host; write redis://host:6379/0, and in a password %5B for '['"
            " (percent-encoding)"
        ) from None
    if query or parts.fragment:
        raise ValueError(
            "url has a '?' or '#'; options have settings of their own, and"
            " in a password %23 is '#' and %3F is '?' (percent-encoding)"
        )
    login, _, hosts = parts.netloc.rpartition("@")
    username, _, password = login.partition(":")
    if scheme == "unix":
        addresses: tuple[RedisAddress, ...] = (RedisAddress(path=unquote(parts.path)),)
        database = "0"
        if hosts or not parts.path:
            raise ValueError("url has no path; write unix:///path/redis.sock")
    else:
        parsed = [address_of(host) for host in hosts.split(",")] if hosts else []
        addresses = tuple(address for address in parsed if address is not None)
        if len(addresses) != len(parsed):
            raise ValueError(
                "url has an unreadable host; write redis://host:6379/0, and in a password %2F for '/'"
                " (percent-encoding)"
            )
        database = parts.path.strip("/") or "0"
    if not re.fullmatch(r"[0-9]{1,5}", database):
        raise ValueError("url has no number as its database; write redis://host:6379/0")
    return RedisUrl(
        addresses=addresses,
        tls=scheme == "rediss",
        username=unquote(username),
        password=unquote(password),
        database=int(database),
    )


class RedisSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[cluster.redis]`. Without `url` and `sentinels` there is no Redis.

    Beside `sentinels`, `url` has everything but the host: `rediss://user:password@/2`.
    """

    url: str = ""
    sentinels: tuple[str, ...] = ()
    sentinel_master: str = ""
    sentinel_username: str = ""
    sentinel_password: str = ""
    cluster: bool = False
    prefix: str = "pusher-server"
    username: str = ""
    password: str = ""
    ca_certificate: str = ""
    certificate: str = ""
    key: str = ""
    verify: bool = True
    connect_timeout: Annotated[float, Meta(gt=0, le=86_400)] = 5.0

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9_.:-]{1,64}", self.prefix):
            raise ValueError(
                f"prefix is {self.prefix!r}; write letters, digits and '_.:-', 64 at most"
            )
        if self.certificate and not self.key:
            raise ValueError("key is missing; name the private key that belongs to the certificate")
        if self.key and not self.certificate:
            raise ValueError("certificate is missing; name the one that belongs to the private key")
        self._check_sentinels()
        if self.cluster and not self.url:
            raise ValueError(
                "url is empty, but cluster is true; name nodes of it: redis://a:6379,b:6379"
            )
        if self.url:
            self._check_url()

    def _check_sentinels(self) -> None:
        for sentinel in self.sentinels:
            if address_of(sentinel) is None:
                shown = re.sub(r"^.*@", "***@", sentinel)  # a password may stand before it
                raise ValueError(f"sentinels has {shown!r}; write 'host:26379'")
        if self.sentinels and not self.sentinel_master:
            raise ValueError(
                "sentinel_master is missing; write the name that the Sentinels have for the master"
            )
        if self.sentinel_master and not self.sentinels:
            raise ValueError("sentinels is empty, but sentinel_master is set; write 'host:26379'")
        if self.sentinels and self.cluster:
            raise ValueError("cluster is true beside sentinels; a Redis Cluster has no Sentinels")

    def _check_url(self) -> None:
        url = parse_url(self.url)
        if self.sentinels and url.addresses:
            raise ValueError(
                "url has a host beside sentinels, which know it; write the rest only: redis:///0"
            )
        if not self.sentinels and not url.addresses:
            raise ValueError("url has no host; write redis://host:6379/0")
        if len(url.addresses) > 1 and not self.cluster:
            raise ValueError("url has several hosts; that is for a Redis Cluster (cluster = true)")
        if self.cluster and (url.database or url.addresses[0].path):
            raise ValueError("url has a database or a path; a Redis Cluster has neither")
        if not url.tls and (self.ca_certificate or self.certificate):
            raise ValueError("url is without TLS, but certificates are set; write rediss://")

    @property
    def is_set(self) -> bool:
        """Whether there is a Redis at all."""
        return bool(self.url or self.sentinels)

    @property
    def sentinel_addresses(self) -> tuple[RedisAddress, ...]:
        """Where the Sentinels listen."""
        parsed = (address_of(sentinel, SENTINEL_PORT) for sentinel in self.sentinels)
        return tuple(address for address in parsed if address is not None)

    def __repr__(self) -> str:
        url = re.sub(r"//.*@", "//***@", self.url)
        return (
            f"RedisSettings(url={url!r}, sentinels={self.sentinels!r},"
            f" sentinel_master={self.sentinel_master!r}, cluster={self.cluster!r},"
            f" prefix={self.prefix!r}, username={self.username!r}, password=***)"
        )
