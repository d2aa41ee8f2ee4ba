"""Three nodes on Redis: a single server, Sentinel, or a Redis Cluster, with their faults."""

import asyncio
from collections.abc import Callable
from typing import Any

from tests.chaos.setups import Fault, Setup
from tests.support.link_proxy import LinkProxy, Mode
from tests.support.redis_topologies import ClusterRedis, RedisTopology, SentinelRedis, SingleRedis

NODES = 3


class _OnRedis(Setup):
    """Nodes that share a Redis, whatever it consists of."""

    processes = NODES
    redis: RedisTopology

    def faults(self) -> dict[str, Fault]:
        """Those of nodes, and those that every Redis can have."""
        return {
            "node killed": self.kill_node,
            "node restarted": self.restart_node,
            "node stopped": self.stop_node,
            "node stopped past the lease": self.stop_node,
            "Redis emptied": self._at_once(lambda: self.redis.flush()),
            "Redis forgets scripts": self._at_once(lambda: self.redis.forget_scripts()),
            "Redis stopped": self._stop_redis,
            "Redis stopped past the lease": self._stop_redis,
        }

    async def start_redis(self, make: Callable[[], RedisTopology]) -> None:
        """Servers of our own, ended with the set-up."""
        self.redis = await asyncio.to_thread(make)
        self.stack.callback(self.redis.close)

    def on_redis(self, number: int, **redis: Any) -> None:
        """One more node, with these fields as `[cluster.redis]`."""
        name = f"node-{number}"
        cluster = {"node_id": name, "lease": self.timing.lease, "redis": redis}
        self.nodes.append(self.node(name, cluster=cluster))

    def _at_once(self, do: Callable[[], Any]) -> Fault:
        """A fault that is a single act; it blocks for a moment."""

        async def fault(target: int, seconds: float) -> None:
            async with self.lock("Redis"):
                await asyncio.to_thread(do)

        return fault

    async def _stop_redis(self, target: int, seconds: float) -> None:
        async with self.lock("Redis"):
            await asyncio.to_thread(self.redis.pause)
            try:
                await asyncio.sleep(seconds)
            finally:
                self.redis.resume()


class OnSingle(_OnRedis):
    """One Redis server, with a proxy between it and each node."""

    def faults(self) -> dict[str, Fault]:
        """Also those of the links, and Redis killed and started again later."""
        return {
            **super().faults(),
            "Redis restarted empty": self._restart_redis,
            "Redis away past the lease": self._restart_redis,
            "link cut": self._link("cut"),
            "link cut past the lease": self._link("cut"),
            "link half-open": self._link("swallow"),
        }

    async def prepare(self) -> None:
        """The server, and three nodes."""
        self._single = SingleRedis()
        await self.start_redis(lambda: self._single)
        self._proxies = []
        for number in range(NODES):
            upstream = (self._single.server.host, self._single.server.port)
            proxy = await self.stack.enter_async_context(LinkProxy(upstream))
            self._proxies.append(proxy)
            self.on_redis(number, url=f"redis://127.0.0.1:{proxy.port}/0")

    async def _restart_redis(self, target: int, seconds: float) -> None:
        server = self._single.server
        async with self.lock("Redis"):
            await asyncio.to_thread(server.kill)
            await asyncio.sleep(seconds)
            await asyncio.to_thread(server.start)

    def _link(self, mode: Mode) -> Fault:
        async def fault(target: int, seconds: float) -> None:
            async with self.lock(f"link {target}"):
                self.away(target, seconds)
                self._proxies[target].set(mode)
                await asyncio.sleep(seconds)
                self._proxies[target].set("pass")

        return fault


class _WithReplicas(_OnRedis):
    """A master that does not answer for long is replaced, and what its replica had not got is lost."""

    def forgets(self, kind: str) -> bool:
        """Also when masters hang."""
        return super().forgets(kind) or kind.startswith("Redis stopped")


class OnSentinel(_WithReplicas):
    """A master and a replica under three Sentinels."""

    def faults(self) -> dict[str, Fault]:
        """Also the loss of the master."""
        return {**super().faults(), "failover": self._at_once(lambda: self.redis.failover())}

    async def prepare(self) -> None:
        """The servers, and three nodes."""
        await self.start_redis(SentinelRedis)
        settings = self.redis.settings
        for number in range(NODES):
            self.on_redis(
                number,
                sentinels=list(settings.sentinels),
                sentinel_master=settings.sentinel_master,
            )


class OnCluster(_WithReplicas):
    """A Redis Cluster of three masters with a replica each."""

    def faults(self) -> dict[str, Fault]:
        """Also a replica that takes over, and a slot that moves."""
        return {
            **super().faults(),
            "failover": self._at_once(lambda: self.redis.failover()),
            "resharding": self._at_once(self._reshard),
        }

    async def prepare(self) -> None:
        """The servers, and three nodes."""
        self._cluster = await asyncio.to_thread(lambda: ClusterRedis(replicas=True))
        await self.start_redis(lambda: self._cluster)
        for number in range(NODES):
            self.on_redis(number, url=self.redis.settings.url, cluster=True)

    def _reshard(self) -> None:
        self._cluster.reshard(self._cluster.slot())
