"""`pusher_server.logs`: one line per record, the same for our loggers and uvicorn's."""

import io
import json
import logging
import time
from collections.abc import Iterator

import pytest

from pusher_server.config import LogSettings
from pusher_server.logs import configure

NAMES = ("", "pusher_server", "uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi")


@pytest.fixture(autouse=True)
def _restored_logging() -> Iterator[None]:
    """Logging is global: leave it as it was found."""
    loggers = [logging.getLogger(name) for name in NAMES]
    before = [(logger, logger.level, logger.propagate, [*logger.handlers]) for logger in loggers]
    yield
    for logger, level, propagate, handlers in before:
        logger.setLevel(level)
        logger.propagate = propagate
        logger.handlers[:] = handlers


def logged(settings: LogSettings, logger: str, level: int, event: str, /, **fields: object) -> str:
    """What one record becomes."""
    stream = io.StringIO()
    configure(settings, stream)
    logging.getLogger(logger).log(level, event, extra=fields)
    return stream.getvalue()


CONSOLE = LogSettings()
JSON = LogSettings(format="json")
OURS = "pusher_server.websocket"


class TestConsole:
    def test_a_line_has_time_level_logger_event_and_fields(self) -> None:
        line = logged(CONSOLE, OURS, logging.INFO, "connection closed", app="1", code=4201)
        clock, rest = line.split(" ", 1)
        assert len(clock) == len("12:00:00.123")
        assert rest == "INFO    websocket: connection closed  app=1 code=4201\n"

    def test_a_field_that_is_not_one_word_is_quoted(self) -> None:
        line = logged(CONSOLE, OURS, logging.INFO, "x", a="b c", d="", e='f"')
        assert line.endswith('x  a="b c" d="" e="f\\""\n')

    @pytest.mark.parametrize("break_", ["\n", "\r", "\x1b", "\x7f", "\x85", "\u2028"])
    def test_what_clients_choose_cannot_look_like_another_line(self, break_: str) -> None:
        line = logged(CONSOLE, OURS, logging.INFO, f"event {break_}fake", channel=f"a{break_}b")
        assert break_ not in line.removesuffix("\n")
        assert len(line.splitlines()) == 1

    def test_an_exception_brings_its_traceback(self) -> None:
        stream = io.StringIO()
        configure(CONSOLE, stream)
        try:
            raise ValueError("boom")
        except ValueError:
            logging.getLogger(OURS).exception("it broke")
        assert "it broke\nTraceback (most recent call last):" in stream.getvalue()
        assert stream.getvalue().endswith("ValueError: boom\n")


class TestJson:
    def test_a_line_is_an_object(self) -> None:
        line = logged(JSON, OURS, logging.WARNING, "slow client", app="1", waited=2.5, ids=["a"])
        record = json.loads(line)
        assert record.pop("time").endswith("Z")
        assert record == {
            "level": "warning",
            "logger": OURS,
            "event": "slow client",
            "app": "1",
            "waited": 2.5,
            "ids": ["a"],
        }

    def test_fields_cannot_replace_what_every_line_has(self) -> None:
        record = json.loads(logged(JSON, OURS, logging.INFO, "real", event="fake", level="fake"))
        assert (record["event"], record["level"]) == ("real", "info")

    def test_fields_of_any_kind_can_be_written(self) -> None:
        record = json.loads(logged(JSON, OURS, logging.INFO, "x", a=ValueError("b"), c="\ud800\n"))
        assert record["a"] == "b"
        assert record["c"] == "\ud800\n"

    def test_an_exception_is_a_field(self) -> None:
        stream = io.StringIO()
        configure(JSON, stream)
        try:
            raise ValueError("boom")
        except ValueError:
            logging.getLogger(OURS).exception("it broke")
        assert json.loads(stream.getvalue())["exception"].endswith("ValueError: boom")


