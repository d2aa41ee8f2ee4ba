"""The deliverer in virtual time: order, retries, claims, apps that change; and under random answers."""

import asyncio
import json
import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence

import pytest

from pusher_server.app import EVENT_IDS_HEADER
from pusher_server.webhooks.delivery import target_queue
from pusher_server.webhooks.delivery.deliverer import LEASE, POLL, SLOTS
from pusher_server.webhooks.delivery.target_queue import WIDTH
from tests.unit.webhooks.delivery_fixture import (
    EPOCH,
    DeliveryFixture,
    Post,
    an_app,
    hook,
    randomly,
    simulate,
)


def test_an_event_is_sent_at_once_in_the_right_form() -> None:
    async def play() -> None:
        target = hook("a")
        app = an_app("1", target)
        fixture = DeliveryFixture(app)
        fixture.deliverer()
        await asyncio.sleep(0.3)
        (event_id,) = await fixture.append(app, "room")
        await asyncio.sleep(0.01)
        (post,) = fixture.targets.posts
        body = json.loads(post.body)
        assert body["events"] == [{"name": "channel_occupied", "channel": "room"}]
        assert body["time_ms"] == pytest.approx((EPOCH + 0.3) * 1_000, abs=20)
        names = [name for name, _ in post.headers]
        assert names[:4] == ["Content-Type", "X-Pusher-Key", "X-Pusher-Signature", EVENT_IDS_HEADER]
        assert dict(post.headers)["Content-Type"] == "application/json"
        assert post.ids == (event_id,)
        assert not fixture.outbox.waiting["1"]
        stats = fixture.stats.of("1")
        assert (stats.attempts, stats.delivered, stats.failures) == (1, 1, 0)
        assert sum(fixture.stats.latency.counts) == 1

    simulate(play)


def test_retries_are_the_same_bytes_and_later_events_of_the_channel_wait() -> None:
    async def play() -> None:
        app = an_app("1", hook("a"))
        fixture = DeliveryFixture(app)
        left = [500, 500]
        fixture.targets.behaviour = lambda post: (
            left.pop() if "e1" in post.ids and left else 200,
            0.1,
        )
        fixture.deliverer()
        await fixture.append(app, "room", "room", "other")
        await fixture.drained()
        room = [post for post in fixture.targets.posts if post.ids != ("e3",)]
        assert [post.ids for post in room] == [("e1",), ("e1",), ("e1",), ("e2",)]
        assert room[0].body == room[1].body == room[2].body
        assert room[0].headers == room[1].headers == room[2].headers
        assert [round(post.at - room[0].at, 1) for post in room] == [0.0, 1.1, 3.2, 3.3]
        assert next(post.at for post in fixture.targets.posts if post.ids == ("e3",)) == room[0].at
        attempts = [attempt for _, attempt in fixture.outbox.attempts if attempt.ids == ("e1",)]
        assert [(each.number, each.status, each.outcome) for each in attempts] == [
            (1, 500, "retry"),
            (2, 500, "retry"),
            (3, 200, "delivered"),
        ]

    simulate(play)


def test_what_is_never_taken_becomes_a_dead_letter_before_290_seconds() -> None:
    async def play() -> None:
        app = an_app("1", hook("a"))
        fixture = DeliveryFixture(app)
        fixture.targets.behaviour = lambda post: (503, 0.0)
        fixture.deliverer()
        await fixture.append(app, "room")
        await fixture.drained()
        posts = fixture.targets.posts
        assert posts[-1].at - posts[0].at == pytest.approx(289.0)
        assert len({post.body for post in posts}) == 1
        (dead,) = await fixture.outbox.dead("1")
        assert dead.reason == "status 503"
        assert fixture.stats.of("1").dead == 1
        await fixture.outbox.resend("1")
        fixture.targets.behaviour = lambda post: (200, 0.0)
        await fixture.drained()
        again = fixture.targets.posts[-1]
        assert again.ids == posts[0].ids
        assert again.body != posts[0].body, "a new body, with a new time"

    simulate(play)


