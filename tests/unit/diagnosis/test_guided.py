"""The way of an event as steps: the first that does not hold says what is missing."""

import pytest

from tests.unit.diagnosis.site import Site

CHANNEL, EVENT = "private-session.42", "comment.created"


async def shown(site: Site) -> list[str]:
    answer = await site.explain(app="3", channel=CHANNEL, event=EVENT)
    return [f"{step.state} {step.name}: {step.text}" for step in answer.steps]


async def test_nothing_has_happened() -> None:
    site = Site()
    assert await shown(site) == [
        "no connected: no client of the app is connected",
        f"no subscribed: nobody is subscribed to `{CHANNEL}`",
        "no published: no publication of this app has come since the server started",
        "no delivered: no event has gone to a subscriber",
    ]


async def test_the_steps_turn_green_one_after_the_other() -> None:
    site = Site()
    client = site.connect()
    states = [[line.partition(" ")[0] for line in await shown(site)]]
    await site.waiting(CHANNEL)
    states.append([line.partition(" ")[0] for line in await shown(site)])
    await site.publish(CHANNEL)
    site.node.hub.app_states["3"].channels[CHANNEL].since = site.clock() - 2
    states.append([line.partition(" ")[0] for line in await shown(site)])
    assert states == [
        ["yes", "no", "no", "no"],
        ["yes", "yes", "no", "no"],
        ["yes", "yes", "yes", "yes"],
    ]
    assert client.socket_id


async def test_the_event_went_elsewhere() -> None:
    site = Site()
    await site.waiting(CHANNEL)
    await site.publish("session.42")
    site.clock.advance(9.0)
    lines = await shown(site)
    assert lines[1] == f"yes subscribed: 1 subscriber of `{CHANNEL}`"
    assert lines[2].startswith(f"unseen published: no event came to `{CHANNEL}` lately;")


async def test_others_wait_on_a_near_name() -> None:
    site = Site()
    await site.waiting("session.42", times=2)
    await site.publish(CHANNEL)
    await site.node.diagnosing.step()
    site.clock.advance(4.0)
    lines = await shown(site)
    assert lines[1] == (
        f"no subscribed: nobody is subscribed to `{CHANNEL}`; `session.42` has 2 subscribers"
    )
    assert lines[2] == f"yes published: `{EVENT}` came 4 s ago, 1 time"


async def test_the_line_that_listens_is_shown_once_it_is_delivered() -> None:
    site = Site()
    await site.waiting(CHANNEL)
    await site.publish(CHANNEL)
    site.node.hub.app_states["3"].channels[CHANNEL].since = site.clock() - 2
    answer = await site.explain(app="3", channel=CHANNEL, event=EVENT)
    assert answer.steps[-1].missing == (
        "listen with Echo.private('session.42').listen('.comment.created', (e) => …)"
    )


@pytest.mark.parametrize("question", [{}, {"app": "3"}])
async def test_without_a_channel_there_are_no_steps(question: dict[str, str]) -> None:
    assert (await Site().explain(**question)).steps == []
