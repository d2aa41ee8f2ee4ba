"""The check of how long a connection may be idle before something on the way cuts it."""

from collections.abc import Callable

from pusher_server.doctor.connecting import enter
from pusher_server.doctor.network import Network
from pusher_server.doctor.results import Result, fault, good, left_out
from pusher_server.doctor.targets import Target

#: Seconds that the check takes at most: above the 60 s of nginx, AWS's balancers and many others.
LONGEST = 75.0


async def check_idle(
    network: Network,
    target: Target,
    key: str,
    *,
    origin: str,
    verify: bool,
    clock: Callable[[], float],
    longest: float = LONGEST,
) -> Result:
    """Return how long a silent connection lives; it ends with the server's first ping, or after `longest`."""
    entry = await enter(network, target, key, origin=origin, verify=verify, clock=clock)
    socket = entry.socket
    if socket is None:
        fix = "Mend what the checks above say, then run this one again."
        return left_out("idle limit", "no connection stands", fix)
    until = clock() + longest
    try:
        while True:
            since = socket.active_at
            try:
                message = await socket.next(max(until - clock(), 0.001))
            except TimeoutError:
                if socket.active_at > until - 0.9 * longest:
                    fix = "Give the credentials of an app whose server is silent by itself."
                    return left_out("idle limit", "the server keeps sending", fix)
                return good("idle limit", f"≥ {_seconds(longest)}: nothing on the way cuts earlier")
            if message.kind == "ping" or message.event == "pusher:ping":
                age = _seconds(socket.active_at - since)
                return good("idle limit", f"≥ {age}, kept alive by our ping")
            if message.kind == "end":
                break
        lived = clock() - since
        if message.code is not None and message.code >= 4000:
            return fault("idle limit", "idle_closed", age=_seconds(lived), code=message.code)
        seen = {"age": _seconds(lived), "activity": _seconds(entry.activity)}
        return fault("idle limit", "idle_short", **seen)
    finally:
        await socket.close()


def _seconds(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