def test_batches_hold_events_of_one_webhook_only() -> None:
    async def play() -> None:
        one, other = hook("one", batch=True), hook("other")
        app = an_app("1", one, other)
        fixture = DeliveryFixture(app, batch_events=3)
        fixture.deliverer()
        await fixture.append(app, "a", "b", "c", "d")
        await fixture.drained()
        batches = [post.ids for post in fixture.targets.posts if post.url == one.url]
        assert batches == [("e1", "e2", "e3"), ("e4",)]
        singles = [post.ids for post in fixture.targets.posts if post.url == other.url]
        assert sorted(singles) == [("e1",), ("e2",), ("e3",), ("e4",)]

    simulate(play)


def test_a_target_that_hangs_delays_nobody_else() -> None:
    async def play() -> None:
        hanging, healthy = hook("hanging"), hook("healthy")
        app, neighbour = an_app("1", hanging, healthy), an_app("2", hook("neighbour"))
        fixture = DeliveryFixture(app, neighbour)
        fixture.targets.behaviour = lambda post: (
            (0, 10.0) if post.url == hanging.url else (200, 0.0)
        )
        fixture.deliverer()
        # More than a queue keeps in memory: the delivery has to read past them.
        for start in range(0, 5_000, 100):
            names = [f"c{number}" for number in range(start, start + 100)]
            await fixture.append(app, *names, to=[hanging])
        await asyncio.sleep(30.0)
        began = fixture.loop.time()
        await fixture.append(app, "room", to=[healthy])
        await fixture.append(neighbour, "room")
        await asyncio.sleep(0.01)
        late = [post for post in fixture.targets.posts if post.url != hanging.url]
        assert [post.at - began < 0.01 for post in late] == [True, True]
        assert fixture.targets.most_open[hanging.url] <= WIDTH
        assert fixture.targets.open[hanging.url] == 1

    simulate(play)


def test_an_app_whose_many_targets_hang_delays_no_other() -> None:
    async def play() -> None:
        hooks = [hook(f"hangs-{number}") for number in range(SLOTS + 10)]
        greedy, modest = an_app("1", *hooks), an_app("2", hook("good"))
        fixture = DeliveryFixture(greedy, modest)
        fixture.targets.behaviour = lambda post: (200, 0.01) if "good" in post.url else (0, 10.0)
        fixture.deliverer()
        await fixture.append(greedy, "room")
        await asyncio.sleep(1.0)
        began = fixture.loop.time()
        await fixture.append(modest, "room")
        await asyncio.sleep(0.1)
        (post,) = fixture.targets.accepted
        assert post.at - began < 0.1
        assert SLOTS / 2 <= sum(fixture.targets.open.values()) <= SLOTS

    simulate(play)


def test_what_did_not_fit_is_read_when_there_is_room() -> None:
    async def play() -> None:
        target, other = hook("a"), hook("b")
        app = an_app("1", target, other)
        fixture = DeliveryFixture(app)
        is_up = False
        fixture.targets.behaviour = lambda post: (
            200 if is_up or post.url == other.url else 500,
            0.0,
        )
        fixture.deliverer()
        expected = []
        for _ in range(40):
            expected += await fixture.append(app, *(f"c{number}" for number in range(100)))
        await asyncio.sleep(5.0)
        assert len(fixture.targets.accepted_ids(other.url)) == 4_000
        is_up = True
        await fixture.drained()
        assert sorted(fixture.targets.accepted_ids(target.url)) == sorted(expected)
        assert len(fixture.targets.accepted_ids(other.url)) == 4_000

    simulate(play)


def test_what_is_read_of_one_app_is_bounded_however_many_webhooks_it_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(target_queue, "ROOM_OF_APP", 110_000)  # of a hundred entries
    monkeypatch.setattr(target_queue, "LEAST_ROOM", 1)

    async def play() -> None:
        app = an_app("1", *(hook(f"h{number}") for number in range(20)))
        fixture = DeliveryFixture(app)
        is_up = False
        fixture.targets.behaviour = lambda post: (200, 0.0) if is_up else (0, 10.0)
        deliverer = fixture.deliverer()
        expected = await fixture.append(app, *(f"c{number}" for number in range(50)))
        for _ in range(50):
            await asyncio.sleep(0.5)
            assert len(deliverer._deliveries["1"]._here) <= 100 + 20
        is_up = True
        await fixture.drained()
        for webhook in app.webhooks:
            assert sorted(fixture.targets.accepted_ids(webhook.url)) == sorted(expected)

    simulate(play)


