"""A Redis of one's own, in each topology: a single server, a master with Sentinels, a Redis Cluster.

They have the same verbs, so that faults can be drawn for any of them. As in `redis_servers`, everything blocks.
"""

import os
import shutil
from binascii import crc_hqx
from collections.abc import Sequence
from functools import partial
from typing import Protocol

from pusher_server.config.redis import RedisSettings
from tests.support.redis_servers import RedisServer, until
from tests.support.serving import free_port

MASTER = "the-master"
SLOTS = 16_384


class RedisTopology(Protocol):
    """What tests do to a Redis, whatever it consists of."""

    #: For the nodes; give it a prefix of its own with `msgspec.structs.replace`.
    settings: RedisSettings

    def masters(self) -> Sequence[RedisServer]:
        """Those that hold the data now."""

    def kill(self) -> None:
        """The master of the first store crashes; what takes over, if anything, is Redis's business."""

    def restart(self, *, empty: bool) -> None:
        """All masters crash and come back at once, before anything takes over."""

    def pause(self) -> None:
        """The masters hang."""

    def resume(self) -> None:
        """The masters go on."""

    def failover(self) -> None:
        """A replica becomes the master of the first store; returns when it is."""

    def flush(self) -> None:
        """Somebody runs FLUSHALL."""

    def forget_scripts(self) -> None:
        """Somebody runs SCRIPT FLUSH."""

    def close(self) -> None:
        """End everything."""


class _Masters:
    """The verbs that are the same for all."""

    _paused: Sequence[RedisServer] = ()

    def masters(self) -> Sequence[RedisServer]:
        raise NotImplementedError

    def restart(self, *, empty: bool) -> None:
        for each in self.masters():
            each.restart(empty=empty)

    def pause(self) -> None:
        self._paused = self.masters()
        for each in self._paused:
            each.pause()

    def resume(self) -> None:
        for each in self._paused:
            each.resume()

    def flush(self) -> None:
        for each in self.masters():
            each.ask("FLUSHALL")

    def forget_scripts(self) -> None:
        for each in self.masters():
            each.ask("SCRIPT", "FLUSH")

    def kill(self) -> None:
        self.masters()[0].kill()


class SingleRedis(_Masters):
    """One server."""

    def __init__(self) -> None:
        self.server = RedisServer().start()
        self.settings = RedisSettings(url=f"redis://{self.server.address}/0")

    def masters(self) -> Sequence[RedisServer]:
        return [self.server]

    def failover(self) -> None:
        """Nothing takes over from a single server: another process with what the old one knew."""
        self.server.restart(empty=False)

    def close(self) -> None:
        self.server.close()


class SentinelRedis(_Masters):
    """A master and a replica, watched by three Sentinels that lose patience after 300 ms."""

    def __init__(self, *, down_after: int = 300) -> None:
        self.servers = [RedisServer().start()]
        self._master = self.servers[0]
        replica = RedisServer(options={"replicaof": f"{self._master.host} {self._master.port}"})
        self.servers.append(replica.start())
        until(partial(_follows, replica), "replication")
        self.sentinels = [self._sentinel(down_after) for _ in range(3)]
        for each in self.sentinels:
            until(partial(self._is_ready, each), "Sentinels that know each other")
        self.settings = RedisSettings(
            sentinels=tuple(each.address for each in self.sentinels), sentinel_master=MASTER
        )

    def _sentinel(self, down_after: int) -> RedisServer:
        sentinel = RedisServer(program="redis-sentinel")
        (sentinel.folder / "redis.conf").write_text(
            f"bind {sentinel.host}\nport {sentinel.port}\n"
            f"sentinel monitor {MASTER} {self._master.host} {self._master.port} 2\n"
            f"sentinel down-after-milliseconds {MASTER} {down_after}\n"
            f"sentinel failover-timeout {MASTER} 2000\n",
            "utf-8",
        )
        if os.getuid() == 0:
            shutil.chown(sentinel.folder / "redis.conf", sentinel.user)
        sentinel.start()
        # They greet each other every 2 s and look for replicas every 10 s, unless told otherwise. A replica
        # that calls itself master is put back after four greetings: with 100 ms before it was seen promoted.
        sentinel.ask(
            "SENTINEL", "DEBUG", "INFO-PERIOD", 200, "PUBLISH-PERIOD", 500, "PING-PERIOD", 100
        )
        return sentinel

    def _is_ready(self, sentinel: RedisServer) -> bool:
        state = _pairs(sentinel.ask("SENTINEL", "MASTER", MASTER))
        return state[b"num-other-sentinels"] == b"2" and self._sees_replica(sentinel)

    def _sees_replica(self, sentinel: RedisServer) -> bool:
        """One that it would promote."""
        found = [_pairs(each) for each in sentinel.ask("SENTINEL", "REPLICAS", MASTER)]
        good = [each for each in found if each[b"flags"] == b"slave"]
        return [each[b"master-link-status"] for each in good] == [b"ok"]

    def masters(self) -> Sequence[RedisServer]:
        """The one that the Sentinels name."""
        _, port = self.sentinels[0].ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER)
        return [next(each for each in self.servers if each.port == int(port))]

    def failover(self) -> None:
        """The master crashes, the Sentinels elect the replica, the old one returns as its replica."""
        old = self.masters()[0]
        other = next(each for each in self.servers if each is not old)
        until(partial(_follows, other), "a replica")
        old.kill()
        for each in self.sentinels:
            until(partial(self._names, each, other), "failover")
        until(lambda: other.ask("ROLE")[0] == b"master", "promotion")
        old.start()
        until(partial(_follows, old), "the old master's return")
        for each in self.sentinels:
            until(partial(self._sees_replica, each), "the old master's return")

    def _names(self, sentinel: RedisServer, server: RedisServer) -> bool:
        return int(sentinel.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER)[1]) == server.port

    def close(self) -> None:
        for each in [*self.sentinels, *self.servers]:
            each.close()


