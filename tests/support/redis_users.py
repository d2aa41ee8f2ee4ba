"""Redis users with the rights that docs/clustering.md names: the page is what tests try."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from tests.support.redis_servers import RedisServer

_PAGE = Path(__file__).parents[2] / "docs/clustering.md"

#: For whom the page has a line: a server with the data, a node of a Redis Cluster, a Sentinel.
Where = Literal["server", "cluster", "sentinel"]

_HEADINGS = {
    "server": "# a server, and each replica that Sentinels may promote",
    "cluster": "# each node of a Redis Cluster",
    "sentinel": "# each Sentinel",
}


def documented_rights(where: Where) -> str:
    """What stands behind the password in the line that the page has for this kind of server."""
    pattern = rf"^{re.escape(_HEADINGS[where])}\nuser pusher on >PASSWORD (.+)$"
    (rights,) = re.findall(pattern, _PAGE.read_text("utf-8"), re.M)
    return str(rights)


def let_in(servers: Iterable[RedisServer], where: Where, name: str, password: str) -> None:
    """Make a user with the documented rights on each of these."""
    for server in servers:
        rights = documented_rights(where).split()
        server.ask("ACL", "SETUSER", name, "on", f">{password}", *rights)


def denied(servers: Iterable[RedisServer]) -> list[str]:
    """What these servers refused to any of their users: `reason object, user`."""
    refusals = []
    for server in servers:
        for flat in server.ask("ACL", "LOG"):
            row = dict(zip(flat[::2], flat[1::2], strict=True))
            reason, refused, user = (str(row[name], "utf-8") for name in _COLUMNS)
            refusals.append(f"{reason} {refused}, {user}")
    return refusals


_COLUMNS = (b"reason", b"object", b"username")
