"""A live holder, as a store in memory knows it."""

from collections import OrderedDict

from pusher_server.cluster.announcements import Place
from pusher_server.cluster.store import Due


class Lease:
    """A live holder."""

    __slots__ = ("batch", "due", "fresh", "held", "tallies", "until")

    def __init__(self, until: float) -> None:
        self.until = until
        #: (address, key), in the order of joining; an ordered dict because it is emptied from its front.
        self.held: OrderedDict[Place, None] = OrderedDict()
        #: What it came to hold since its last renewal: it may not have heard that this is news.
        self.fresh: set[Place] = set()
        self.tallies: dict[str, int] = {}
        #: What it was given to settle and has not confirmed, and that batch's number.
        self.due: list[Due] = []
        self.batch = 0
