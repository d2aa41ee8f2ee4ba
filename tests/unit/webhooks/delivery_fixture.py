"""Delivery without a network and without waiting: virtual time, an outbox in memory, targets by script."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from pusher_server.app import EVENT_IDS_HEADER, App, AppKey, Webhook
from pusher_server.webhooks.delivery.attempt import DeliveryContext
from pusher_server.webhooks.delivery.deliverer import SLOTS, Deliverer
from pusher_server.webhooks.delivery.outcomes import Outcomes
from pusher_server.webhooks.delivery.sending import Answer
from pusher_server.webhooks.delivery.slots import Slots
from pusher_server.webhooks.delivery.stats import DeliveryStats
from pusher_server.webhooks.delivery.target_log import TargetLog
from pusher_server.webhooks.outbox.interface import Decision, Entry
from tests.cluster.virtual_loop import VirtualLoop
from tests.support.node import GatedApps
from tests.unit.webhooks.memory_outbox import MemoryOutbox

#: Seconds of the epoch at which simulations begin.
EPOCH = 1_764_000_000.0

#: What a target does with its n-th request: the status (0: no answer), and the seconds that it takes.
Behaviour = Callable[["Post"], tuple[int, float]]


class Post(NamedTuple):
    """One request that a target got. `at` is when it came, in seconds since the beginning."""

    at: float
    url: str
    ids: tuple[str, ...]
    body: bytes
    headers: tuple[tuple[str, str], ...]


class Targets:
    """All targets there are: what they got, and what they answer."""

    def __init__(self) -> None:
        self.posts: list[Post] = []
        self.accepted: list[Post] = []
        self.behaviour: Behaviour = lambda post: (200, 0.0)
        #: Requests that are open now, by URL, and the most there ever were.
        self.open: dict[str, int] = {}
        self.most_open: dict[str, int] = {}
        #: URLs to which nothing may be sent.
        self.denied: set[str] = set()

    async def __call__(
        self, webhook: Webhook, body: bytes, headers: Sequence[tuple[str, str]]
    ) -> Answer:
        """A request comes."""
        loop, url = asyncio.get_running_loop(), webhook.url
        ids = tuple(dict(headers)[EVENT_IDS_HEADER].split(","))
        post = Post(loop.time(), url, ids, body, tuple(headers))
        self.posts.append(post)
        self.open[url] = self.open.get(url, 0) + 1
        self.most_open[url] = max(self.most_open.get(url, 0), self.open[url])
        status, took = self.behaviour(post)
        try:
            await asyncio.sleep(took)
        finally:
            self.open[url] -= 1
        if 200 <= status < 300 and url not in self.denied:
            self.accepted.append(post)
        if url in self.denied:
            return Answer(0, "its address is denied", took, is_denied=True)
        return Answer(status, "said so" if status else "no answer", took)

    def accepted_ids(self, url: str) -> list[str]:
        """Of all events that this target has accepted, in order."""
        return [each for post in self.accepted if post.url == url for each in post.ids]


class DeliveryFixture:
    """One or several deliverers over one outbox. Within `simulate`."""

    def __init__(self, *apps: App, batch_events: int = 100) -> None:
        self.loop = asyncio.get_running_loop()
        self.outbox = MemoryOutbox(self.loop.time)
        self.apps = GatedApps(apps)
        self.targets = Targets()
        self.stats = DeliveryStats()
        self.batch_events = batch_events
        self._deliverers: list[Deliverer] = []
        self._count = 0

    def wall(self) -> float:
        """Seconds of the epoch."""
        return EPOCH + self.loop.time()

    def deliverer(self, worker: str = "w") -> Deliverer:
        """One more process that delivers."""
        made = Deliverer(
            worker,
            DeliveryContext(
                outbox=self.outbox,
                apps=self.apps,
                send=self.targets,
                batch_events=self.batch_events,
                batch_window=0.05,
                outcomes=Outcomes(self.outbox),
                stats=self.stats,
                log=TargetLog(self.loop.time),
                slots=Slots(SLOTS),
                wall=self.wall,
            ),
        )
        self._deliverers.append(made)
        return made

    async def append(
        self,
        app: App,
        *channels: str,
        to: Sequence[Webhook] = (),
        kind: str = "channel_occupied",
    ) -> list[str]:
        """An event on each channel for these webhooks, or all of the app; their ids."""
        decisions, ids = [], []
        for channel in channels:
            self._count += 1
            event_id = f"e{self._count}"
            ids.append(event_id)
            event = f'{{"name":"{kind}","channel":"{channel}"}}'
            decisions.append(
                Decision(
                    app_id=app.id,
                    entries=tuple(
                        Entry(event_id, webhook.id, channel, event, self.wall())
                        for webhook in to or app.webhooks
                    ),
                )
            )
        await self.outbox.append(decisions)
        for each in self._deliverers:
            each.wake({app.id})
        return ids

    async def drained(self, seconds: float = 3_600.0) -> None:
        """Until nothing waits any more."""
        async with asyncio.timeout(seconds):
            while any(self.outbox.waiting.values()):  # noqa: ASYNC110 - virtual time costs nothing
                await asyncio.sleep(0.5)


def simulate(play: Callable[[], Awaitable[None]]) -> None:
    """Run in virtual time; tasks that are still there at the end are cancelled."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(_awaited(play))


async def _awaited(play: Callable[[], Awaitable[None]]) -> None:
    await play()


def an_app(app_id: str, *webhooks: Webhook, enabled: bool = True, secret: str = "s") -> App:
    """An app with one key."""
    keys = (AppKey(key=f"key-{app_id}", secret=secret),)
    return App(id=app_id, keys=keys, webhooks=webhooks, enabled=enabled)


def hook(name: str, *, batch: bool = False) -> Webhook:
    """A webhook of its own URL."""
    return Webhook(url=f"http://{name}.example/", batch=batch)


def randomly(seed: int) -> random.Random:
    """Chance that comes again."""
    return random.Random(seed)