class TestLevels:
    @pytest.mark.parametrize(
        ("level", "logger", "record", "written"),
        [
            ("info", OURS, logging.DEBUG, False),
            ("info", OURS, logging.INFO, True),
            ("error", OURS, logging.WARNING, False),
            ("debug", OURS, logging.DEBUG, True),
            ("info", "uvicorn.error", logging.INFO, False),
            ("info", "uvicorn.error", logging.WARNING, True),
            ("error", "uvicorn.error", logging.WARNING, False),
            ("debug", "uvicorn.error", logging.INFO, True),
            ("info", "asyncio", logging.WARNING, True),
        ],
    )
    def test_ours_is_as_set_and_libraries_speak_from_warning_up(
        self, level: str, logger: str, record: int, written: bool
    ) -> None:
        settings = LogSettings(level=level)  # type: ignore[arg-type]  # parametrized
        assert bool(logged(settings, logger, record, "x")) is written

    def test_a_library_that_brought_its_own_handler_is_heard_once(self) -> None:
        other = io.StringIO()
        logging.getLogger("uvicorn.error").addHandler(logging.StreamHandler(other))
        assert logged(CONSOLE, "uvicorn.error", logging.ERROR, "x").count("x") == 1
        assert other.getvalue() == ""


class TestAccessLog:
    PATH = "/apps/1/events?auth_key=k&auth_signature=0a1b2c&auth_version=1.0"

    def access_line(self, settings: LogSettings) -> str:
        stream = io.StringIO()
        configure(settings, stream)
        # As uvicorn does it.
        logging.getLogger("uvicorn.access").info('%s - "%s %s"', "127.0.0.1:5", "POST", self.PATH)
        return stream.getvalue()

    def test_it_is_off_by_default(self) -> None:
        assert self.access_line(LogSettings()) == ""
        assert self.access_line(LogSettings(level="debug")) == ""

    @pytest.mark.parametrize("form", ["console", "json"])
    def test_it_does_not_show_signatures(self, form: str) -> None:
        line = self.access_line(LogSettings(access=True, format=form))  # type: ignore[arg-type]
        assert "auth_key=k&auth_signature=***&auth_version=1.0" in line
        assert "0a1b2c" not in line

    @pytest.mark.parametrize("form", ["console", "json"])
    @pytest.mark.parametrize(
        "spelled",
        [
            "/apps/1/events?auth_signature=SIGNED",
            "/apps/1/events?AUTH_SIGNATURE=SIGNED",
            "/apps/1/events?Auth_Signature=SIGNED&a=b",
            "/apps/1/events?auth%5Fsignature=SIGNED",
            "/apps/1/events?%61uth_%73ignature=SIGNED",
            "/apps/1/events?auth%255Fsignature=SIGNED",
            "/apps/1/events?auth_signature[]=SIGNED",
            "/apps/1/events?auth_signature%5B0%5D=SIGNED",
            "/apps/1/events?auth_signature%3DSIGNED",
            "/apps/1/events%3Fa=b%26auth_signature=SIGNED",
            "/apps/1/events%3Fauth_signature%3DSIGNED%26a%3Db",
            "/apps/1/auth_signature=SIGNED/events",
            "/apps/1/SIGNED/events",
            "/apps/1/events?x=SIGNED",
            "/apps/1/events?SIGNED",
            "/apps/1/events?auth=key:SIGNED",
            "/apps/1/events?data[auth]=key:SIGNED",
            "/apps/1/events?app_secret=SIGNED",
            "/x?from=https://host/apps/1/events?auth_signature=SIGNED",
            "/x?from=https%3A%2F%2Fhost%2F%3Fauth_signature%3DSIGNED",
        ],
    )
    @pytest.mark.parametrize("escaped", ["none", "some", "all"])
    def test_no_spelling_shows_a_signature(
        self, form: str, spelled: str, escaped: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """In upper case, escaped, once and twice, as a list, in the path, within another URL."""
        signature = "0123456789abcdef" * 4
        sent = {
            "none": signature,
            "some": signature.replace("a", "%61").replace("5", "%35").upper(),
            "all": "".join(f"%{ord(each):02x}" for each in signature),
        }[escaped]
        monkeypatch.setattr(self, "PATH", spelled.replace("SIGNED", sent))
        line = self.access_line(LogSettings(access=True, format=form))  # type: ignore[arg-type]
        for shown in (sent, sent[:20], sent[-20:], signature, signature.upper()):
            assert shown not in line
        assert "***" in line
        assert "/" in line

    @pytest.mark.parametrize("form", ["console", "json"])
    def test_a_path_in_a_field_does_not_show_one_either(self, form: str) -> None:
        settings = LogSettings(format=form)  # type: ignore[arg-type]
        path = "/apps/1/auth%5Fsignature=0a1b2c"
        line = logged(settings, OURS, logging.INFO, "x", path=path, more=[{"url": path}])
        assert "0a1b2c" not in line
        assert line.count("***") == 2

    def test_what_is_no_secret_stays(self) -> None:
        digest = "a" * 64
        line = logged(JSON, OURS, logging.INFO, "x 50%", channel=f"private-{digest}", n=1)
        record = json.loads(line)
        assert (record["event"], record["channel"], record["n"]) == (
            "x 50%",
            f"private-{digest}",
            1,
        )
        path = "/apps/1/channels/a%2Cb?auth_key=k&info=user_count"
        assert path in logged(CONSOLE, OURS, logging.INFO, path)

    def test_a_path_of_nothing_but_such_words_costs_no_more_than_its_length(self) -> None:
        """Ratios in one run: ten times the length may take some ten times as long."""

        def took(count: int) -> float:
            path = "/" + "token" * count + "%74oken" * count
            begun = time.perf_counter()
            logged(LogSettings(access=True), OURS, logging.INFO, path)
            return time.perf_counter() - begun

        took(100)
        short = min(took(500) for _ in range(5))
        assert min(took(5_000) for _ in range(3)) < 60 * short

    def test_a_path_as_long_as_a_head_costs_little_more_than_a_long_one(self) -> None:
        """Escapes are undone several times: 60 kB of them took 58 ms for each request."""

        def took(count: int) -> float:
            path = "/x?" + "%25" * count
            begun = time.perf_counter()
            logged(LogSettings(access=True), OURS, logging.INFO, path)
            return time.perf_counter() - begun

        assert min(took(20_000) for _ in range(3)) < 4 * min(took(1_300) for _ in range(5))

    @pytest.mark.parametrize("settings", [CONSOLE, JSON], ids=["console", "json"])
    def test_where_a_long_line_is_cut_no_half_of_a_signature_is_shown(
        self, settings: LogSettings
    ) -> None:
        digest = "0123456789abcdef" * 4
        spellings = [digest, "".join(f"%{ord(each):x}" for each in digest)]
        for spelling in [*spellings, spellings[1].replace("%", "%252525")]:
            for before in range(3_000, 4_200, 7):
                path = f"/x?{'y' * before}/{spelling}&{'z' * 2_000}"
                line = logged(settings, OURS, logging.INFO, path)
                assert "yyy" in line
                assert spelling[:9] not in line
                assert digest[:9] not in line

    def test_it_is_written_even_if_only_errors_are(self) -> None:
        assert "POST" in self.access_line(LogSettings(access=True, level="error"))


class TestLoneSurrogates:
    @pytest.mark.parametrize("settings", [CONSOLE, JSON], ids=["console", "json"])
    def test_a_stream_of_bytes_takes_every_line(self, settings: LogSettings) -> None:
        """A client's cut emoji in a name, a refusal or a traceback is no UTF-8: it is written as its escape."""
        written = io.BytesIO()
        stream = io.TextIOWrapper(written, "utf-8")
        configure(settings, stream)
        logger = logging.getLogger(OURS)
        logger.warning("refused \ud83d", extra={"channel": "c\ude00", "reason": "a b\ud83d"})
        try:
            raise ValueError("no \ud83d")
        except ValueError:
            logger.exception("failed")
        stream.flush()
        said = written.getvalue().decode()
        for part in (r"refused \ud83d", r"c\ude00", r"a b\ud83d", r"no \ud83d"):
            assert part in said
