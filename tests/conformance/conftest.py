"""Starts the server under test, or takes the environment's; prints the table of rules."""

import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from tests.conformance.api import Api
from tests.conformance.clusters import KINDS, kind_from_environment
from tests.conformance.target import (
    GOLDEN,
    NEEDS_OUR_CONFIG,
    PREFIX,
    Target,
    own_settings,
    target_from_environment,
)
from tests.support.serving import RunningServer

ROW = re.compile(r"test_([CSEUHW])(\d+)(b?)_")
RULE = "conformance rule"


@pytest.fixture(scope="session")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """The server under test."""
    foreign = target_from_environment()
    if foreign is not None:
        yield foreign
        return
    kind = kind_from_environment()
    with KINDS[kind](tmp_path_factory.mktemp("conformance")) as (host, ports):
        yield Target(host, ports, GOLDEN, own=True, is_cluster=bool(kind))


@pytest.fixture
def prefixed(target: Target) -> Target:
    """The same server, seen behind its path prefix."""
    target.require_own_config()
    return target.behind(PREFIX)


@pytest.fixture
def spare(target: Target, tmp_path: Path) -> Iterator[RunningServer]:
    """Another server process, which a test may stop and restart."""
    target.require_own_config()
    with RunningServer(tmp_path, own_settings(tmp_path)) as server:
        yield server


@pytest.fixture
def spare_target(spare: RunningServer) -> Target:
    """The spare server as a target."""
    return Target(spare.host, (spare.port,), GOLDEN, own=True)


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    """One HTTP client with its connections kept alive, as the libraries have it."""
    async with httpx.AsyncClient(timeout=10, trust_env=False) as client:
        yield client


@pytest.fixture
def api(target: Target, http: httpx.AsyncClient) -> Api:
    """The HTTP API of the main app."""
    return Api(target, target.main, http)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each report of a row its rule: the first line of the test's docstring."""
    for item in items:
        if ROW.match(item.name) and isinstance(item, pytest.Function):
            rule = (item.function.__doc__ or "").split("\n")[0]
            item.user_properties.append((RULE, (item.originalname, rule)))


def _verdict(report: pytest.TestReport) -> str | None:
    if report.failed:
        return "FAIL"
    if report.skipped and report.when in {"setup", "call"}:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
        return NEEDS_OUR_CONFIG if NEEDS_OUR_CONFIG in reason else f"SKIPPED {reason}"
    return "pass" if report.when == "call" else None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print `row | rule | verdict` per rule; a rule with several cases has its worst verdict."""
    table: dict[tuple[str, int, str, str], tuple[str, str]] = {}
    reports = (report for reports in terminalreporter.stats.values() for report in reports)
    for report in (report for report in reports if isinstance(report, pytest.TestReport)):
        found = dict(report.user_properties).get(RULE)
        if found is None or (verdict := _verdict(report)) is None:
            continue
        assert isinstance(found, tuple)
        name, rule = found
        row = ROW.match(name)
        assert row is not None
        place = (row[1], int(row[2]), row[3], name)
        # "FAIL" < "SKIPPED …" < "needs our config" < "pass" happens to be the order.
        table[place] = (rule, min(verdict, table.get(place, ("", verdict))[1]))
    if not table:
        return
    terminalreporter.section("Pusher protocol conformance (rows of docs/protocol/conformance.md)")
    for (letter, number, suffix, _), (rule, verdict) in sorted(
        table.items(), key=lambda line: ("CSEUHW".index(line[0][0]), line[0][1:])
    ):
        terminalreporter.line(f"{letter}{number}{suffix:<2} | {rule:<84} | {verdict}")
    verdicts = [verdict for _, verdict in table.values()]
    terminalreporter.line(
        f"{verdicts.count('pass')} of {len(verdicts)} rules pass, "
        f"{verdicts.count(NEEDS_OUR_CONFIG)} need our config, {verdicts.count('FAIL')} fail"
    )
