"""Limits the connections, and attempts at them, of one address: `[server]`, off unless set.

An address is an IPv4 address or the /64 of an IPv6 one, as a single customer gets it. Each process counts by
itself. A client over a limit is asked to come again later (4100, 429), never refused for good.
"""

import logging
import math
from collections.abc import Callable
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Network, ip_address

from msgspec import Struct

from pusher_server.log_rate_limit import LogRateLimit, repeated
from pusher_server.protocol.errors import Code, ConnectionRejected
from pusher_server.server.proxies import TrustedProxies

logger = logging.getLogger("pusher_server.server")

CONNECTIONS = "server.connections_per_address"
ATTEMPTS = "server.connection_attempts_per_address"

#: Seconds' worth of attempts that may come at once.
_BURST = 10.0
#: Addresses whose attempts are remembered; beyond it the one that has tried longest ago is forgotten.
_KEPT = 100_000
#: Seconds after which a client with too many connections should try again.
_RETRY = 5


class TooMany(Struct, frozen=True):
    """A refusal. `reason` is one word for metrics, `retry` the seconds until an attempt may succeed."""

    reason: str
    retry: int

    @property
    def text(self) -> str:
        """The text that the client gets."""
        return "Too many connections from your address, try again later"


class Visit(Struct):
    """One connection. `counted`: the address that it counts for, "" when it does not count."""

    counted: str = ""
    refusal: TooMany | None = None

    @property
    def rejection(self) -> ConnectionRejected | None:
        """The refusal of a WebSocket: 4100, so that it comes again."""
        if self.refusal is None:
            return None
        return ConnectionRejected(Code.OVER_CAPACITY, self.refusal.text, reason=self.refusal.reason)


class AddressLimits:
    """0 is no limit; `attempts` are per second. `clock` gives seconds that only rise."""

    def __init__(
        self, connections: int, attempts: float, *, clock: Callable[[], float], kept: int = _KEPT
    ) -> None:
        self._most = connections
        self._interval = 1 / attempts if attempts else 0.0
        # An attempt every minute is one at a time, not a sixth of one.
        self._burst = max(_BURST, self._interval)
        self._clock = clock
        self._kept = kept
        self._connections: dict[str, int] = {}
        #: Address -> when all its attempts will be paid for (the generic cell rate algorithm); past is no
        #: news. The one that has tried longest ago is first.
        self._paid: dict[str, float] = {}
        self._log_limit = LogRateLimit()

    def enter(self, address: str) -> Visit:
        """Count a client that connects from there. Call `leave` when it is gone."""
        key = key_of(address)
        refusal = self.attempt(key)
        if refusal is None and self._most:
            count = self._connections.get(key, 0)
            if count >= self._most:
                refusal = TooMany("address_connections", _RETRY)
                self._say(key, CONNECTIONS, f"{self._most:g}")
            else:
                self._connections[key] = count + 1
                return Visit(key)
        return Visit("", refusal)

    def attempt(self, address: str) -> TooMany | None:
        """Count an attempt of a client that uses a proxy's connection. Returns the refusal, if any."""
        if not self._interval:
            return None
        key, now = key_of(address), self._clock()
        paid = max(now, self._paid.get(key, now)) + self._interval
        wait = paid - now - self._burst
        if (
            wait > 1e-9
        ):  # a refusal costs nothing: many clients behind one address come in at the pace
            self._say(key, ATTEMPTS, f"{1 / self._interval:g} per second")
            return TooMany("address_attempts", max(1, math.ceil(wait)))
        self._paid.pop(key, None)
        self._paid[key] = paid
        self._forget(now)
        return None

    def leave(self, visit: Visit) -> None:
        """The connection is gone."""
        key, visit.counted = visit.counted, ""
        if not key:
            return
        left = self._connections[key] - 1
        if left:
            self._connections[key] = left
        else:
            del self._connections[key]

    def uncounted(self, proxy: str | None) -> None:
        """A trusted proxy (None: behind the Unix socket) did not name the client of a WebSocket."""
        if self._log_limit.due("uncounted", self._clock()):
            which = (
                "behind the Unix socket" if proxy is None else f"{proxy} (server.trusted_proxies)"
            )
            logger.warning(
                "clients are not counted by address: the proxy %s sends no X-Forwarded-For", which
            )

    def _forget(self, now: float) -> None:
        """Forget up to two old addresses for each new one, so that none is kept for long."""
        for _ in range(2):
            oldest = next(iter(self._paid))
            if self._paid[oldest] > now and len(self._paid) <= self._kept:
                return
            del self._paid[oldest]
            if not self._paid:
                return

    def _say(self, key: str, setting: str, limit: str) -> None:
        refusals = self._log_limit.due(setting, self._clock())
        if refusals:
            text = "clients from %s are sent away: over %s (%s)"
            logger.warning(text, key, setting, limit, extra=repeated(refusals))


class Entrance:
    """Finds the address that a connection counts for: its peer's, or the client's of a trusted proxy."""

    def __init__(self, limits: AddressLimits, proxies: TrustedProxies) -> None:
        self._limits = limits
        self._proxies = proxies

    def connected(self, peer: str | None) -> Visit | None:
        """Count a connection from there; None when it is a proxy's, or a Unix socket's."""
        if peer is None or self._proxies.trusts(peer):
            return None
        return self._limits.enter(peer)

    def first_request(self, peer: str | None, forwarded_for: str | None) -> Visit:
        """The first request on a proxy's connection is an attempt of the client that it is for.

        The connection itself will be used for others.
        """
        client = self._client(peer, forwarded_for)
        return Visit("", None if client is None else self._limits.attempt(client))

    def websocket(self, peer: str | None, forwarded_for: str | None) -> Visit:
        """A WebSocket on a proxy's connection is its client's alone."""
        client = self._client(peer, forwarded_for)
        if client is None:
            self._limits.uncounted(peer)
            return Visit()
        return self._limits.enter(client)

    def leave(self, visit: Visit) -> None:
        """The connection is gone."""
        self._limits.leave(visit)

    def _client(self, peer: str | None, forwarded_for: str | None) -> str | None:
        if forwarded_for is None:
            return None
        client = self._proxies.client(peer, forwarded_for)
        return None if client == "unix" or self._proxies.trusts(client) else client


@lru_cache(maxsize=4_096)
def key_of(address: str) -> str:
    """The address to count for: an IPv4 address, also one inside an IPv6 one, or a /64."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(IPv6Network((int(parsed) >> 64 << 64, 64)))
