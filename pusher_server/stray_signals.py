"""Signals that mean nothing to a server do not end it.

Their default is death: SIGUSR1 for a program that is thought to reopen its logs, SIGALRM, the real-time ones.
SIGQUIT, which leaves a core behind, keeps its default.
"""

import signal

_STRAY = (
    "SIGUSR1", "SIGUSR2", "SIGPIPE", "SIGALRM", "SIGVTALRM", "SIGPROF", "SIGPOLL", "SIGPWR",
    "SIGSTKFLT", "SIGXFSZ",
)  # fmt: skip


def ignore() -> None:
    """Ignore those without a disposition of their own, in this process and the processes that it starts."""
    for number in _stray_signals():
        if signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, signal.SIG_IGN)


def _stray_signals() -> list[int]:
    named = [getattr(signal, name) for name in _STRAY if hasattr(signal, name)]
    if not hasattr(signal, "SIGRTMIN"):  # macOS
        return named
    return [*named, *range(signal.SIGRTMIN, signal.SIGRTMAX + 1)]
