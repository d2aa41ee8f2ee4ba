"""The path on which clients come: `/app/{key}`, for every transport (docs/protocol/connection.md#url)."""

from pusher_server.app import shown_key


def key_in(path: str, prefix: str) -> str | None:
    """Return the app key in a client's path, percent-encoded as it is there; None for any other path.

    The path may begin with `prefix` (`/name` or empty), which may be `/app` itself, and may end in slashes.
    """
    start, _, key = path.rstrip("/").rpartition("/")
    return key if key and start in ("/app", f"{prefix}/app") else None


def path_of(target: str) -> str:
    """Return the path of a request's target in origin-form or absolute-form (RFC 9112 §3.2)."""
    path = target.partition("?")[0]
    if path.startswith("/") or "://" not in path:
        return path
    return "/" + path.partition("://")[2].partition("/")[2]


def shown_path(path: str) -> str:
    """Return a path as a log line may show it while the app is not known; see `app.shown_key`."""
    start, app, rest = path.rpartition("/app/")
    if not app:
        return path
    key, slash, end = rest.lstrip("/").partition("/")
    return f"{start}{app}{shown_key(key)}{slash}{end}"


def has_double_slash(path: str) -> bool:
    """Whether a path has two slashes in a row before its last segment, so that no route has it."""
    return "//" in path.rstrip("/")
