"""Who was subscribed when, what was published, and who got it: from this, what was lost.

Two events are one if they have the same name: `tick:STREAM:N`, where a stream is one publisher on one
connection (a backend's to a node, a client's own) and N counts in it. So order is a property of a stream,
and a publisher that has to connect again begins a new one.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tests.chaos.world import user_channel

#: An event that was answered reaches its subscribers within this time, unless something is wrong.
DELIVERY = 2.0


@dataclass(eq=False)
class Stay:
    """One subscription from the client's side: asked for, granted, ended."""

    channel: str
    socket: str
    #: The member's user id on presence channels, the signed-in user on user channels.
    user: str | None
    asked: float
    granted: float | None = None
    ended: float | None = None


@dataclass(eq=False)
class Publication:
    """One event for one channel. `answered` is None while, or because, nobody knows whether it happened.

    `sender` is the client's stay in the channel, for client events.
    """

    name: str
    channel: str
    sent: float
    answered: float | None = None
    excluded: str | None = None
    sender: Stay | None = None
    got: set[str] = field(default_factory=set)


@dataclass(eq=False)
class Termination:
    """The backend asked to end a user's connections; `answered` as with publications."""

    user: str
    sent: float
    answered: float | None = None


@dataclass
class FaultWindow:
    """A fault was on from `begin`; its consequences lasted until everything was at rest."""

    kind: str
    begin: float
    rest: float | None = None

    def touches(self, sent: float, answered: float) -> bool:
        """Whether something that was under way then may have suffered from it."""
        return self.begin <= answered + 0.2 and (self.rest is None or sent <= self.rest)


@dataclass(frozen=True)
class Loss:
    """An event that a subscriber never got. `faults` are those that were on."""

    publication: Publication
    stay: Stay
    faults: tuple[str, ...]
    same_process: bool


@dataclass
class Settled:
    """What the events of a round came to; `expected` counts deliveries by the faults that were on."""

    losses: list[Loss] = field(default_factory=list)
    expected: dict[tuple[str, ...], int] = field(default_factory=dict)


class Ledger:
    """Kept for one round at a time: `settle` answers what was lost and begins anew."""

    def __init__(self) -> None:
        self._publications: dict[tuple[str, str], Publication] = {}
        self._stays: dict[str, list[Stay]] = {}
        self._terminations: list[Termination] = []

    # Written by clients and backend

    def asked(self, channel: str, socket: str, user: str | None, now: float) -> Stay:
        """A client asks for a subscription."""
        stay = Stay(channel, socket, user, now)
        self._stays.setdefault(channel, []).append(stay)
        return stay

    def published(
        self,
        name: str,
        channel: str,
        now: float,
        *,
        excluded: str | None = None,
        sender: Stay | None = None,
    ) -> Publication:
        """An event is on its way to the server; a client's needs no answer."""
        publication = Publication(name, channel, now, excluded=excluded, sender=sender)
        if sender is not None:
            publication.answered = now
        self._publications[name, channel] = publication
        return publication

    def terminating(self, user: str, now: float) -> Termination:
        """A request to end a user's connections is on its way."""
        termination = Termination(user, now)
        self._terminations.append(termination)
        return termination

    def may_be_terminated(self, user: str | None) -> bool:
        """Whether a connection of this user may be closed for good, in this round."""
        return any(each.user == user for each in self._terminations)

    def delivered(self, name: str, channel: str, socket: str) -> bool:
        """A subscriber got it. False when it had it already."""
        publication = self._publications.get((name, channel))
        if publication is None:
            return True  # of an earlier round; the order within its stream still tells
        if socket in publication.got:
            return False
        publication.got.add(socket)
        return True

    def stays(self, channel: str) -> Sequence[Stay]:
        """All stays in a channel that touched this round."""
        return self._stays.get(channel, ())

    def channels(self) -> Iterator[str]:
        """Where anybody was in this round."""
        return iter(self._stays)

    # At rest

    def settle(
        self,
        now: float,
        faults: Sequence[FaultWindow],
        process_of_socket: Mapping[str, int],
        process_of_event: Mapping[tuple[str, str], int],
    ) -> Settled:
        """Events that somebody should have got. All faults are over and all clients are back."""
        settled = Settled()
        for publication in self._publications.values():
            if publication.answered is None:
                continue
            on = _kinds(faults, publication.sent, publication.answered)
            # With a fault on, an event may be under way for long: only who stayed to the end counts.
            horizon = now if on else publication.answered + DELIVERY
            sender = publication.sender
            if sender is not None and not _lasted(sender, horizon):
                continue
            process = self._process(publication, process_of_socket, process_of_event)
            for stay in self._stays.get(publication.channel, ()):
                if not _expects(stay, publication, horizon):
                    continue
                settled.expected[on] = settled.expected.get(on, 0) + 1
                if stay.socket not in publication.got:
                    same = process is not None and process_of_socket.get(stay.socket) == process
                    settled.losses.append(Loss(publication, stay, on, same))
        for termination in self._terminations:
            self._settle_termination(settled, termination, faults)
        return settled

    def _settle_termination(
        self, settled: Settled, termination: Termination, faults: Sequence[FaultWindow]
    ) -> None:
        """It is an event that reaches a connection by ending it."""
        if termination.answered is None:
            return
        on = _kinds(faults, termination.sent, termination.answered)
        for stay in self._stays.get(user_channel(termination.user), ()):
            if stay.granted is None or stay.granted > termination.sent - 0.1:
                continue
            if not _lasted(stay, termination.sent):
                continue
            settled.expected[on] = settled.expected.get(on, 0) + 1
            if _lasted(stay, termination.answered + DELIVERY):
                event = Publication("terminate", stay.channel, termination.sent)
                settled.losses.append(Loss(event, stay, on, same_process=False))

    def undelivered(self, name: str) -> bool:
        """Whether somebody who is there still waits for this event."""
        return any(
            stay.socket not in publication.got
            for publication in self._publications.values()
            if publication.name == name
            for stay in self._stays.get(publication.channel, ())
            if _expects(stay, publication, publication.sent + DELIVERY)
        )

    def begin_round(self) -> None:
        """Forget what has been settled: events, and stays that have ended."""
        self._publications.clear()
        self._terminations.clear()
        for channel, stays in self._stays.items():
            self._stays[channel] = [stay for stay in stays if stay.ended is None]

    @staticmethod
    def _process(
        publication: Publication,
        of_socket: Mapping[str, int],
        of_event: Mapping[tuple[str, str], int],
    ) -> int | None:
        if publication.sender is not None:
            return of_socket.get(publication.sender.socket)
        return of_event.get((publication.name, publication.channel))


def _kinds(faults: Sequence[FaultWindow], sent: float, answered: float) -> tuple[str, ...]:
    return tuple(sorted({each.kind for each in faults if each.touches(sent, answered)}))


def _lasted(stay: Stay, until: float) -> bool:
    return stay.ended is None or stay.ended > until


def _expects(stay: Stay, publication: Publication, horizon: float) -> bool:
    if stay is publication.sender or stay.socket == publication.excluded:
        return False
    return stay.granted is not None and stay.granted <= publication.sent and _lasted(stay, horizon)
