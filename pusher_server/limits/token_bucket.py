"""A token bucket: pure, `now` is an argument in seconds."""


class TokenBucket:
    """Holds one second's worth of tokens. A cost above that is allowed when the bucket is full."""

    __slots__ = ("_at", "_tokens", "rate")

    def __init__(self, rate: float, now: float) -> None:
        self.rate = rate
        self._tokens = rate
        self._at = now

    def take(self, cost: float, now: float) -> float:
        """0.0 when taken, else the seconds until it could be."""
        self._tokens = min(self.rate, self._tokens + (now - self._at) * self.rate)
        self._at = now
        needed = min(cost, self.rate)
        if self._tokens >= needed:
            self._tokens -= cost
            return 0.0
        return (needed - self._tokens) / self.rate
