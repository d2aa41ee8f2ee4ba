"""A token bucket: bounds a rate and allows short bursts. Pure: `now` is an argument, in seconds."""


class TokenBucket:
    """Holds one second's worth of tokens, and begins full. `rate` is in tokens per second and may be changed.

    A cost above one second's worth is allowed when the bucket is full, and leaves a debt.
    """

    __slots__ = ("_at", "_tokens", "rate")

    def __init__(self, rate: float, now: float) -> None:
        self.rate = rate
        self._tokens = rate
        self._at = now

    def take(self, cost: float, now: float) -> float:
        """Take tokens if there are enough. Returns 0.0, or the seconds after which there are enough."""
        # Comparisons take less time than `min`, and every client event comes this way.
        rate = self.rate
        tokens = self._tokens + (now - self._at) * rate
        if tokens > rate:
            tokens = rate
        self._at = now
        needed = cost if cost < rate else rate
        if tokens < needed:
            self._tokens = tokens
            return (needed - tokens) / rate
        self._tokens = tokens - cost
        return 0.0
