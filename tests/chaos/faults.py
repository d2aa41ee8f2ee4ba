"""What can go wrong, by name: how long it lasts, and what it may excuse.

A *set-up* (`setups.py` and its neighbours) says which of these it can do and does them; `plan.py` draws them.
"""

from dataclasses import dataclass

from tests.chaos.world import Timing


@dataclass(frozen=True)
class Kind:
    """`least` and `most` seconds, as `base` + multiples of the lease."""

    what: str
    least: float
    most: float
    #: What the nodes share is lost or out of reach: a process may know what nobody else does, and when it
    #: ends in the same round, its signals end with it.
    isolates: bool = False
    #: What the nodes share is lost. Then a node that is away for longer than a lease has come back too late to
    #: say what it had announced.
    forgets: bool = False


def kinds(timing: Timing) -> dict[str, Kind]:
    """Every fault, for this lease."""
    lease = timing.lease
    short, long = (0.2, 0.4 * lease), (lease + 1.0, lease + 3.0)
    instant = (0.1, 0.1)
    return {
        "node killed": Kind("kill -9 of a node; started again later", 0.2, lease + 2.0),
        "node restarted": Kind("SIGTERM of a node, as in a rolling update", 0.0, 1.0),
        "node stopped": Kind("SIGSTOP of a node, shorter than the lease", *short),
        "node stopped past the lease": Kind("SIGSTOP of a node, past the lease", *long),
        "Redis emptied": Kind("FLUSHALL", *instant, isolates=True, forgets=True),
        "Redis forgets scripts": Kind("SCRIPT FLUSH", *instant),
        "Redis restarted empty": Kind("kill -9, started anew without data", 0.1, 2.0, True, True),
        "Redis away past the lease": Kind("kill -9, started anew much later", *long, True, True),
        "Redis stopped": Kind("SIGSTOP of Redis, shorter than the lease", *short, isolates=True),
        "Redis stopped past the lease": Kind(
            "SIGSTOP of Redis, past the lease", *long, isolates=True
        ),
        "link cut": Kind(
            "one node's link to Redis is cut, shorter than the lease", *short, isolates=True
        ),
        "link cut past the lease": Kind(
            "one node's link to Redis is cut, past the lease", *long, isolates=True
        ),
        "link half-open": Kind(
            "one node's link to Redis swallows everything", 0.3, lease + 3.0, True
        ),
        "failover": Kind(
            "the master is lost, its replica takes over", *instant, isolates=True, forgets=True
        ),
        "resharding": Kind("a slot moves to another master of the Redis Cluster", *instant),
        "bus killed": Kind("kill -9 of the unix bus", *instant, isolates=True, forgets=True),
        "bus stopped": Kind(
            "SIGSTOP of the unix bus, shorter than the lease", *short, isolates=True
        ),
        "bus stopped past the lease": Kind("SIGSTOP of the unix bus, past the lease", *long, True),
        "worker killed": Kind("kill -9 of a worker", *instant),
        "worker restarted": Kind("SIGTERM of a worker", *instant),
        "worker stopped": Kind("SIGSTOP of a worker, shorter than the lease", *short),
        "worker stopped past the lease": Kind("SIGSTOP of a worker, past the lease", *long),
        "supervisor killed": Kind(
            "kill -9 of the supervisor; all is started again", 0.3, 2.0, True, True
        ),
    }