def test_another_process_takes_over_when_a_claim_has_run_out() -> None:
    async def play() -> None:
        app = an_app("1", hook("a"))
        fixture = DeliveryFixture(app)
        fixture.outbox.claims["1"] = ("dead", LEASE)
        fixture.deliverer()
        await fixture.append(app, "room")
        await asyncio.sleep(LEASE - 0.1)
        assert not fixture.targets.posts
        await asyncio.sleep(POLL + 0.2)
        assert len(fixture.targets.posts) == 1

    simulate(play)


def test_two_processes_do_not_send_the_same() -> None:
    async def play() -> None:
        apps = [an_app(str(number), hook(f"h{number}")) for number in range(6)]
        fixture = DeliveryFixture(*apps)
        fixture.targets.behaviour = lambda post: (200, 0.2)
        fixture.deliverer("one")
        fixture.deliverer("two")
        for _ in range(10):
            for app in apps:
                await fixture.append(app, "room")
            await asyncio.sleep(0.3)
        await fixture.drained()
        for app in apps:
            ids = fixture.targets.accepted_ids(app.webhooks[0].url)
            assert len(ids) == len(set(ids)) == 10

    simulate(play)


@pytest.mark.parametrize("away_at", [0.5, 2.0])
def test_a_claim_that_cannot_be_renewed_ends_deliveries_in_time(away_at: float) -> None:
    async def play() -> None:
        app = an_app("1", hook("a"))
        fixture = DeliveryFixture(app)
        fixture.targets.behaviour = lambda post: (500, 0.0)
        fixture.deliverer()
        await fixture.append(app, "room")
        await asyncio.sleep(away_at)
        fixture.outbox.trouble = "disk full"
        await asyncio.sleep(100.0)
        assert max(post.at for post in fixture.targets.posts) <= away_at + LEASE
        fixture.outbox.trouble = ""
        fixture.targets.behaviour = lambda post: (200, 0.0)
        await fixture.drained()
        assert fixture.targets.accepted_ids(app.webhooks[0].url) == ["e1"]

    simulate(play)


def test_a_claim_that_somebody_else_has_ends_deliveries_at_once() -> None:
    async def play() -> None:
        app = an_app("1", hook("a"))
        fixture = DeliveryFixture(app)
        fixture.targets.behaviour = lambda post: (500, 0.0)
        fixture.deliverer()
        await fixture.append(app, "room")
        await asyncio.sleep(4.0)
        fixture.outbox.claims["1"] = ("other", 1_000.0)
        await asyncio.sleep(POLL + 0.1)
        before = len(fixture.targets.posts)
        await asyncio.sleep(100.0)
        assert len(fixture.targets.posts) == before

    simulate(play)


def test_what_was_delivered_while_the_outbox_was_away_is_not_sent_again() -> None:
    async def play() -> None:
        app = an_app("1", hook("a"))
        fixture = DeliveryFixture(app)
        fixture.targets.behaviour = lambda post: (200, 1.0)
        fixture.deliverer()
        await fixture.append(app, "room")
        await asyncio.sleep(0.5)
        fixture.outbox.trouble = "away"
        await asyncio.sleep(3 * LEASE)
        assert fixture.outbox.waiting["1"], "it could not be written"
        fixture.outbox.trouble = ""
        await fixture.drained()
        assert len(fixture.targets.posts) == 1

    simulate(play)


