"""The path on which clients come: `/app/{key}`, for every transport (docs/protocol/connection.md#url)."""


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


def has_double_slash(path: str) -> bool:
    """Whether a path has two slashes in a row before its last segment, so that no route has it."""
    return "//" in path.rstrip("/")
