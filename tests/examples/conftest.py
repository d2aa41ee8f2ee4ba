"""One Pusher server, one stand-in backend and one browser for the tests of the example."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.examples.laravel_application import prepare_application
from tests.examples.laravel_package import install_package
from tests.examples.phone import Phone
from tests.examples.programs import APP, Browser, RunningBackend, pusher_environment
from tests.support.serving import RunningServer


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the processes of a module keep their logs."""
    return tmp_path_factory.mktemp("comments")


@pytest.fixture(scope="module")
def server(directory: Path) -> Iterator[RunningServer]:
    """The server, with the example's app."""
    with RunningServer(directory, {"apps": [APP]}) as running:
        yield running


@pytest.fixture
def backend(directory: Path, server: RunningServer) -> Iterator[RunningBackend]:
    """A stand-in backend with a fresh database."""
    with RunningBackend(directory, pusher_environment(server.port)) as running:
        yield running


@pytest.fixture(scope="session")
def laravel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Laravel application with its database, to be copied."""
    directory = tmp_path_factory.mktemp("laravel") / "prepared"
    prepare_application(directory)
    return directory


@pytest.fixture(scope="session")
def packaged(laravel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An application with the package, to be copied."""
    directory = tmp_path_factory.mktemp("package") / "packaged"
    install_package(laravel, directory)
    return directory


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium without pages."""
    with Browser() as running:
        yield running


@pytest.fixture
def phones(browser: Browser, backend: RunningBackend) -> Iterator[tuple[Phone, Phone]]:
    """Amina's and Bruno's phones, both live in session 1. They must end without script errors."""
    amina, bruno = Phone(browser, "amina", backend.url), Phone(browser, "bruno", backend.url)
    amina.open()
    bruno.open()
    yield amina, bruno
    problems = amina.close() + bruno.close()
    assert problems == []
