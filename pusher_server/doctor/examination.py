"""Runs all checks of a plan in order; those that wait run side by side, and each has a time limit."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

import msgspec
from msgspec import Struct

from pusher_server.doctor.api import Api, check_clock, check_credentials, check_publication
from pusher_server.doctor.auth_route import check_auth_route
from pusher_server.doctor.connecting import Entry, enter
from pusher_server.doctor.credentials import Credentials, fired_webhooks
from pusher_server.doctor.idle import LONGEST, check_idle
from pusher_server.doctor.network import Network, Trouble
from pusher_server.doctor.operations import check_operations
from pusher_server.doctor.ports import Port, check_name, check_other_port, check_port, port_trouble
from pusher_server.doctor.results import Result, fault, good, left_out
from pusher_server.doctor.targets import Target

T = TypeVar("T")

#: Seconds after which all checks but that of the idle limit are over.
_LONGEST = 28.0
#: Seconds of the look at a port: to connect, to shake hands, and both once more.
_PORT = 9.0
_CREDENTIALS = (
    "Give --laravel PATH, --app FILE, or PUSHER_APP_ID, PUSHER_APP_KEY and PUSHER_APP_SECRET."
)


class Plan(Struct, frozen=True, kw_only=True):
    """The checks to make. `clients` is where clients connect, `backend` where the backend publishes.

    `is_backend_here`: the backend's address has to work from this machine. `channel` is a name of nobody else.
    """

    clients: Target
    backend: Target
    is_backend_here: bool = True
    credentials: Credentials
    channel: str
    origin: str = ""
    auth_url: str = ""
    operations: str = ""
    operations_token: str = ""
    is_quick: bool = False
    publishes: bool = True

    def __repr__(self) -> str:
        return f"Plan({self.clients.shown_host!r})"

    @property
    def notice(self) -> str:
        """The sentence that an operator reads before the publication."""
        if not self.publishes or not self.credentials.is_complete:
            return ""
        fired = fired_webhooks(self.credentials, self.channel)
        return (
            f"This publishes one event to the channel {self.channel} and subscribes to it for a moment;"
            f" {fired}. --no-publish leaves it out."
        )


class Examination:
    """`now` gives Unix seconds, `clock` seconds that only rise. `longest` is for the idle check, in seconds."""

    def __init__(
        self,
        plan: Plan,
        network: Network,
        *,
        now: Callable[[], float],
        clock: Callable[[], float],
        longest: float = LONGEST,
    ) -> None:
        self._plan = plan
        self._network = network
        self._now = now
        self._clock = clock
        self._longest = longest
        self._until = clock() + _LONGEST
        self._running: list[asyncio.Task[list[Result]]] = []
        self._idle: asyncio.Task[list[Result]] | None = None

    async def results(self) -> AsyncIterator[Result]:
        """The results, each as soon as those before it are there."""
        try:
            beside = [self._begin(checks) for checks in self._beside()]
            async for result in self._clients():
                yield result
            for task in beside:
                for result in await task:
                    yield result
            for result in await self._idle_results():
                yield result
        finally:
            for task in self._running:
                task.cancel()
            await asyncio.gather(*self._running, return_exceptions=True)

    def _begin(self, checks: Awaitable[list[Result]]) -> "asyncio.Task[list[Result]]":
        async def run() -> list[Result]:
            return await checks

        task = asyncio.get_running_loop().create_task(run())
        self._running.append(task)
        return task

    def _beside(self) -> list[Awaitable[list[Result]]]:
        """The checks that need no connection to the server."""
        plan = self._plan

        async def auth_route() -> list[Result]:
            if not plan.auth_url:
                fix = "Give --auth-url https://your.site/broadcasting/auth."
                return [left_out("auth route", "its address was not given", fix)]
            checking = check_auth_route(self._network, plan.auth_url, plan.origin)
            return [await self._in_time(checking, _timed_out("auth route"))]

        async def operations() -> list[Result]:
            if not plan.operations:
                fix = "Give --operations http://127.0.0.1:9601 on the server's machine."
                reason = "the operations listener was not given"
                return [left_out("versions and files", reason, fix)]
            checking = check_operations(self._network, plan.operations, plan.operations_token)
            return await self._in_time(checking, [_timed_out("operations")])

        return [auth_route(), operations()]

    async def _clients(self) -> AsyncIterator[Result]:
        target = self._plan.clients
        name = await self._in_time(check_name(self._network, target), _timed_out("name"))
        yield name
        if name.mark != "✓":
            yield left_out("connection", "the host has no address", "Mend the name first.")
            return
        port, others = await asyncio.gather(
            self._in_time(check_port(self._network, target, self._now), _no_port(), _PORT),
            self._in_time(check_other_port(self._network, target), [], _PORT),
        )
        for result in (*port.results, *others):
            yield result
        if not port.is_open:
            yield left_out("connection", "the port cannot be used", "Mend the port first.")
            return
        async for result in self._server(port):
            yield result

    async def _server(self, port: Port) -> AsyncIterator[Result]:
        plan = self._plan
        entering = enter(
            self._network,
            plan.clients,
            plan.credentials.key,
            origin=plan.origin,
            verify=port.is_trusted,
            clock=self._clock,
        )
        (results, api), entry = await asyncio.gather(
            self._api(port), self._in_time(entering, Entry([_timed_out("upgrade")]))
        )
        try:
            for result in entry.results:
                yield result
            self._begin_idle(entry, port)
            for result in results:
                yield result
            if api is not None:
                for result in await self._signed(api, entry):
                    yield result
        finally:
            if entry.socket is not None:
                await entry.socket.close()

    async def _api(self, port: Port) -> tuple[list[Result], Api | None]:
        """Return the results of the backend's way, and the API where requests may be signed."""
        plan = self._plan
        target, verify, results = plan.clients, port.is_trusted, list[Result]()
        if not plan.backend.same_place(plan.clients):
            results, target, verify = await self._backend(port)
        elif plan.backend.prefix != plan.clients.prefix:
            target = plan.backend
        api = Api(self._network, target, plan.credentials, self._now, self._clock, verify)
        clock = await self._in_time(check_clock(api), [_timed_out("API")])
        results += clock
        if any(result.check == "API" for result in clock):
            return results, None
        if any(result.cause == "clock_off" for result in clock):
            reason = "a signature by a wrong clock is refused"
            results.append(left_out("credentials", reason, "Mend the clock first."))
            return results, None
        if not verify:
            fix = "Mend the certificate first."
            results.append(
                left_out("credentials", "nothing is signed for a wrong certificate", fix)
            )
            return results, None
        return results, api

    async def _backend(self, port: Port) -> tuple[list[Result], Target, bool]:
        """Return whether the backend's own address works, and the address to use."""
        plan = self._plan
        check = "backend's port"
        try:
            stream = await self._network.connect(plan.backend, tls=False)
            await stream.aclose()
        except Trouble as trouble:
            if plan.is_backend_here:
                return [port_trouble(check, plan.backend, trouble)], plan.clients, port.is_trusted
            seen = {"host": plan.backend.shown_host, "reason": trouble.reason}
            return [fault(check, "api_elsewhere", **seen)], plan.clients, port.is_trusted
        own = await self._in_time(
            check_port(self._network, plan.backend, self._now), _no_port(), _PORT
        )
        wrong = [result for result in own.results if result.mark != "✓"]
        if own.is_open:
            reached = good(check, f"{plan.backend.shown_host} can be reached")
            return wrong or [reached], plan.backend, own.is_trusted
        return wrong, plan.clients, port.is_trusted

    async def _signed(self, api: Api, entry: Entry) -> list[Result]:
        plan = self._plan
        if not plan.credentials.is_complete:
            reason = "no app id, key and secret were given"
            return [left_out("credentials and publication", reason, _CREDENTIALS)]
        causes = {result.cause for result in entry.results}
        if "key_unknown" in causes and plan.backend.same_place(plan.clients):
            return [left_out("credentials", "the key is unknown", "Mend the key first.")]
        if "path_extra" in causes:
            bare = msgspec.structs.replace(api.target, prefix="")
            api = msgspec.structs.replace(api, target=bare)
        checking = check_credentials(api, plan.channel)
        results = [await self._in_time(checking, _timed_out("credentials"))]
        if results[0].mark != "✓":
            return results
        if not plan.publishes:
            return [*results, left_out("publication", "--no-publish", "Run it without the option.")]
        if entry.socket is None:
            fix = "Mend what the checks above say first."
            return [*results, left_out("publication", "no connection stands", fix)]
        publishing = check_publication(api, entry.socket, plan.channel)
        return [*results, await self._in_time(publishing, _timed_out("publication"))]

    def _begin_idle(self, entry: Entry, port: Port) -> None:
        if self._plan.is_quick or entry.socket is None:
            return

        async def idle() -> list[Result]:
            result = await check_idle(
                self._network,
                self._plan.clients,
                self._plan.credentials.key,
                origin=self._plan.origin,
                verify=port.is_trusted,
                clock=self._clock,
                longest=self._longest,
            )
            return [result]

        self._idle = self._begin(idle())

    async def _idle_results(self) -> list[Result]:
        if self._idle is not None:
            return await self._idle
        if self._plan.is_quick:
            return [left_out("idle limit", "--quick", "Run it without the option; it takes 75 s.")]
        fix = "Mend what the checks above say first, and give credentials."
        return [left_out("idle limit", "no connection stands", fix)]

    async def _in_time(self, checking: Awaitable[T], late: T, longest: float = _LONGEST) -> T:
        """Return the check's value, or `late` when its time is over."""
        left = min(longest, self._until - self._clock())
        try:
            async with asyncio.timeout(max(left, 0.01)):
                return await checking
        except TimeoutError:
            return late


def _timed_out(check: str) -> Result:
    return left_out(check, "it took too long", "Run it again, from a machine nearer to the server.")


def _no_port() -> Port:
    return Port([_timed_out("port")])
