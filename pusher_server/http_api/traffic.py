"""Counts the API's requests and their bytes by app: plain numbers that only rise, for metrics to read.

They count since the start of the process.
"""


class AppRequests:
    """One app's requests with a known key, and the bytes of their bodies."""

    __slots__ = ("bytes_received", "bytes_sent", "requests")

    def __init__(self) -> None:
        self.requests = 0
        self.bytes_received = 0
        self.bytes_sent = 0


class ApiTraffic:
    """The requests of all apps on this node."""

    def __init__(self) -> None:
        self.apps: dict[str, AppRequests] = {}

    def of(self, app_id: str) -> AppRequests:
        """The app's numbers, made on first use."""
        requests = self.apps.get(app_id)
        if requests is None:
            requests = self.apps[app_id] = AppRequests()
        return requests
