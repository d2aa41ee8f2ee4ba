"""The addresses that are checked, from a URL or from settings, and how a sentence may name them."""

import re
from urllib.parse import quote, urlsplit

from msgspec import Struct

from pusher_server.diagnosis.printable import printable
from pusher_server.errors import ConfigError

_TLS_OF = {"ws": False, "http": False, "wss": True, "https": True}
_PREFIX = re.compile(r"(?:/[\w.~%-]+)*")


class Target(Struct, frozen=True):
    """A host and a port, with or without TLS, and the path before `/app` and `/apps`: "" or `/name`.

    `host_named` and `port_named` are variables of a `.env`. Then a sentence has them in place of the values.
    """

    host: str
    port: int
    is_tls: bool
    prefix: str = ""
    host_named: str = ""
    port_named: str = ""

    @property
    def shown_host(self) -> str:
        """The host as a sentence may have it."""
        return self.host_named or printable(self.host)

    @property
    def shown_port(self) -> str:
        """The port as a sentence may have it."""
        return self.port_named or str(self.port)

    @property
    def is_usual_port(self) -> bool:
        """Whether the URL of it needs no port."""
        return self.port == (443 if self.is_tls else 80)

    @property
    def host_header(self) -> str:
        """The value of the header `Host`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.is_usual_port else f"{host}:{self.port}"

    def same_place(self, other: "Target") -> bool:
        """Whether both lead to the same port of the same host."""
        return (self.host.lower(), self.port) == (other.host.lower(), other.port)

    def url(self, path: str, *, websocket: bool = False) -> str:
        """The URL of a path below the prefix; `path` is percent-encoded and begins with a slash."""
        scheme = (
            ("wss" if self.is_tls else "ws") if websocket else "https" if self.is_tls else "http"
        )
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}:{self.port}{self.prefix}{path}"


def parse_url(text: str, setting: str) -> Target:
    """Return the target of a `ws`, `wss`, `http` or `https` URL. Raises ConfigError, which names `setting`.

    A whole client's URL is taken as well: the prefix is what stands before `/app/`.
    """
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise ConfigError(setting, "is malformed; write it as wss://ws.example.com") from None
    host = _ascii(host)
    if parts.scheme not in _TLS_OF or not _is_host(host) or port == 0:
        raise ConfigError(setting, "needs a scheme and a host; write it as wss://ws.example.com")
    if "@" in parts.netloc:
        raise ConfigError(setting, "has a user or a password, which no client of the server sends")
    is_tls = _TLS_OF[parts.scheme]
    prefix = re.split(r"/apps?(?:/|$)", parts.path, maxsplit=1)[0].rstrip("/")
    if not _PREFIX.fullmatch(prefix):
        raise ConfigError(
            setting, "has a path with other characters than letters, digits and .~%_-"
        )
    return Target(host, port or (443 if is_tls else 80), is_tls, prefix)


def client_path(key: str) -> str:
    """Return the path and query with which pusher-js connects."""
    return f"/app/{quote(key, safe='')}?protocol=7&client=js&version=8.4.0&flash=false"


def parse_origin(text: str) -> str:
    """Return an origin as browsers send it: scheme, host and port. Raises ConfigError."""
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise ConfigError("--origin", "is malformed; write it as https://app.example.com") from None
    host = _ascii(host)
    if parts.scheme not in ("http", "https") or not _is_host(host):
        raise ConfigError(
            "--origin", "is the page's scheme and host; write https://app.example.com"
        )
    shown = f"[{host}]" if ":" in host else host
    is_usual = port in (None, 443 if parts.scheme == "https" else 80)
    return f"{parts.scheme}://{shown}" + ("" if is_usual else f":{port}")


def is_local(host: str) -> bool:
    """Whether a host is this machine for everybody who reads its name."""
    return (
        host.lower() in ("localhost", "::1")
        or host.lower().endswith(".localhost")
        or (re.fullmatch(r"127(?:\.\d{1,3}){3}", host) is not None)
    )


def _is_host(host: str) -> bool:
    return 0 < len(host) <= 255 and re.fullmatch(r"[\w.:%-]+", host, re.ASCII) is not None


def _ascii(host: str) -> str:
    """Return a host as it is looked up and sent: an international name as `xn--…`, "" for no name."""
    try:
        return host if host.isascii() else host.encode("idna").decode()
    except UnicodeError:
        return ""
