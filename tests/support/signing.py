"""Signatures, written from docs/protocol/signatures.md and not taken from the server under test."""

import hashlib
import hmac
import time
from urllib.parse import unquote


def sign(secret: str, text: str | bytes) -> str:
    """HMAC-SHA256 in lower-case hex."""
    signed = text.encode() if isinstance(text, str) else text
    return hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


def channel_auth(
    key: str, secret: str, socket_id: str, channel: str, channel_data: str | None = None
) -> str:
    """The `auth` of a subscription; `channel_data` goes in exactly as it will be sent."""
    text = f"{socket_id}:{channel}" + (f":{channel_data}" if channel_data else "")
    return f"{key}:{sign(secret, text)}"


def user_auth(key: str, secret: str, socket_id: str, user_data: str) -> str:
    """The `auth` of a sign-in."""
    return f"{key}:{sign(secret, f'{socket_id}::user::{user_data}')}"


def body_md5(body: bytes) -> str:
    """What the API calls `body_md5`: over the bytes on the wire."""
    return hashlib.md5(body, usedforsecurity=False).hexdigest()


def request_signature(secret: str, method: str, path: str, query: str) -> str:
    """The `auth_signature` of a request, from its query as it will stand in the URL."""
    pairs = [pair.partition("=") for pair in query.split("&") if pair]
    decoded = [(unquote(name).lower(), unquote(value)) for name, _, value in pairs]
    signed = sorted((pair for pair in decoded if pair[0] != "auth_signature"), key=lambda p: p[0])
    text = "&".join(f"{name}={value}" for name, value in signed)
    return sign(secret, f"{method}\n{path}\n{text}")


def unsigned_query(
    key: str, body: bytes | None, parameters: str = "", *, now: float | None = None
) -> str:
    """The query that a library builds before it signs: auth_*, body_md5, its own parameters.

    `now` is in Unix seconds, the present moment unless given.
    """
    timestamp = int(time.time() if now is None else now)
    query = f"auth_key={key}&auth_timestamp={timestamp}&auth_version=1.0"
    if body:
        query += f"&body_md5={body_md5(body)}"
    return query + (f"&{parameters}" if parameters else "")


def signed_query(
    key: str,
    secret: str,
    method: str,
    path: str,
    body: bytes | None,
    parameters: str = "",
    *,
    now: float | None = None,
) -> str:
    """A complete signed query; `parameters` as they will stand in the URL, `now` in Unix seconds."""
    query = unsigned_query(key, body, parameters, now=now)
    return f"{query}&auth_signature={request_signature(secret, method, path, query)}"
