"""Standard output and error that cannot be written to, full or closed: no reason to stop, nor to fail later."""

import os
import sys
from contextlib import suppress
from typing import TextIO


def open_closed_streams() -> None:
    """Let `/dev/null` stand where a standard stream is closed. To be called before anything is opened.

    Else the next socket would get its number, and all printed text would go to a client.
    """
    null = os.open(os.devnull, os.O_RDWR)
    while null <= 2:
        os.set_inheritable(null, True)  # as the other standard streams are
        null = os.open(os.devnull, os.O_RDWR)
    os.close(null)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 (for as long as the process lives)


def write(text: str, stream: TextIO | None) -> str | None:
    """Write the text at once. Returns the reason of a failure, or None."""
    if stream is None:
        return "it is closed"
    try:
        stream.write(text)
        stream.flush()
    except OSError as error:
        return error.strerror or str(error)
    except ValueError as error:  # closed meanwhile, or of another encoding
        return str(error)
    return None


def flush_or_drop() -> None:
    """Flush at the end of the process. Text that cannot be written would make Python end with status 120."""
    for stream, number in ((sys.stdout, 1), (sys.stderr, 2)):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            with suppress(OSError):
                null = os.open(os.devnull, os.O_WRONLY)
                os.dup2(null, number)
                os.close(null)