class ClusterRedis(_Masters):
    """Three masters, with a replica each if asked for."""

    def __init__(self, *, replicas: bool = False, node_timeout: int = 1_000) -> None:
        self.servers = [self._node(node_timeout) for _ in range(6 if replicas else 3)]
        first, step = self.servers[0], SLOTS // 3 + 1
        for number, each in enumerate(self.servers):
            each.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            if number < 3:
                last = min(SLOTS, (number + 1) * step) - 1
                each.ask("CLUSTER", "ADDSLOTSRANGE", number * step, last)
            if each is not first:
                each.ask("CLUSTER", "MEET", first.host, first.port, self._bus_port(first))
        self.agree()
        for number, each in enumerate(self.servers[3:]):
            each.ask("CLUSTER", "REPLICATE", self.id_of(self.servers[number]))
        for each in self.servers[3:]:
            until(partial(_follows, each), "replicas")
        for each in self.servers:
            until(partial(self._knows_replicas, each), "gossip")
        places = ",".join(each.address for each in self.servers)
        self.settings = RedisSettings(url=f"redis://{places}", cluster=True)

    def _node(self, node_timeout: int) -> RedisServer:
        bus = free_port()
        options = {
            "cluster_enabled": "yes",
            "cluster_port": bus,
            "cluster_node_timeout": node_timeout,
            "cluster_config_file": "nodes.conf",
        }
        return RedisServer(options=options).start()

    def _bus_port(self, server: RedisServer) -> int:
        return int(str(server.options["cluster_port"]))

    def agree(self) -> None:
        """Wait until all that run know all, and serve all slots."""
        for each in self.servers:
            if each.is_running:
                until(partial(self._is_well, each), "a Redis Cluster that agrees")

    def _is_well(self, server: RedisServer) -> bool:
        info = server.ask("CLUSTER", "INFO")
        known = f"cluster_known_nodes:{len(self.servers)}\r".encode()
        return b"cluster_state:ok" in info and known in info

    def _knows_replicas(self, server: RedisServer) -> bool:
        return bytes(server.ask("CLUSTER", "NODES")).count(b"slave ") == len(self.servers) - 3

    def id_of(self, server: RedisServer) -> str:
        """Its name in the Redis Cluster."""
        return str(server.ask("CLUSTER", "MYID"), "ascii")

    def masters(self) -> Sequence[RedisServer]:
        """In the order in which they were made, the owner of the first store's slot first."""
        found = [
            each for each in self.servers if each.is_running and each.ask("ROLE")[0] == b"master"
        ]
        owner = self.owner_of(self.slot())
        return sorted(found, key=lambda each: each is not owner)

    def slot(self, bucket: int = 0, prefix: str | None = None) -> int:
        """Where a store lives."""
        return crc_hqx(f"{prefix or self.settings.prefix}:{bucket}".encode(), 0) % SLOTS

    def owner_of(self, slot: int) -> RedisServer:
        """The master that has it."""
        for each in self.servers:
            if each.is_running:
                for first, last, (_, port, *_), *_ in each.ask("CLUSTER", "SLOTS"):
                    if first <= slot <= last:
                        return next(each for each in self.servers if each.port == port)
        raise AssertionError(f"nobody has slot {slot}")

    def restart(self, *, empty: bool) -> None:
        super().restart(empty=empty)
        self.agree()

    def failover(self) -> None:
        """The replica of the first store's master takes over, asked nicely."""
        self.failover_of(self.owner_of(self.slot()))

    def failover_of(self, master: RedisServer) -> None:
        """The same, for this master."""
        replica = next(each for each in self.servers if self._replicates(each, master))
        replica.ask("CLUSTER", "FAILOVER")
        until(lambda: replica.ask("ROLE")[0] == b"master", "failover")
        until(lambda: master.ask("ROLE")[0] == b"slave", "failover")
        self.agree()

    def _replicates(self, server: RedisServer, master: RedisServer) -> bool:
        role = server.ask("ROLE")
        return bool(role[0] == b"slave" and role[2] == master.port)

    def reshard(self, slot: int) -> None:
        """Move a slot with its keys to another master."""
        source = self.owner_of(slot)
        target = next(each for each in self.masters() if each is not source)
        self.begin_reshard(slot, source, target)
        while keys := source.ask("CLUSTER", "GETKEYSINSLOT", slot, 100):
            names = (str(key, "utf-8") for key in keys)
            source.ask("MIGRATE", target.host, target.port, "", 0, 5_000, "KEYS", *names)
        for each in (target, source, *self.servers):
            if each.ask("ROLE")[0] == b"master":
                each.ask("CLUSTER", "SETSLOT", slot, "NODE", self.id_of(target))
        until(
            lambda: all(_owner_port(each, slot) == target.port for each in self.servers),
            "resharding",
        )

    def begin_reshard(self, slot: int, source: RedisServer, target: RedisServer) -> None:
        """The state in which half of a slot's keys may be on either side."""
        target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", self.id_of(source))
        source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", self.id_of(target))

    def close(self) -> None:
        for each in self.servers:
            each.close()


def _follows(server: RedisServer) -> bool:
    """A replica that has all of its master's data."""
    return b"master_link_status:up" in server.ask("INFO", "replication")


def _owner_port(server: RedisServer, slot: int) -> int:
    for first, last, (_, port, *_), *_ in server.ask("CLUSTER", "SLOTS"):
        if first <= slot <= last:
            return int(port)
    return 0


def _pairs(flat: list[bytes]) -> dict[bytes, bytes]:
    return dict(zip(flat[::2], flat[1::2], strict=True))