def test_nothing_is_sent_for_apps_that_are_disabled_gone_or_without_the_webhook(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def play() -> None:
        kept, removed = hook("kept"), hook("removed")
        apps = [an_app(str(number), kept, removed) for number in range(3)]
        fixture = DeliveryFixture(*apps)
        fixture.apps.replace(
            [an_app("0", kept), an_app("1", kept, removed, enabled=False)]  # "2" is gone
        )
        fixture.deliverer()
        for app in apps:
            await fixture.append(app, "a", "b")
        await fixture.drained(5.0)
        assert {(post.url, post.headers[1][1]) for post in fixture.targets.posts} == {
            (kept.url, "key-0")
        }
        assert len(fixture.outbox.finished) == 12

    with caplog.at_level(logging.WARNING):
        simulate(play)
    assert len([each for each in caplog.records if "are not sent" in each.message]) == 5


def test_an_app_that_is_removed_while_events_are_retried() -> None:
    async def play() -> None:
        app = an_app("1", hook("a"))
        fixture = DeliveryFixture(app)
        fixture.targets.behaviour = lambda post: (500, 0.0)
        fixture.deliverer()
        await fixture.append(app, "room", "room", "other")
        await asyncio.sleep(5.0)
        fixture.apps.replace([])
        before = len(fixture.targets.posts)
        await fixture.drained(60.0)
        assert len(fixture.targets.posts) == before
        assert not await fixture.outbox.dead("1")

    simulate(play)


def test_a_new_secret_signs_new_bodies_and_retries_keep_theirs() -> None:
    async def play() -> None:
        target = hook("a")
        app = an_app("1", target, secret="old")
        fixture = DeliveryFixture(app)
        fixture.targets.behaviour = lambda post: (500 if post.at < 0.5 else 200, 0.0)
        fixture.deliverer()
        await fixture.append(app, "room")
        await asyncio.sleep(0.1)
        fixture.apps.replace([an_app("1", target, secret="new")])
        await fixture.append(app, "room")
        await fixture.drained()
        first, again, second = fixture.targets.posts
        assert first.headers == again.headers
        assert (
            dict(second.headers)["X-Pusher-Signature"] != dict(first.headers)["X-Pusher-Signature"]
        )

    simulate(play)


@pytest.mark.parametrize("jump", [-86_400.0, -3_600.0, 3_600.0, 86_400.0])
def test_a_clock_that_is_set_makes_new_bodies_and_changes_no_pause(
    jump: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Receivers compare `time_ms` with their own time, and refuse what is five minutes off."""

    async def play() -> None:
        app = an_app("1", hook("a"))
        fixture = DeliveryFixture(app)
        offset = 0.0
        monkeypatch.setattr(fixture, "wall", lambda: EPOCH + fixture.loop.time() + offset)
        fixture.targets.behaviour = lambda post: (503, 0.0)
        fixture.deliverer()
        await fixture.append(app, "room")
        await asyncio.sleep(20.0)
        offset = jump
        await fixture.drained()
        posts = fixture.targets.posts
        assert [round(post.at - posts[0].at) for post in posts] == [
            0, 1, 3, 7, 15, 31, 63, 123, 183, 243, 289,
        ]  # fmt: skip
        assert len({post.body for post in posts[:5]}) == 1
        assert len({post.body for post in posts[5:]}) == 1
        body = json.loads(posts[5].body)
        assert body["time_ms"] == pytest.approx((EPOCH + jump + posts[5].at) * 1_000, abs=20)
        assert {post.ids for post in posts} == {("e1",)}
        (dead,) = await fixture.outbox.dead("1")
        assert dead.at == pytest.approx(EPOCH + jump + posts[-1].at, abs=1)
        assert fixture.stats.latency.total >= 0

    simulate(play)


def test_comings_and_goings_of_a_stranger_crowd_out_nobody() -> None:
    """While the target hangs: what undoes each other takes no room, neither in the queue nor in the outbox."""

    async def play() -> None:
        target = hook("a")
        app = an_app("1", target)
        fixture = DeliveryFixture(app)
        fixture.targets.behaviour = lambda post: (0, 10.0) if post.at < 100 else (200, 0.01)
        fixture.deliverer()
        most = 0
        (early,) = await fixture.append(app, "victim")
        for start in range(0, 6_000, 100):
            names = [f"c{number}" for number in range(start, start + 100)]
            await fixture.append(app, *names)
            await asyncio.sleep(0.05)
            if start >= 500:  # the undo window
                gone = [f"c{number}" for number in range(start - 500, start - 400)]
                await fixture.append(app, *gone, kind="channel_vacated")
            most = max(most, len(fixture.outbox.waiting["1"]))
        assert most < 5_000
        (late,) = await fixture.append(app, "victim", kind="channel_vacated")
        await fixture.drained()
        accepted = fixture.targets.accepted_ids(target.url)
        assert {early, late} < set(accepted)
        assert len(accepted) < 5_000
        undone = fixture.stats.of("1").undone + len(fixture.outbox.undone)
        assert len(accepted) + undone == 6_000 + 5_500 + 2
        told: dict[str, list[str]] = defaultdict(list)
        for post in fixture.targets.accepted:
            for event in json.loads(post.body)["events"]:
                told[event["channel"]].append(event["name"])
        for number in range(5_000):
            assert told.get(f"c{number}", []) in ([], ["channel_occupied", "channel_vacated"])
        assert not fixture.outbox.left_out.get("1", ("", {}))[1]

    simulate(play)


def test_a_lane_that_begins_anew_takes_back_what_an_earlier_one_has_left_out() -> None:
    """Or what it sends could still be undone in the outbox."""

    async def play() -> None:
        app = an_app("1", hook("a"))
        fixture = DeliveryFixture(app)
        fixture.targets.behaviour = lambda post: (200, 1_000.0)
        fixture.deliverer()
        await fixture.append(app, *(f"c{number}" for number in range(3_000)))
        await asyncio.sleep(2.0)
        assert fixture.outbox.left_out["1"][1]
        fixture.outbox.trouble = "away"
        await asyncio.sleep(LEASE + 1)
        fixture.outbox.trouble = ""
        taken: list[dict[str, str]] = []
        leave_out = fixture.outbox.leave_out

        async def noting(worker: str, app_id: str, beyond: Mapping[str, str]) -> None:
            taken.append(dict(beyond))
            await leave_out(worker, app_id, beyond)

        fixture.outbox.leave_out = noting  # type: ignore[method-assign]
        await asyncio.sleep(3.0)
        assert taken[0] == {}
        assert len(taken) == 2, "and then what it leaves out itself"

    simulate(play)


def test_what_was_read_for_one_webhook_stays_so_when_another_is_left_out() -> None:
    """Or its coming would be sent from the queue, and its going be undone in the outbox."""

    async def play() -> None:
        slow, hanging = hook("slow"), hook("hanging")
        app = an_app("1", slow, hanging)
        fixture = DeliveryFixture(app)
        fixture.targets.behaviour = lambda post: (200, 0.02 if post.url == slow.url else 60.0)
        fixture.deliverer()
        names = [f"c{number}" for number in range(4_000)]
        await fixture.append(app, *names, to=[slow])
        before = fixture.outbox.left_out.get("1")
        while not before:
            await asyncio.sleep(0.1)
            before = fixture.outbox.left_out.get("1")
        first = before[1][slow.id]
        while fixture.outbox.left_out["1"][1][slow.id] == first:  # noqa: ASYNC110 - virtual time
            await asyncio.sleep(0.1)
        await fixture.append(app, *(f"h{number}" for number in range(3_000)), to=[hanging])
        async with asyncio.timeout(60.0):
            while hanging.id not in fixture.outbox.left_out["1"][1]:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        await fixture.append(app, *names, to=[slow], kind="channel_vacated")
        async with asyncio.timeout(600.0):
            while any(each.webhook == slow.id for each in fixture.outbox.waiting["1"].values()):  # noqa: ASYNC110
                await asyncio.sleep(0.5)
        told: dict[str, list[str]] = defaultdict(list)
        for post in fixture.targets.accepted:
            if post.url == slow.url:
                for event in json.loads(post.body)["events"]:
                    told[event["channel"]].append(event["name"])
        wrong = {
            name: told[name]
            for name in names
            if told[name] not in ([], ["channel_occupied", "channel_vacated"])
        }
        assert not wrong

    simulate(play)


def test_what_was_delivered_and_not_written_down_before_a_kill_is_not_undone() -> None:
    """Several batches of a channel may be so while the outbox's disk is slow."""

    async def play() -> None:
        target = hook("a", batch=True)
        app = an_app("1", target)
        fixture = DeliveryFixture(app)
        killed = fixture.deliverer("killed")
        finish = fixture.outbox.finish

        async def hanging(app_id: str, positions: Sequence[str]) -> None:
            await asyncio.sleep(1_000.0)

        fixture.outbox.finish = hanging  # type: ignore[method-assign]
        await fixture.append(app, *["room"] * 350, kind="client_event")
        (came,) = await fixture.append(app, "room")
        await asyncio.sleep(2.0)
        assert came in fixture.targets.accepted_ids(target.url)
        for lane in killed._deliveries.values():
            lane.cancel()
        for task in killed._tasks:
            task.cancel()
        fixture.outbox.finish = finish  # type: ignore[method-assign]
        (went,) = await fixture.append(app, "room", kind="channel_vacated")
        fixture.deliverer("next")
        await fixture.drained()
        assert went in fixture.targets.accepted_ids(target.url)

    simulate(play)


@pytest.mark.parametrize("is_claimed", [False, True])
def test_what_an_earlier_claim_has_read_further_on_is_not_undone(
    monkeypatch: pytest.MonkeyPatch, *, is_claimed: bool
) -> None:
    """What it had delivered and not written down takes room from the next claim, which reads less far."""
    monkeypatch.setattr(target_queue, "ROOM", 11_000)  # of ten entries

    async def play() -> None:
        target = hook("a")
        app = an_app("1", target)
        fixture = DeliveryFixture(app)
        takes = {"e1", "e2", "e3", "e4", "e5", "e6", "e16"}
        fixture.targets.behaviour = lambda post: (200 if takes.issuperset(post.ids) else 503, 0.0)
        killed = fixture.deliverer("killed")
        finish = fixture.outbox.finish

        async def hanging(app_id: str, positions: Sequence[str]) -> None:
            await asyncio.sleep(1_000.0)

        fixture.outbox.finish = hanging  # type: ignore[method-assign]
        await fixture.append(app, *(f"c{number}" for number in range(1, 18)))
        await asyncio.sleep(3.0)
        assert "e16" in fixture.targets.accepted_ids(target.url)
        for lane in killed._deliveries.values():
            lane.cancel()
        for task in killed._tasks:
            task.cancel()
        fixture.outbox.finish = finish  # type: ignore[method-assign]
        if is_claimed:
            takes.clear()
            await asyncio.sleep(LEASE + 1)
            fixture.deliverer("next")
            await asyncio.sleep(3.0)
            assert fixture.outbox.left_out["1"][0] == "next"
        (went,) = await fixture.append(app, "c16", kind="channel_vacated")
        if not is_claimed:
            fixture.deliverer("next")
        fixture.targets.behaviour = lambda post: (200, 0.0)
        await fixture.drained()
        assert went in fixture.targets.accepted_ids(target.url)

    simulate(play)


def test_an_outbox_that_begins_anew_with_earlier_positions_is_read_again() -> None:
    """As one in Redis that has lost its memory, while the time of its machine was set back."""

    async def play() -> None:
        app = an_app("1", hook("a"))
        fixture = DeliveryFixture(app)
        fixture.deliverer()
        await fixture.append(app, *(f"c{number}" for number in range(50)))
        await fixture.drained()
        fixture.outbox.waiting.clear()
        fixture.outbox._last = 0
        ids = await fixture.append(app, "new")
        await asyncio.sleep(2.0)
        assert fixture.targets.accepted[-1].ids == tuple(ids)

    simulate(play)


def test_apps_that_cannot_be_looked_up_are_waited_for() -> None:
    async def play() -> None:
        app = an_app("1", hook("a"))
        fixture = DeliveryFixture(app)
        fixture.apps.gate.is_away = True
        fixture.deliverer()
        await fixture.append(app, "room")
        await asyncio.sleep(60.0)
        assert not fixture.targets.posts
        fixture.apps.gate.is_away = False
        await fixture.drained(5.0)
        assert len(fixture.targets.posts) == 1

    simulate(play)


def test_a_stop_finishes_what_is_in_flight_and_lets_others_go_on() -> None:
    async def play() -> None:
        app = an_app("1", hook("a"))
        fixture = DeliveryFixture(app)
        fixture.targets.behaviour = lambda post: (200, 2.0)
        first = fixture.deliverer("first")
        await fixture.append(app, "room", "room")
        await asyncio.sleep(0.5)
        await first.close(3.0)
        assert fixture.targets.accepted_ids(app.webhooks[0].url) == ["e1"]
        assert not fixture.outbox.claims
        fixture.deliverer("second")
        await fixture.drained(5.0)
        assert fixture.targets.accepted_ids(app.webhooks[0].url) == ["e1", "e2"]

    simulate(play)


def test_a_stop_does_not_wait_for_a_target_that_hangs() -> None:
    async def play() -> None:
        app = an_app("1", hook("a"))
        fixture = DeliveryFixture(app)
        fixture.targets.behaviour = lambda post: (0, 1_000.0)
        first = fixture.deliverer("first")
        await fixture.append(app, "room")
        await asyncio.sleep(0.5)
        began = fixture.loop.time()
        await first.close(3.0)
        assert fixture.loop.time() - began == pytest.approx(3.0)

    simulate(play)


def test_a_dead_target_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    async def play() -> None:
        app = an_app("1", hook("a"))
        fixture = DeliveryFixture(app)
        fixture.targets.behaviour = lambda post: (0 if post.at < 400 else 200, 0.1)
        fixture.deliverer()
        for number in range(200):
            await fixture.append(app, f"c{number}")
        await fixture.drained()

    with caplog.at_level(logging.INFO):
        simulate(play)
    said = [record.message for record in caplog.records]
    assert sum("does not take its events" in each for each in said) == 1
    assert sum("takes its events again" in each for each in said) == 1
    assert 1 <= sum("were given up" in each for each in said) <= 4


def test_a_target_that_is_denied_is_said_once_and_not_tried_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def play() -> None:
        good, bad = hook("good"), hook("bad")
        app = an_app("1", good, bad)
        fixture = DeliveryFixture(app)
        fixture.targets.denied = {bad.url}
        fixture.deliverer()
        ids = await fixture.append(app, "room", "room", "other")
        await fixture.drained(seconds=2.0)
        assert sorted(fixture.targets.accepted_ids(good.url)) == ids
        assert sorted(each.entry.id for each in await fixture.outbox.dead("1")) == ids
        attempts = await fixture.outbox.log("1", bad.id)
        assert {(each.number, each.outcome) for each in attempts} == {(1, "dead")}
        stats = fixture.stats.of("1")
        assert (stats.dead, stats.delivered) == (3, 3)

    with caplog.at_level(logging.INFO):
        simulate(play)
    (record,) = caplog.records
    assert record.message.startswith("webhook events were given up (its address is denied)")


def test_what_waits_is_counted_for_metrics() -> None:
    async def play() -> None:
        app = an_app("1", hook("a"))
        fixture = DeliveryFixture(app)
        fixture.targets.behaviour = lambda post: (500, 0.0)
        fixture.deliverer()
        await fixture.append(app, "a", "b")
        await asyncio.sleep(6.0)
        stats = fixture.stats.of("1")
        assert (stats.waiting, stats.oldest) == (2, EPOCH)

    simulate(play)


@pytest.mark.parametrize("seed", range(30))
def test_under_random_answers_nothing_is_lost_or_doubled_and_channels_keep_their_order(
    seed: int,
) -> None:
    """Each target accepts each event once or it is dead, in its channel's order; none delays another."""

    async def play() -> None:
        chance = randomly(seed)
        slow, flaky, fine = (
            hook("slow", batch=seed % 2 == 0),
            hook("flaky", batch=seed % 3 == 0),
            hook("fine"),
        )
        apps = [an_app("1", slow, flaky, fine), an_app("2", flaky, fine)]
        fixture = DeliveryFixture(*apps, batch_events=5)

        def behave(post: Post) -> tuple[int, float]:
            if post.url == fine.url:
                return 200, 0.01
            if post.url == slow.url:
                return (200, chance.uniform(1, 9)) if chance.random() < 0.6 else (0, 10.0)
            return chance.choice([200, 200, 500, 302, 0]), chance.uniform(0, 0.5)

        fixture.targets.behaviour = behave
        fixture.deliverer("one")
        fixture.deliverer("two")
        channels = {name: defaultdict(list) for name in ("1", "2")}
        appended_at: dict[str, float] = {}
        for _ in range(60):
            app = chance.choice(apps)
            names = [chance.choice("abcde") for _ in range(chance.randint(1, 4))]
            for event_id, name in zip(await fixture.append(app, *names), names, strict=True):
                channels[app.id][name].append(event_id)
                appended_at[event_id] = fixture.loop.time()
            await asyncio.sleep(chance.choice([0.0, 0.01, 0.3, 2.0]))
        await fixture.drained()
        for app in apps:
            for webhook in app.webhooks:
                got = [
                    each
                    for post in fixture.targets.accepted
                    if post.url == webhook.url
                    and dict(post.headers)["X-Pusher-Key"] == f"key-{app.id}"
                    for each in post.ids
                ]
                dead = [
                    each.entry.id
                    for each in await fixture.outbox.dead(app.id, 1_000)
                    if each.entry.webhook == webhook.id
                ]
                wanted = channels[app.id]
                assert sorted(got + dead) == sorted(each for ids in wanted.values() for each in ids)
                for ids in wanted.values():
                    taken = [each for each in ids if each not in dead]
                    assert [each for each in got if each in ids] == taken
        for post in fixture.targets.accepted:
            if post.url == fine.url:
                for event_id in post.ids:
                    # In one channel, one after the other: 60 rounds of at most 4 at 10 ms each; a claim of the
                    # other process's is another poll.
                    assert post.at - appended_at[event_id] < POLL + 1.0

    simulate(play)


def test_a_body_that_has_become_too_old_is_not_sent_any_more() -> None:
    """Its turn came too late: the apps could not be looked up for all that time."""

    async def play() -> None:
        app = an_app("1", hook("a"))
        fixture = DeliveryFixture(app)
        fixture.targets.behaviour = lambda post: (500, 0.0)
        fixture.deliverer()
        await fixture.append(app, "room")
        await asyncio.sleep(0.5)
        fixture.apps.gate.is_away = True
        await asyncio.sleep(300.0)
        fixture.apps.gate.is_away = False
        await fixture.drained(5.0)
        assert len(fixture.targets.posts) == 1
        (dead,) = await fixture.outbox.dead("1")
        assert dead.reason == "status 500"

    simulate(play)


def test_an_answer_about_claims_that_is_older_than_an_event_ends_nothing() -> None:
    async def play() -> None:
        app = an_app("1", hook("a"))
        fixture = DeliveryFixture(app)
        fixture.targets.behaviour = lambda post: (200, 1.0 if "e2" in post.ids else 0.0)
        claim = fixture.outbox.claim

        async def slowly(worker: str, seconds: float) -> list[str]:
            found = await claim(worker, seconds)
            await asyncio.sleep(0.5)
            return found

        fixture.outbox.claim = slowly  # type: ignore[method-assign]
        await fixture.append(app, "room")
        fixture.deliverer()
        await asyncio.sleep(
            0.5 + POLL + 0.2
        )  # the next question, which finds nothing, is under way
        await fixture.append(app, "room")
        await fixture.drained(10.0)
        assert [post.ids for post in fixture.targets.posts] == [("e1",), ("e2",)]

    simulate(play)
