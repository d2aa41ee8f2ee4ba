"""The commands of a store, in which the nodes of a cluster keep their shared state.

A store is one self-contained world in which a command is atomic. It has leases, the holders of keys, leaves
that may still be undone, the cache channels' last events, and publish/subscribe. The Unix bus is one store
(`memory.store`), a Redis server is one, a Redis Cluster is several, each owning some of the topics.

Commands and answers are plain structs. Over a Unix socket they travel as they are; for Redis they become
scripts. A node reaches a store by a link (`links`). The suite `tests/contract/test_store.py` holds every
store to the rules that stand here.

Words: An *address* is a topic in its wire form (`wire.address_of`). A *holder* is one incarnation of a node,
`node-id.boot.number`, and holds keys only while its *lease* runs. A holder whose lease has ended is fenced
for ever: Every command that names it fails with `Fenced`. So a node that slept through its lease cannot go on
as if nothing had happened (docs/decisions.md#leases-and-fencing).
"""

from typing import ClassVar, Generic, TypeVar

from msgspec import Struct

from pusher_server.errors import ClusterUnavailable
from pusher_server.interfaces import RosterFull

R = TypeVar("R")


def node_of(holder: str) -> str:
    """`a.3f.2` -> `a.3f`: the process whose incarnation it is."""
    return holder.rpartition(".")[0]


def id_of(holder: str) -> str:
    """`a.3f.2` -> `a`: the node id that an operator may have chosen."""
    return holder.partition(".")[0]


class Fenced(ClusterUnavailable):
    """The holder's lease has ended: enter anew under another name."""

    def __init__(self) -> None:
        super().__init__("this node's lease has ended")


#: Refusals that a store may answer instead of a result, by their names on the wire.
REFUSALS: dict[str, type[Exception]] = {"fenced": Fenced, "full": RosterFull}


class Command(Struct, Generic[R], frozen=True, array_like=True):
    """A request to a store; `R` is the answer's type, `answer` the same for decoders."""

    answer: ClassVar[type]


class Nothing(Struct, frozen=True, array_like=True):
    """The answer "done", to a command without a result."""


# Leases


class Entered(Struct, frozen=True, array_like=True):
    """`epoch` names the store's memory: another one means that it was lost, or may have gone back.

    `rivals`: live holders of the same node id that are no predecessors of this one.
    """

    epoch: str
    rivals: list[str]


class Enter(Command[Entered], frozen=True, array_like=True, tag="enter"):
    """Begin a lease for `holder`, a new name. `succeeds` is the same node's holder before, or "".

    Announcements that the predecessor was given and has not confirmed are due again. `confirmed` is the last
    batch that it knows to be announced. Its keys stay until `Retire`.

    When no command of any holder came for half a lease, the store was away, not the holders. Then all leases
    begin anew, so that no holder is declared dead for an outage of the store.

    `epoch` is the memory that the node knew, or "". Where it differs, memory was lost, and for one lease the
    store is *unsure* what is news: see `Track`. The same holds for the first lease of a memory, unless it is
    certain that there was none before.
    """

    answer: ClassVar[type] = Entered
    holder: str
    succeeds: str = ""
    confirmed: int = 0
    epoch: str = ""


class Announcement(Struct, frozen=True, array_like=True):
    """A change to announce: with `held` a join that is news, else a leave whose undo window has passed.

    `version` is the topic's version of the change, with the epoch of that time. A replica that takes over may
    hand out again what the master handed out. It is "" for a leave that no memory has seen.
    """

    address: str
    key: str
    held: bool = False
    version: str = ""


class Renewed(Struct, frozen=True, array_like=True):
    """`due` is for this holder alone to announce; `batch` numbers it, 0 when there is nothing.

    An announcement goes to the node that caused it, while that lives. So the node knows what is announced
    when the store loses its memory. If that node is gone, the announcement goes to the next that renews.

    `holders`: live nodes. `elsewhere`: the sums of the tallies that the other live nodes have reported, whether
    or not this one did.
    `swept`: holders whose lease had ended -> how many of their keys were released in this step.
    `more`: there is more to sweep; renew again at once.
    `evicted`: by app, the remembered events that had to go before their time since the last report to a node.
    """

    epoch: str
    batch: int
    due: list[Announcement]
    holders: int
    elsewhere: dict[str, int]
    swept: dict[str, int]
    more: bool
    evicted: dict[str, int] = {}


class Renew(Command[Renewed], frozen=True, array_like=True, tag="renew"):
    """Renew the lease; confirm announcements, and report this node's tallies.

    Does the housekeeping that the store cannot do by itself. It releases up to `SWEEP` keys of holders whose
    lease has ended, and hands out announcements that have become due. A batch that is not confirmed is
    handed out again.
    Raises Fenced.
    """

    answer: ClassVar[type] = Renewed
    holder: str
    confirmed: int
    tallies: dict[str, int]


class Retired(Struct, frozen=True, array_like=True):
    """`more`: up to `SWEEP` keys were released and there are others; send the command again."""

    more: bool


class Retire(Command[Retired], frozen=True, array_like=True, tag="retire"):
    """End a holder's lease and release what it holds, in steps of `SWEEP` keys.

    `confirmed` as in `Enter`: announcements beyond that are due again.
    """

    answer: ClassVar[type] = Retired
    holder: str
    confirmed: int = 0


#: Keys released in one step, so that a store is never busy with one command for long.
SWEEP = 200


# Holding keys


class Tracked(Struct, frozen=True, array_like=True):
    """`n` is the topic's version with the change in it.

    `held_now`: the key had no holder before. `returned`: and that is no news. `unsure`: its join has not been
    announced yet, so no node may rely on that in another memory of the store.
    """

    n: int
    held_now: bool
    returned: bool
    unsure: bool


