"""Checks of the way in: the upgrade through proxies, the path, the key, the origin."""

from collections.abc import Callable
from urllib.parse import urlsplit

from msgspec import Struct

from pusher_server.doctor.client import Message, Socket, Upgrade, upgrade
from pusher_server.doctor.network import Network, Trouble
from pusher_server.doctor.results import Result, fault, good, left_out
from pusher_server.doctor.targets import Target, client_path, is_local

#: A key that no app has, for checks without credentials.
NO_KEY = "doctor-without-a-key"
_REDIRECTS = (301, 302, 303, 307, 308)
_PROXY_FAILS = (500, 502, 503, 504, 520, 521, 522, 523, 524)


class Entry(Struct):
    """The results of an upgrade. `socket` is the established connection, None without one.

    `prefix` is the path prefix that works. `activity` is the server's activity_timeout in seconds.
    """

    results: list[Result]
    socket: Socket | None = None
    prefix: str = ""
    activity: float = 120.0


async def enter(
    network: Network,
    target: Target,
    key: str,
    *,
    origin: str,
    verify: bool,
    clock: Callable[[], float],
) -> Entry:
    """Connect as a client does. The caller closes the socket of the entry."""
    path = client_path(key or NO_KEY)
    try:
        answer = await upgrade(network, target, path, origin=origin, verify=verify, clock=clock)
    except Trouble as trouble:
        return Entry([fault("upgrade", "no_answer", reason=trouble.reason)])
    if answer.socket is None:
        results = await _http_refusal(network, target, answer, path, verify=verify, clock=clock)
        return Entry(results)
    try:
        first = await answer.socket.next(network.limit)
    except TimeoutError:
        first = Message("end")
    entry = Entry([], answer.socket, target.prefix)
    await _judge(network, target, entry, first, key, origin, verify=verify, clock=clock)
    if entry.socket is None:
        await answer.socket.close()
    return entry


async def _judge(
    network: Network,
    target: Target,
    entry: Entry,
    first: Message,
    key: str,
    origin: str,
    *,
    verify: bool,
    clock: Callable[[], float],
) -> None:
    """Fill the entry in by the server's first message."""
    if first.event == "pusher:connection_established":
        timeout = first.data.get("activity_timeout")
        entry.activity = float(timeout) if isinstance(timeout, int | float) else 120.0
        entry.results = [_upgraded(target), _path_known(target), good("key", "the app is known")]
        entry.results += _origin(target, origin)
        return
    entry.socket = None
    code = first.data.get("code")
    if first.event != "pusher:error" or not isinstance(code, int):
        silent = first.kind == "end"
        reason = "the WebSocket opens, and no message comes"
        entry.results = [
            fault("upgrade", "no_answer", reason=reason)
            if silent
            else fault("upgrade", "no_pusher")
        ]
        return
    entry.results = [_upgraded(target)]
    if code == 4005:
        entry.results.append(
            await _other_path(network, target, client_path(key or NO_KEY), 4005, verify, clock)
        )
        return
    entry.results.append(_path_known(target))
    entry.results += _refusal(target, code, str(first.data.get("message", "")), key, origin)


def _upgraded(target: Target) -> Result:
    return good("upgrade", f"a WebSocket opens through {target.shown_host}")


def _path_known(target: Target) -> Result:
    with_prefix = f" below {target.prefix}" if target.prefix and not target.host_named else ""
    return good("path", f"the server knows the path /app/…{with_prefix}")


def _refusal(target: Target, code: int, message: str, key: str, origin: str) -> list[Result]:
    """Return the results of an error of the server's with this code (docs/protocol/connection.md#codes)."""
    if code == 4001:
        if not key:
            return [
                left_out(
                    "key", "no credentials", "Give --laravel PATH, --app FILE or PUSHER_APP_KEY."
                )
            ]
        return [fault("key", "key_unknown")]
    known = good("key", "the app is known")
    if code == 4000:
        return [known, fault("TLS", "tls_not_forwarded" if target.is_tls else "tls_required")]
    if code == 4003:
        return [known, fault("app", "app_disabled")]
    if code == 4009:
        if not origin:
            return [known, fault("origin", "origin_missing")]
        name = urlsplit(origin).hostname
        return [known, fault("origin", "origin_refused", origin=origin, name=name)]
    if code in (4004, 4100) or 4200 <= code < 4300:
        return [fault("connection", "server_full", code=code)]
    return [fault("connection", "connection_refused_otherwise", code=code, message=message)]


def _origin(target: Target, origin: str) -> list[Result]:
    """Return the results of an origin that the server let in."""
    if not origin:
        fix = "Give --origin https://your.site, as a browser sends it."
        return [left_out("origin", "no origin was given", fix)]
    if origin.startswith("https:") and not target.is_tls and not is_local(target.host):
        return [fault("origin", "mixed_content")]
    return [good("origin", f"the app allows {origin}")]


async def _http_refusal(
    network: Network,
    target: Target,
    answer: Upgrade,
    path: str,
    *,
    verify: bool,
    clock: Callable[[], float],
) -> list[Result]:
    """Return the result of an upgrade that has an HTTP answer."""
    status = answer.status
    if status == 426 or (status in (400, 405) and "upgrade" in answer.text.lower()):
        return [fault("upgrade", "upgrade_dropped", status=status)]
    if status in _REDIRECTS:
        return [fault("upgrade", "upgrade_redirected", status=status)]
    if status in (401, 403, 407, 429):
        return [fault("upgrade", "upgrade_forbidden", status=status)]
    if status in _PROXY_FAILS:
        return [fault("upgrade", "proxy_without_server", status=status)]
    if status == 404:
        result = await _other_path(network, target, path, 404, verify, clock)
        if result.cause == "path_extra" or target.prefix:
            return [result]
    return [fault("upgrade", "other_site", status=status)]


async def _other_path(
    network: Network,
    target: Target,
    path: str,
    status: int,
    verify: bool,
    clock: Callable[[], float],
) -> Result:
    """Return whether the server answers without the prefix: a proxy may take one off or not."""
    shown = "/…" if target.host_named else target.prefix
    if not target.prefix:
        return fault("path", "path_unknown", path="/app/…", status=status)
    bare = Target(target.host, target.port, target.is_tls)
    try:
        answer = await upgrade(network, bare, path, verify=verify, clock=clock)
    except Trouble:
        answer = Upgrade(0, {})
    if answer.socket is not None:
        try:
            first = await answer.socket.next(network.limit)
        except TimeoutError:
            first = Message("end")
        await answer.socket.close()
        is_known = first.event.startswith("pusher:") and first.data.get("code") != 4005
        if is_known:
            return fault("path", "path_extra", path=f"{shown}/app/…", other="/app/…")
    return fault("path", "path_unknown", path=f"{shown}/app/…", status=status)
