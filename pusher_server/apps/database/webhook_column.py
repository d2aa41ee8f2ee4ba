"""Reads the column `webhooks`: a JSON list with our names of settings, which are soketi's. Pure.

See docs/protocol/webhooks.md#settings.

A fault in one webhook concerns that webhook only: it is left out, with a line for the operator. The app and
its other webhooks stay.
"""

from collections.abc import Mapping

from pusher_server.apps.database.columns import Kind, reads
from pusher_server.config.apps import check_webhook
from pusher_server.config.problems import Table
from pusher_server.errors import ConfigError

#: Webhooks of an app that are used; each has a queue, a log and a place in the bounds of its app.
MOST_WEBHOOKS = 60

#: soketi can call a function at Amazon instead of a URL.
_LAMBDA = ("lambda_function", "lambda")


def read_column(value: object) -> tuple[list[Table] | None, list[str]]:
    """The webhooks that can be used, as `[[apps.webhooks]]` tables, and why others cannot.

    None instead of a list when the column is empty, which is the server's default as NULL is.
    """
    try:
        items = reads(Kind.JSON, value)
    except ValueError as error:
        return [], [f"{error}: the app has no webhooks"]
    if items is None:
        return None, []
    if not isinstance(items, list):
        return [], ["expected a JSON list of webhooks: the app has none"]
    usable: list[Table] = []
    left_out: list[str] = []
    if len(items) > MOST_WEBHOOKS:
        left_out.append(f"there are {len(items)} webhooks: only the first {MOST_WEBHOOKS} are used")
    for index, item in enumerate(items[:MOST_WEBHOOKS]):
        path = f"webhooks[{index}]"
        try:
            table = _table(item, path)
            check_webhook(table, path)
            usable.append(table)
        except ConfigError as error:
            left_out.append(f"{error}; this webhook is left out")
    return usable, left_out


def _table(item: object, path: str) -> Table:
    """A webhook in the form of the configuration file. Raises ConfigError."""
    if not isinstance(item, Mapping):
        raise ConfigError(path, "expected an object with a `url`")
    given = {name: value for name, value in item.items() if value is not None}
    if given.get("lambda_function"):
        raise ConfigError(f"{path}.lambda_function", "AWS Lambda is not supported; give a `url`")
    table = {name: value for name, value in given.items() if name not in _LAMBDA}
    for name in ("headers", "filter"):
        if table.get(name) == []:  # PHP's way to write an empty object
            del table[name]
    return table
