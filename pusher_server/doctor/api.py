"""Checks of the HTTP API as a backend uses it: the clock, the credentials, a publication and its event."""

import hashlib
import json
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from urllib.parse import quote

from msgspec import Struct

from pusher_server.auth.requests import parse_query, string_to_sign
from pusher_server.auth.signatures import sign
from pusher_server.config import json_text
from pusher_server.doctor.client import Socket
from pusher_server.doctor.credentials import Credentials
from pusher_server.doctor.network import Answer, Network, Trouble
from pusher_server.doctor.results import Result, fault, good, left_out
from pusher_server.doctor.targets import Target

#: Seconds between two clocks: `Date` has whole seconds, and the answer takes a moment.
_CLOCK_NOISE, _CLOCK_LIMIT = 30.0, 600.0
_REDIRECTS = (301, 302, 303, 307, 308)
_EVENT = "doctor.check"
#: Characters of the server's own text in a sentence.
_SHOWN = 120


class Api(Struct, frozen=True):
    """A backend's way to the server. `now` gives Unix seconds, `clock` seconds that only rise."""

    network: Network
    target: Target
    credentials: Credentials
    now: Callable[[], float]
    clock: Callable[[], float]
    verify: bool = True

    async def get(self, path: str) -> Answer:
        """Send a signed GET of a path below `/apps/{id}`. Raises Trouble."""
        return await self._signed("GET", path, b"")

    async def publish(self, channel: str) -> Answer:
        """Publish the event of the check. Raises Trouble."""
        body = json.dumps({"name": _EVENT, "channels": [channel], "data": "{}"}).encode()
        return await self._signed("POST", "/events", body)

    async def _signed(self, method: str, rest: str, body: bytes) -> Answer:
        pair = self.credentials
        below = f"/apps/{quote(pair.app_id, safe='')}{rest}"
        query = (
            f"auth_key={quote(pair.key, safe='')}&auth_timestamp={int(self.now())}&auth_version=1.0"
        )
        if body:
            query += f"&body_md5={hashlib.md5(body, usedforsecurity=False).hexdigest()}"
        path = f"{self.target.prefix}{below}".encode()
        signature = sign(
            pair.secret, string_to_sign(method, path, parse_query(query.encode()).pairs)
        )
        url = f"{self.target.url(below)}?{query}&auth_signature={signature}"
        headers = {"content-type": "application/json"} if body else {}
        return await self.network.request(
            method, url, headers=headers, body=body, verify=self.verify
        )


async def check_clock(api: Api) -> list[Result]:
    """Return whether the API is there, and how far this machine's clock is from the server's."""
    try:
        before = api.now()
        answer = await api.network.request("GET", api.target.url("/up"), verify=api.verify)
        middle = (before + api.now()) / 2
    except Trouble as trouble:
        return [fault("API", "api_silent", reason=trouble.reason)]
    if answer.status in _REDIRECTS:
        return [fault("API", "api_redirected", status=answer.status)]
    try:
        sent = parsedate_to_datetime(answer.headers["date"]).timestamp()
    except (KeyError, ValueError, TypeError):
        fix = "Compare the output of `date -u` on both machines."
        return [left_out("clock", "the server's answer has no date", fix)]
    skew = middle - sent - 0.5
    shown, direction = _duration(abs(skew)), "ahead of" if skew > 0 else "behind"
    if abs(skew) > _CLOCK_LIMIT:
        return [fault("clock", "clock_off", skew=shown, direction=direction)]
    if abs(skew) > _CLOCK_NOISE:
        return [fault("clock", "clock_drifts", skew=shown, direction=direction)]
    return [good("clock", "this machine's clock and the server's agree")]


async def check_credentials(api: Api, channel: str) -> Result:
    """Return whether a signed request is accepted; it reads one channel and changes nothing."""
    try:
        answer = await api.get(f"/channels/{channel}")
    except Trouble as trouble:
        return fault("credentials", "api_silent", reason=trouble.reason)
    if _is_accepted(answer):
        return good(
            "credentials", "app id, key and secret are one app's: a signed request is accepted"
        )
    return _api_refusal("credentials", answer)


async def check_publication(api: Api, socket: Socket, channel: str) -> Result:
    """Subscribe, publish, and return how long the event took to come back."""
    check, patience = "publication", api.network.limit
    subscribe = {"event": "pusher:subscribe", "data": {"channel": channel}}
    try:
        await socket.send(json.dumps(subscribe).encode())
        reason = await _confirmed(socket, channel, patience)
        if reason:
            return fault(check, "subscription_lost", channel=channel, reason=reason)
        began = api.clock()
        answer = await api.publish(channel)
        if not _is_accepted(answer):
            return _api_refusal(check, answer)
        while True:
            message = await socket.next(patience)
            if message.event == _EVENT and message.channel == channel:
                break
            if message.kind == "end":
                return fault(check, "event_lost", seconds=f"{patience:g}")
    except TimeoutError:
        return fault(check, "event_lost", seconds=f"{patience:g}")
    except Trouble as trouble:
        return fault(check, "api_silent", reason=trouble.reason)
    took = (api.clock() - began) * 1_000
    return good(check, f"an event went to {channel} and came back in {took:.0f} ms")


async def _confirmed(socket: Socket, channel: str, patience: float) -> str:
    """Return "" once the subscription is confirmed, else the reason why it is not."""
    try:
        while True:
            message = await socket.next(patience)
            if message.kind == "end":
                return "the connection ended"
            if message.channel != channel:
                continue
            if message.event == "pusher_internal:subscription_succeeded":
                return ""
            if message.event == "pusher:subscription_error":
                return str(message.data.get("error", ""))[:_SHOWN] or "the server refuses it"
    except TimeoutError:
        return f"no answer within {patience:g} s"


def _is_accepted(answer: Answer) -> bool:
    """Whether it is the API's answer: a site may answer 200 to every path."""
    try:
        return answer.status == 200 and isinstance(json_text.parse_json(answer.text), dict)
    except ValueError:
        return False


def _api_refusal(check: str, answer: Answer) -> Result:
    """Return the cause of an answer that is no 200; the texts are those of `auth/requests.py`."""
    status, text = answer.status, " ".join(answer.text.split())
    seen = {"status": status, "message": text[:_SHOWN]}
    if status in _REDIRECTS:
        return fault(check, "api_redirected", status=status)
    if "Unknown auth_key" in text:
        return fault(check, "api_key_unknown")
    if "Not authorized for that app" in text:
        return fault(check, "app_id_wrong")
    if "Timestamp expired" in text:
        return fault(check, "clock_off", skew="more than the server allows", direction="from")
    if "Invalid signature" in text:
        return fault(check, "secret_wrong")
    if status in (200, 404) or "<html" in text.lower():
        return fault(check, "api_path", path="/apps/…", status=status)
    if status == 403:
        return fault(check, "app_disabled")
    if status in (429, 500, 502, 503, 504):
        return fault(check, "api_busy", **seen)
    return fault(check, "api_refused", **seen)


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7_200 else f"{seconds / 3_600:.0f} h"