class Track(Command[Tracked], frozen=True, array_like=True, tag="track"):
    """Hold a key. A repeat changes the value and makes no transition.

    `tell`: but another value is a version of its own, pushed as `updated`.
    `limit`: raise RosterFull when that many other keys are held already; 0 is none.
    `again`: this node has announced the key before, in a memory that was lost.

    A join is `returned`, and no news, in two cases. The key was let go less than an undo window ago. Or `again`
    is set, and the key's leave has not been announced since. Every other join is news and due at once, with
    two exceptions:

    - While the store is unsure (`Enter`), the join waits until the end of that time. It is cancelled if a node
      declares the key with `again`: the node that announced it may not have come back yet.
    - While the key's leave is being announced, the join waits for the confirmation. Without it, it is not due.

    Raises Fenced.
    """

    answer: ClassVar[type] = Tracked
    holder: str
    address: str
    key: str
    value: str
    limit: int = 0
    again: bool = False
    tell: bool = False


class Released(Struct, frozen=True, array_like=True):
    """`n` is the topic's version with the transition in it; 0 when there was none."""

    n: int
    value: str


class Untrack(Command[Released], frozen=True, array_like=True, tag="untrack"):
    """Let a key go. The last holder's leave is a transition and due after the undo window. Raises Fenced.

    It is never due before the join is confirmed. Where the store is not sure yet that the join is news, neither
    is due, because the join was not announced.
    """

    answer: ClassVar[type] = Released
    holder: str
    address: str
    key: str


class ReportGone(Command[Nothing], frozen=True, array_like=True, tag="mourn"):
    """A key that was held before the store lost its memory did not come back: its leave is due.

    It is due once, though several nodes may report it. While the store is unsure (`Enter`), it is due at the
    end of that time, unless a node comes back with the key. A key that is held is no news: it came back.
    """

    answer: ClassVar[type] = Nothing
    address: str
    key: str


class TopicState(Struct, frozen=True, array_like=True):
    """A topic's keys with the value last given, in the order in which they became held."""

    epoch: str
    n: int
    entries: dict[str, str]


class Snapshot(Command[TopicState], frozen=True, array_like=True, tag="snapshot"):
    """The topic now; without its entries (an empty dict) when only the version is needed."""

    answer: ClassVar[type] = TopicState
    address: str
    entries: bool = True


class Holders(Struct, frozen=True, array_like=True):
    """Key -> holder -> value, for keys that are held."""

    by_key: dict[str, dict[str, str]]


class Lookup(Command[Holders], frozen=True, array_like=True, tag="lookup"):
    """The holders of these keys."""

    answer: ClassVar[type] = Holders
    address: str
    keys: list[str]


class Count(Command[int], frozen=True, array_like=True, tag="count"):
    """The number of held keys."""

    answer: ClassVar[type] = int
    address: str


class Page(Struct, frozen=True, array_like=True):
    """A part of a topic; `cursor` is "" after the last one. A key may come twice."""

    cursor: str
    by_key: dict[str, dict[str, str]]


class Scan(Command[Page], frozen=True, array_like=True, tag="scan"):
    """The held keys that start with `prefix`, page by page; the first cursor is ""."""

    answer: ClassVar[type] = Page
    address: str
    prefix: str = ""
    cursor: str = ""


class Tally(Command[int], frozen=True, array_like=True, tag="tally"):
    """The sum of the last reports under this name, of all live holders but those of the node of `besides`."""

    answer: ClassVar[type] = int
    name: str
    besides: str = ""


# Publish and subscribe


class Subscribe(Command[Nothing], frozen=True, array_like=True, tag="subscribe"):
    """Push messages published to the address, and its transitions, after the answer to this."""

    answer: ClassVar[type] = Nothing
    address: str


class Unsubscribe(Command[Nothing], frozen=True, array_like=True, tag="unsubscribe"):
    """No longer push messages and transitions of the address."""

    answer: ClassVar[type] = Nothing
    address: str


class Publish(Command[Nothing], frozen=True, array_like=True, tag="publish"):
    """Push `body` to all subscribers; a store may leave out the publisher or not."""

    answer: ClassVar[type] = Nothing
    address: str
    body: bytes


class Remember(Command[Nothing], frozen=True, array_like=True, tag="remember"):
    """Publish `body`, and keep `cached` for `ttl` seconds, in one step.

    `limit`: bytes that the app's may take in this store together; 0 is none. Each counts as `remembered_bytes`.
    Where they are short, the oldest of the app's are let go and counted (`Renewed.evicted`). An event that is
    larger than `limit` alone is not kept.
    """

    answer: ClassVar[type] = Nothing
    address: str
    body: bytes
    cached: bytes
    ttl: float
    limit: int = 0


def remembered_bytes(address: str, cached: bytes) -> int:
    """Bytes to remember this, besides `last_events.ENTRY_BYTES`: Redis writes the address thrice."""
    return len(cached) + 3 * len(address.encode())


class Remembered(Struct, frozen=True, array_like=True):
    """`ttl` is the remaining time in seconds; `cached` is empty when there is nothing."""

    cached: bytes
    ttl: float


class Recall(Command[Remembered], frozen=True, array_like=True, tag="recall"):
    """The event that was last remembered there."""

    answer: ClassVar[type] = Remembered
    address: str


AnyCommand = (
    Enter
    | Renew
    | Retire
    | Track
    | Untrack
    | ReportGone
    | Snapshot
    | Lookup
    | Count
    | Scan
    | Tally
    | Subscribe
    | Unsubscribe
    | Publish
    | Remember
    | Recall
)
