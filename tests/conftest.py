"""What holds for all tiers: hypothesis profiles, no test that is quietly skipped, one database server each."""

import os
import secrets
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.support.databases import MariaServer, PostgresServer

# Both profiles look for something new in every run; the seed that is printed repeats one. Neither judges by
# the clock: on a fresh clone the first example waits for Hypothesis to build its table of Unicode. Where the
# variable CI is set, Hypothesis' own default would draw the same examples in each run, whatever the seed.
UNTIMED = settings(derandomize=False, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("quick", UNTIMED, max_examples=100, print_blob=True)
settings.register_profile("full", UNTIMED, max_examples=1_000, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--no-skips`, which `make test` gives."""
    parser.addoption("--no-skips", action="store_true", help="fail when a test is skipped")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Give Hypothesis a seed of this run's own, unless one is named; keep coverage out of servers.

    `--hypothesis-seed` or HYPOTHESIS_SEED names a seed. With COVER_SERVERS, coverage measures servers, too.
    """
    if config.option.hypothesis_seed is None:
        given = os.environ.get("HYPOTHESIS_SEED")
        config.option.hypothesis_seed = given or str(secrets.randbits(32))
    divides = getattr(config.option, "numprocesses", None) and not hasattr(config, "workerinput")
    if not divides and "COVER_SERVERS" not in os.environ:
        # Coverage measures processes that inherit this. It makes servers three times as slow, which tests of
        # floods and crowds do not forgive.
        os.environ.pop("COVERAGE_PROCESS_CONFIG", None)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say how to have the same examples again."""
    seed = config.option.hypothesis_seed
    terminalreporter.write_line(
        f"Hypothesis drew from seed {seed}; HYPOTHESIS_SEED={seed} repeats it"
    )


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """With --no-skips, a session in which something was skipped has failed."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if (
        session.config.getoption("--no-skips")
        and reporter is not None
        and reporter.stats.get("skipped")
    ):
        reporter.write_line("a test was skipped, which --no-skips does not allow", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One for all tests of a tier; each makes a database of its own in it."""
    with PostgresServer() as server:
        yield server


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaServer]:
    """As `postgres`."""
    with MariaServer() as server:
        yield server
