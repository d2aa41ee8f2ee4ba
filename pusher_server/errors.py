"""The root of every error this server raises, and the errors that belong to no single layer.

    PusherServerError
    ├── AuthenticationError     a signature, timestamp or key does not hold (client's fault)
    ├── ClusterUnavailable      broker or roster cannot answer now (a passing fault)
    │   └── AppsUnavailable     nor can the apps' database
    ├── ConfigError             a setting is wrong (operator's fault, at start or reload only)
    └── ProtocolError           see `pusher_server.protocol.errors`

Errors carry their answer: an edge that catches one does not have to choose a text.
"""


class PusherServerError(Exception):
    """Anything this server raises on purpose."""

    #: The app whose request or client was refused, "" until it is known.
    app_id = ""
    #: A `diagnosis.evidence.Guess` at the part of a signed text that differs; the client never gets it.
    guess: object = None


class AuthenticationError(PusherServerError):
    """Credentials or a signature did not hold.

    `message` may be shown to the client: it never contains a secret or the expected digest.
    `status` is the HTTP status that the signed API answers with (docs/protocol/signatures.md#api).
    `reason` is one word for logs and metrics (docs/metrics.md#http-api); the client need not get to know it.
    `key` is the one that was sent, where no app or another one has it.
    """

    def __init__(
        self, message: str, *, status: int = 401, reason: str = "signature", key: str = ""
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.reason = reason
        self.key = key


class ClusterUnavailable(PusherServerError):
    """The broker or the roster cannot answer at the moment; trying again later is right."""


class AppsUnavailable(ClusterUnavailable):
    """The apps' database cannot answer at the moment. It passes as any such fault does; answers name it."""


class ConfigError(PusherServerError):
    """A setting is wrong: one line for the operator that names it and the remedy."""

    def __init__(self, setting: str, problem: str) -> None:
        super().__init__(f"{setting}: {problem}" if setting else problem)
        self.setting = setting
        self.problem = problem
