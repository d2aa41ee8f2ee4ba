"""Writing to what cannot be written to."""

import io
import logging

import pytest

from pusher_server import logs, standard_streams
from pusher_server.config import LogSettings


class Full(io.StringIO):
    """A stream on a disk that is full for a while."""

    full = True

    def write(self, text: str) -> int:
        if self.full:
            raise OSError(28, "No space left on device")
        return super().write(text)


def test_what_has_gone_wrong_is_said() -> None:
    stream = Full()
    assert standard_streams.write("a", stream) == "No space left on device"
    stream.full = False
    assert standard_streams.write("b", stream) is None
    assert stream.getvalue() == "b"
    stream.close()
    assert "closed" in str(standard_streams.write("c", stream))
    assert standard_streams.write("c", None) == "it is closed"


def test_lines_of_the_log_that_were_lost_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is written elsewhere instead, and nothing is raised."""
    stream = Full()
    root = logging.getLogger()
    before = root.handlers[:], root.level
    try:
        logs.configure(LogSettings(), stream)
        logger = logging.getLogger("pusher_server.test")
        for number in range(5):
            logger.warning("line %d", number)
        stream.full = False
        logger.warning("line 5")
        logger.warning("line 6")
    finally:
        root.handlers[:], level = before
        root.setLevel(level)
    lines = stream.getvalue().splitlines()
    assert len(lines) == 3
    assert lines[0].endswith("line 5")
    assert lines[1].endswith("5 lines of the log could not be written before this one")
    assert lines[2].endswith("line 6")
    assert capsys.readouterr().err == ""
