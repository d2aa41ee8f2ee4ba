"""Bounds how deeply arrays and objects may be nested, in any JSON that comes in.

An interpreter has a bound of its own, and each version has another one: Python 3.11 ends at some 1,000 levels
less the frames of the caller, 3.12.1 at 1,500, 3.13 at 10,000. So the same text would be taken by one server
and refused by another. No decoder reaches those limits on text that passes here.
"""

import re
from itertools import accumulate

#: Levels that may be nested. PHP's json_encode and json_decode have this bound too.
DEPTH = 512

#: JSON of so many bytes cannot be nested more deeply: a level takes two.
SHALLOW = 2 * DEPTH

#: A string, or the rest of a text that ends inside one: then no quote is tried twice.
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
#: The change of depth at each bracket.
_STEPS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_NO_BRACKET = bytes(byte for byte in range(256) if byte not in _STEPS)
#: Brackets that are counted at once.
_STRIDE = 4_096


def is_too_deep(text: bytes) -> bool:
    """Whether JSON is nested more deeply than `DEPTH`. A text that is no JSON is judged by its brackets."""
    # An unclosed text has one byte for each level. Counting 17 kB costs 28 µs, looking for its strings 190.
    if len(text) <= DEPTH or text.count(b"[") + text.count(b"{") <= DEPTH:
        return False
    brackets = _STRING.sub(b"", text).translate(None, _NO_BRACKET)
    depth = 0
    for start in range(0, len(brackets), _STRIDE):
        steps = map(_STEPS.__getitem__, brackets[start : start + _STRIDE])
        depths = list(accumulate(steps, initial=depth))
        if max(depths) > DEPTH:
            return True
        depth = depths[-1]
    return False
