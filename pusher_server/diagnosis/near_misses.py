"""The rules about events that nobody received, while others wait on a name that is nearly the same.

The exact name has no subscriber in the whole cluster, and is not known to have had one. The caller makes sure
of both, and gives the near names that have subscribers.
"""

from collections.abc import Mapping

from pusher_server.diagnosis import event_names
from pusher_server.diagnosis.channel_names import folded, is_doubled, laravel, parts_of
from pusher_server.diagnosis.evidence import Undelivered
from pusher_server.diagnosis.findings import Finding, finding
from pusher_server.diagnosis.printable import counted, printable, quoted

#: The order in which classes of Laravel let fewer people in.
_STRICTER = ("Channel", "PrivateChannel", "PresenceChannel", "EncryptedPrivateChannel")


def near_miss(missed: Undelivered, held: Mapping[str, int], now: float) -> Finding | None:
    """Return the finding about an event that nobody received. `held`: near names and their subscribers.

    None when no near name has any, or when the same publication went to that name as well.
    """
    candidates = {
        name: count
        for name, count in held.items()
        if count > 0
        and name != missed.channel
        and name not in missed.siblings
        and folded(name) == folded(missed.channel)
    }
    if not candidates:
        return None
    core = parts_of(missed.channel).core
    # An exact core is the likelier mistake than other capitals; then the name on which most wait.
    name = max(candidates, key=lambda near: (parts_of(near).core == core, candidates[near], near))
    cause, fields = _difference(missed.channel, name)
    waits = "waits" if candidates[name] == 1 else "wait"
    return finding(
        cause,
        missed.app,
        f"{missed.channel} {missed.event}"[:400],
        event=quoted(missed.event),
        channel=quoted(missed.channel),
        waiting=f"{counted(candidates[name], 'connection')} {waits} on {quoted(name)}",
        count=missed.count,
        first=now - missed.first,
        last=now - missed.last,
        **fields,
    )


def _difference(published: str, held: str) -> tuple[str, dict[str, str]]:
    """Return the cause, and the fields of its templates."""
    event, client = parts_of(published), parts_of(held)
    if event.core != client.core:
        return ("capitals" if event.core.lower() == client.core.lower() else "separators"), {}
    core = printable(event.core)
    wrong, right = laravel(published), laravel(held)
    if is_doubled(held):
        return "client_prefix_twice", {"right": right.method, "made": f"{right.method}('{core}')"}
    if is_doubled(published):
        made = f"{wrong.channel_class}('{core}')"
        return "event_prefix_twice", {"right": wrong.channel_class, "made": made}
    made = f"{right.channel_class}('{printable(right.name)}')"
    if wrong.channel_class == right.channel_class:  # `cache-` is what differs
        before = f"{wrong.channel_class}('{printable(wrong.name)}')"
        return "event_prefix", {"wrong": before, "right": made, "made": made}
    if _STRICTER.index(wrong.channel_class) < _STRICTER.index(right.channel_class):
        fields = {"wrong": wrong.channel_class, "right": right.channel_class, "made": made}
        return "event_prefix", fields
    # The backend protects the channel, and the client does not know.
    made = f"{wrong.method}('{printable(wrong.name)}')"
    return "client_prefix", {"wrong": right.method, "right": wrong.method, "made": made}


def wrong_name(
    app: str, channel: str, event: str, *, count: int, first: float, last: float
) -> Finding | None:
    """Return the finding about an event's name that no client listens to, None when it is a good one."""
    cause = event_names.fault(event)
    if not cause:
        return None
    name = event_names.repaired(event)
    return finding(
        cause,
        app,
        f"{channel} {event}"[:400],
        event=quoted(event),
        channel=quoted(channel),
        name=printable(name),
        listen=printable(event_names.listening(channel, name), 300),
        count=count,
        first=first,
        last=last,
    )
