"""Scans, which are answered page by page, for a store in memory."""

from collections import OrderedDict
from collections.abc import Iterable, Reversible

#: Keys in a page.
PAGE = 1_000
#: Scans under way at once; the oldest is forgotten.
SCANS = 100


class Scans:
    """The keys that are still to come of each scan, by its cursor."""

    def __init__(self) -> None:
        self._rest: OrderedDict[str, list[str]] = OrderedDict()
        self._count = 0

    def page(self, cursor: str, keys: Reversible[str], prefix: str) -> tuple[str, Iterable[str]]:
        """The next cursor ("" after the last page) and the keys: of a new scan of `keys` when `cursor` is "".

        An expired cursor yields one empty, final page.
        """
        if cursor:
            left = self._rest.pop(cursor, [])
        else:
            left = [key for key in reversed(keys) if key.startswith(prefix)]
        page, rest = left[-PAGE:], left[:-PAGE]
        following = ""
        if rest:
            self._count += 1
            following = str(self._count)
            self._rest[following] = rest
            if len(self._rest) > SCANS:
                self._rest.popitem(last=False)
        return following, reversed(page)
