"""Until when the certificates of the settings are valid: for the log, `check-config` and a metric.

Clients refuse an expired certificate and show nothing to anybody, and Redis refuses an expired client's.
Python's `ssl` has no public function that reads the dates of a file, so they are taken from its bytes
(RFC 5280 §4.1).
"""

import base64
import binascii
import logging
import re
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct

from pusher_server.config import Config
from pusher_server.metrics import catalogue
from pusher_server.metrics.collector import Sample

logger = logging.getLogger("pusher_server.server")

#: A certificate ends soon when less than this is left, in seconds: renewal is usually due at 30 days.
SOON = 14 * 86_400.0
#: One of a few days ends soon when less than this share of its life is left.
_SHARE = 1 / 3
#: Seconds between two lines about the same certificate.
INTERVAL = 86_400.0

_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----([^-]+)-----END CERTIFICATE-----")
_SEQUENCE, _VERSION, _UTC_TIME, _GENERALIZED_TIME = 0x30, 0xA0, 0x17, 0x18


class Validity(Struct, frozen=True):
    """The dates of a certificate, in seconds of the epoch."""

    begins: float
    ends: float

    def problem(self, now: float) -> str | None:
        """Return what is wrong, as "has expired on 2026-11-30 00:00 UTC (2 days ago)"; None if nothing is."""
        if now < self.begins:
            return f"is not valid before {_date(self.begins)}"
        left = self.ends - now
        if left <= 0:
            return f"has expired on {_date(self.ends)} ({_days(-left)} ago)"
        if left < min(SOON, (self.ends - self.begins) * _SHARE):
            return f"expires on {_date(self.ends)} (in {_days(left)})"
        return None

    def __str__(self) -> str:
        return f"valid until {_date(self.ends)}"


def read_validity(file: str) -> Validity | None:
    """Return the dates of the first certificate in a PEM file, which is the one that is shown.

    None when they cannot be read; those who use the file report what is wrong with it.
    """
    try:
        first = _PEM.search(Path(file).read_bytes())
        return None if first is None else _validity_in(base64.b64decode(first[1]))
    except (OSError, binascii.Error, ValueError, IndexError):
        return None


def files_of(config: Config) -> dict[str, str]:
    """Setting -> file of each certificate that others check."""
    redis = config.cluster.redis
    files = {
        "server.tls.certificate": config.server.tls.certificate,
        "cluster.redis.certificate": redis.certificate if redis.is_set else "",
    }
    return {setting: file for setting, file in files.items() if file}


class CertificateExpiry:
    """The certificates in use. `clock` gives seconds of the epoch; `logs`: whether this process logs them."""

    def __init__(
        self, files: Mapping[str, str], clock: Callable[[], float] = time.time, *, logs: bool = True
    ) -> None:
        self._files = files
        self._clock = clock
        self._logs = logs
        #: Setting -> the dates of its certificate, as last loaded.
        self._validity: dict[str, Validity] = {}
        self._next_line = 0.0
        for setting in files:
            self.loaded(setting)

    def loaded(self, setting: str) -> None:
        """Read the dates again, because the certificate of this setting has been loaded again."""
        if setting not in self._files:
            return
        validity = read_validity(self._files[setting])
        if validity is not None:
            self._validity[setting] = validity
        self._next_line = 0.0

    def tick(self) -> None:
        """Once a day, log what has expired or does soon. Called several times a second."""
        now = self._clock()
        if (
            not self._logs
            or not self._validity
            or self._next_line - INTERVAL <= now < self._next_line
        ):
            return
        self._next_line = now + INTERVAL
        for line in warnings(self._files, self._validity, now):
            logger.warning(line)

    def samples(self, worker: str) -> Iterator[Sample]:
        """Yield when each certificate ends."""
        for setting, validity in self._validity.items():
            yield catalogue.CERTIFICATE_EXPIRY, (setting, worker), validity.ends


def warnings(files: Mapping[str, str], dates: Mapping[str, Validity], now: float) -> Iterator[str]:
    """Yield a line for each certificate that has expired or does soon."""
    for setting, validity in dates.items():
        problem = validity.problem(now)
        if problem is not None:
            refusing = "clients refuse" if setting.startswith("server") else "Redis refuses"
            yield (
                f"{setting}: {files[setting]} {problem}; renew it and"
                f" {'send SIGHUP' if setting.startswith('server') else 'restart'},"
                f" {refusing} an expired one"
            )


def _date(seconds: float) -> str:
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"
    except (OverflowError, OSError, ValueError):
        return "a day beyond the calendar"


def _days(seconds: float) -> str:
    days = int(seconds // 86_400)
    return f"{days} days" if days != 1 else "1 day"


def _validity_in(der: bytes) -> Validity:
    """The dates of a certificate in DER. Raises ValueError, IndexError."""
    _, start, _ = _element(der, 0, _SEQUENCE)  # Certificate
    _, at, _ = _element(der, start, _SEQUENCE)  # TBSCertificate
    tag, _, end = _element(der, at)
    if tag == _VERSION:
        at = end
    for _ in ("serialNumber", "signature", "issuer"):
        _, _, at = _element(der, at)
    _, at, _ = _element(der, at, _SEQUENCE)
    begins, at = _time(der, at)
    ends, _ = _time(der, at)
    return Validity(begins, ends)


def _element(der: bytes, at: int, expected: int | None = None) -> tuple[int, int, int]:
    """Tag, start and end of the content of the element at `at`. Raises ValueError, IndexError."""
    tag, size = der[at], der[at + 1]
    start = at + 2
    if size >= 0x80:  # the long form: so many bytes of length follow
        start += size & 0x7F
        size = int.from_bytes(der[at + 2 : start])
    if expected is not None and tag != expected:
        raise ValueError("another element of a certificate was expected")
    return tag, start, start + size


def _time(der: bytes, at: int) -> tuple[float, int]:
    """A time in seconds of the epoch, and where it ends; years of two digits are 1950 to 2049."""
    tag, start, end = _element(der, at)
    text = der[start:end].decode("ascii")
    if tag == _UTC_TIME:
        text = ("19" if text[:2] >= "50" else "20") + text
    elif tag != _GENERALIZED_TIME:
        raise ValueError("a time was expected")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp(), end
