"""Errors of Redis, described for operators and without secrets."""

import ssl

from pusher_server.config.redis import RedisAddress
from pusher_server.errors import PusherServerError


class RedisUnavailable(PusherServerError):
    """A server of `[cluster.redis]` cannot be used now; the text gives the reason, without a secret."""


#: Reasons by the first word of the error that Redis sends.
_REASONS = {
    "WRONGPASS": "Redis refused the user name or the password; see username and password in [cluster.redis]",
    "NOAUTH": "Redis asks for a password; set it in [cluster.redis]",
    "LOADING": "Redis is still loading its data",
    "READONLY": "this Redis is a replica",
    "MASTERDOWN": "this Redis is a replica that has lost its master",
    "NOREPLICAS": "Redis has too few replicas (min-replicas-to-write)",
    "OOM": "Redis has no memory left (maxmemory)",
    "MISCONF": "Redis cannot save to its disk and refuses writes",
    "NOSCRIPT": "Redis has forgotten our scripts (SCRIPT FLUSH)",
    "WRONGTYPE": "somebody else has written to our keys in Redis; delete those that begin with {prefix:"
    " (cluster.redis.prefix)",
    "BUSY": "Redis is busy with somebody's script",
    "CLUSTERDOWN": "the Redis Cluster is down",
    "MOVED": "the slot has moved to another node of the Redis Cluster",
    "ASK": "the slot is being moved to another node of the Redis Cluster",
    "TRYAGAIN": "the slot is being moved to another node of the Redis Cluster",
}
#: In a Redis Cluster these errors concern one store, not the whole connection.
ONE_SLOT = {"ASK", "TRYAGAIN", "CLUSTERDOWN"}
_TOO_LONG = 200


def code_of(error: object) -> str:
    """Return the first word of an error that Redis sent; it is in capitals by convention."""
    return str(error).partition(" ")[0]


def why(error: object) -> str:
    """Return the reason for an error that Redis sent. `error` is its text, or gives the text as `str`."""
    code, text = code_of(error), str(error)
    if code == "NOPERM":
        return f"Redis does not permit its user what we need: {text.partition(' ')[2][:_TOO_LONG]}"
    return _REASONS.get(code) or f"Redis answered: {text[:_TOO_LONG]}"


def why_no_hello(error: object) -> str:
    """Return the reason for an error in answer to HELLO.

    An unknown error is not quoted: an old server repeats the command in it, with the password.
    """
    if code_of(error) in _REASONS or code_of(error) == "NOPERM":
        return why(error)
    if "max number of clients" in str(error):
        return "Redis has no connection left for us (maxclients)"
    return "Redis 7 or newer is needed; what answers does not know HELLO 3"


def why_no_connection(error: Exception, server: RedisAddress, seconds: float, *, tls: bool) -> str:
    """Return the reason why there is no connection. `error` is the exception that connecting raised."""
    if isinstance(error, TimeoutError):
        # A Redis without TLS takes the TLS greeting for the start of a command and waits for the rest.
        hint = "; does it speak TLS?" if tls else ""
        return f"no answer from {server} within {seconds:g} s{hint}"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate of {server} does not hold: {error.verify_message}"
    if tls and isinstance(error, (ssl.SSLError, ConnectionResetError, ConnectionAbortedError)):
        return f"{server} does not speak TLS as expected: {error.strerror or type(error).__name__}"
    if isinstance(error, OSError):
        return f"cannot connect to {server}: {error.strerror or error}"
    return f"cannot connect to {server}: {type(error).__name__}"
