"""All floods by name."""

from tests.abuse.connection_floods import connection_floods
from tests.abuse.flood import Flood
from tests.abuse.http_floods import http_floods
from tests.abuse.websocket_floods import ORDINARY, websocket_floods


def catalogue() -> dict[str, Flood]:
    """In the order of the table; the ordinary one, with which all are compared, is the first."""
    every = [ORDINARY, *websocket_floods(), *http_floods(), *connection_floods()]
    found = {flood.name: flood for flood in every}
    assert len(found) == len(every), "two floods have one name"
    return found
