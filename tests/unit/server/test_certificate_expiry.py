"""Until when certificates are valid: read from files, logged, counted."""

import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from pusher_server.metrics import catalogue
from pusher_server.server.certificate_expiry import (
    INTERVAL,
    CertificateExpiry,
    Validity,
    read_validity,
)
from tests.support.fakes import FakeClock

DAY = 86_400.0
SETTING = "server.tls.certificate"


def write(file: Path, begins: datetime, ends: datetime) -> str:
    """A certificate with these dates, its issuer's behind it."""
    authority = trustme.CA()
    leaf = authority.issue_cert("localhost", not_before=begins, not_after=ends)
    chain = b"".join(pem.bytes() for pem in leaf.cert_chain_pems)
    file.write_bytes(b"some words in front\n" + chain + authority.cert_pem.bytes())
    return str(file)


@pytest.mark.parametrize("year", [1999, 2026, 2049, 2050, 2100])
def test_the_dates_are_those_of_the_first_certificate(tmp_path: Path, year: int) -> None:
    """Up to 2049 years have two digits (RFC 5280 §4.1.2.5)."""
    begins, ends = datetime(year - 1, 2, 3, 4, 5, 6), datetime(year, 11, 30, 23, 59, 58)
    file = write(tmp_path / "cert.pem", begins, ends)
    expected = [moment.replace(tzinfo=UTC).timestamp() for moment in (begins, ends)]
    validity = read_validity(file)
    assert validity is not None
    assert [validity.begins, validity.ends] == expected


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n",
        b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n",
        b"-----BEGIN CERTIFICATE-----\nMIL/\n-----END CERTIFICATE-----\n",
    ],
)
def test_what_is_no_certificate_has_no_dates(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "cert.pem"
    file.write_bytes(content)
    assert read_validity(str(file)) is None
    assert read_validity(str(tmp_path / "nothing")) is None


def test_a_cut_certificate_has_no_dates_and_raises_nothing(tmp_path: Path) -> None:
    import base64

    whole = write(tmp_path / "cert.pem", datetime(2026, 1, 1), datetime(2027, 1, 1))
    body = Path(whole).read_text().partition("-----BEGIN CERTIFICATE-----")[2].partition("---")[0]
    der = base64.b64decode(body)
    cut = tmp_path / "cut.pem"
    for size in range(0, 200, 7):
        text = base64.b64encode(der[:size]).decode()
        cut.write_text(f"-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
        read_validity(str(cut))


@pytest.mark.parametrize(
    ("life", "age", "problem"),
    [
        (90, 1, None),
        (90, 75, None),
        (90, 77, "expires on"),
        (90, 90, "has expired on"),
        (90, 92.5, "(2 days ago)"),
        (90, 88.5, "(in 1 day)"),
        (6, 1, None),  # a certificate of six days is renewed every few
        (6, 5, "expires on"),
        (90, -1, "is not valid before"),
    ],
)
def test_it_ends_soon_when_its_renewal_is_overdue(
    life: float, age: float, problem: str | None
) -> None:
    answer = Validity(begins=0.0, ends=life * DAY).problem(age * DAY)
    assert answer is None if problem is None else problem in str(answer)


def test_it_is_logged_at_the_start_once_a_day_and_after_a_reload(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    now = datetime(2026, 11, 30)
    clock = FakeClock(now.replace(tzinfo=UTC).timestamp())
    file = write(tmp_path / "cert.pem", now - timedelta(days=85), now + timedelta(days=5))
    expiry = CertificateExpiry({SETTING: file}, clock)

    def lines_of_a_day() -> int:
        caplog.clear()
        for _ in range(24):
            expiry.tick()
            clock.now += INTERVAL / 24
        return len(caplog.messages)

    assert lines_of_a_day() == 1
    assert caplog.messages[0].startswith(f"{SETTING}: {file} expires on 2026-12-05")
    assert caplog.records[0].levelno == logging.WARNING
    assert lines_of_a_day() == 1
    expiry.loaded(SETTING)
    assert lines_of_a_day() == 1
    write(tmp_path / "cert.pem", now, now + timedelta(days=90))
    expiry.loaded(SETTING)
    assert lines_of_a_day() == 0


def test_a_worker_beside_the_first_logs_nothing_and_counts(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ends = datetime(2020, 1, 1)
    file = write(tmp_path / "cert.pem", datetime(2019, 1, 1), ends)
    expiry = CertificateExpiry({SETTING: file}, logs=False)
    expiry.tick()
    assert caplog.messages == []
    expected = ends.replace(tzinfo=UTC).timestamp()
    assert [*expiry.samples("2")] == [(catalogue.CERTIFICATE_EXPIRY, (SETTING, "2"), expected)]
