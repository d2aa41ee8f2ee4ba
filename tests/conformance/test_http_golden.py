"""Rows H1, H2: the golden HTTP requests of the official libraries, byte for byte, at today's time.

Their own signatures are bound to a fixed clock (the unit tests of `auth` hold those); here each
request is sent as its library writes it, with the present timestamp and the signature for it.
"""

import json
import time
from typing import Any

import httpx
import pytest

from tests.conformance.api import Api, exchange
from tests.conformance.client import connected
from tests.conformance.target import GOLDEN, Target
from tests.conformance.test_subscriptions import GOLDEN as VECTORS
from tests.support.signing import body_md5, request_signature

CLOCK = VECTORS["http"]["clock_now"]
REJECTED = [case for case in VECTORS["edge"]["reject"] if case["kind"] == "http"]
ACCEPTED = VECTORS["http"]["vectors"] + VECTORS["edge"]["accept"]


def at_present(target: Target, text: str, now: int) -> str:
    """A golden path or query with the target's credentials and the present time."""
    app = target.main
    return (
        text.replace(f"/apps/{GOLDEN.app_id}/", f"/apps/{app.app_id}/")
        .replace(GOLDEN.key, app.key)
        .replace(str(CLOCK), str(now))
    )


def with_signature(query: str, signature: str) -> str:
    """The query with the signature put where the library has it."""
    parts = [part for part in query.split("&") if part]
    return "&".join(
        f"auth_signature={signature}" if part.startswith("auth_signature=") else part
        for part in parts
    )


def request_bytes(method: str, path: str, query: str, body: str | None) -> bytes:
    """The request as it goes over the wire, with nothing tidied up."""
    content = (body or "").encode()
    head = f"{method} {path}?{query} HTTP/1.1\r\nHost: pusher.test\r\n"
    if body is not None or method == "POST":
        head += f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n"
    return head.encode() + b"\r\n" + content


def title(case: dict[str, Any]) -> str:
    library = str(case.get("verified_by", [case.get("why")])[0])
    return f"{case['method']} {case['path']} {library}"


@pytest.mark.parametrize("vector", ACCEPTED, ids=title)
async def test_H1_golden_request_is_accepted(target: Target, vector: dict[str, Any]) -> None:
    """Each golden request of the Node, Python and PHP libraries, re-signed now, is answered 200."""
    # A vector that is 599 s old stays a bit younger, so that a second that passes does not count.
    age = min(vector.get("clock_now", CLOCK) - CLOCK, 590)
    now = int(time.time()) - age
    path = at_present(target, vector["path"], now)
    query = at_present(target, vector["query_as_sent"], now)
    signature = request_signature(target.main.secret, vector["method"], path, query)
    query = with_signature(query, signature)
    status, content = await exchange(
        target, request_bytes(vector["method"], path, query, vector["body"])
    )
    assert status == 200, content
    assert isinstance(json.loads(content), dict)


@pytest.mark.parametrize("vector", VECTORS["encrypted"], ids=lambda vector: vector["channel"])
async def test_H12_golden_ciphertext_is_relayed(target: Target, vector: dict[str, Any]) -> None:
    r"""The data of an encrypted event, `\/` and all, arrives as it was sent."""
    async with connected(target) as client, httpx.AsyncClient(trust_env=False) as http:
        await client.request_subscription(vector["channel"])
        await client.receive()
        await client.pending()
        await Api(target, target.main, http).publish(vector["channel"], data=vector["data"])
        assert (await client.expect("my-event", vector["channel"])).data == vector["data"]


def faulty_request(target: Target, case: dict[str, Any]) -> bytes:
    """The golden reject case's fault, at the present time."""
    why, body = case["why"], case["body"]
    method, secret = case["method"], target.main.secret
    age = case["clock_now"] - CLOCK
    # 600 s in the future has to stay so until the server reads its clock.
    now = int(time.time()) - age + (5 if age < 0 else 0)
    path = at_present(target, case["path"], now)
    query = at_present(target, case["query_as_sent"], now)
    signed_method, signed_path, signed = method, path, query
    if why == "signed with another secret":
        secret = "another-secret"
    elif why == "signature made for another path":
        signed_path = path.replace("/events", "/batch_events")
    elif why == "signature made for another method":
        signed_method = "GET"
    elif why == "a parameter added after signing":
        signed = query.partition("&info=")[0]
    elif why.startswith("body changed"):
        assert f"body_md5={body_md5(body.encode())}" not in query
    signature = request_signature(secret, signed_method, signed_path, signed)
    return request_bytes(method, path, with_signature(query, signature), body)


@pytest.mark.parametrize("case", REJECTED, ids=lambda case: case["why"])
async def test_H2_golden_reject_is_refused(target: Target, case: dict[str, Any]) -> None:
    """Each golden request that must be refused, made anew with the same fault, gets its status."""
    status, content = await exchange(target, faulty_request(target, case))
    assert status == case["status"], content
    assert target.main.secret.encode() not in content


async def test_H2_key_of_another_app_is_400(target: Target) -> None:
    """A key that belongs to another app than the path's is a 400."""
    other = target.app("empty")
    path, body = f"/apps/{target.main.app_id}/events", '{"name":"e","channel":"a","data":"x"}'
    query = (
        f"auth_key={other.key}&auth_timestamp={int(time.time())}&auth_version=1.0"
        f"&body_md5={body_md5(body.encode())}&auth_signature="
    )
    query = with_signature(query, request_signature(other.secret, "POST", path, query))
    status, content = await exchange(target, request_bytes("POST", path, query, body))
    assert (status, content) == (400, b"Not authorized for that app\n")


async def test_H2_disabled_app_is_403(target: Target) -> None:
    """A rightly signed request to a disabled app is a 403."""
    app = target.app("disabled")
    path = f"/apps/{app.app_id}/channels"
    query = f"auth_key={app.key}&auth_timestamp={int(time.time())}&auth_version=1.0&auth_signature="
    query = with_signature(query, request_signature(app.secret, "GET", path, query))
    status, content = await exchange(target, request_bytes("GET", path, query, None))
    assert status == 403, content
