"""The example's Laravel files in a real Laravel: an application, its web server and its queue worker."""

import re
import shlex
import shutil
import sqlite3
import subprocess
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Self

import httpx

from tests.examples.programs import (
    EXAMPLE,
    START_DEADLINE,
    STOP_DEADLINE,
    clean_environment,
    program,
    stop,
)
from tests.support.serving import free_port
from tests.support.waiting import block_until

LARAVEL = EXAMPLE / "laravel"
SKELETON = Path(__file__).with_name("laravel_skeleton")
#: What is copied over the skeleton, unchanged. Not `bootstrap`: its file is for Laravel 11 and newer.
COPIED = ("app", "config", "routes")
WRITABLE = ("bootstrap/cache", "storage/framework/cache", "storage/logs")
DATABASE = "database/database.sqlite"
MISSING = (
    "Laravel cannot run: install php-laravel-framework php-guzzlehttp-guzzle php-sqlite3 php-curl"
    " (make test does it as root on Debian), or name its vendor/autoload.php in LARAVEL_AUTOLOAD"
)
#: For the validation script: Amina and Bruno, whom the seeder puts into session 1.
TOKENS = {"TOKEN_A": "token-of-amina", "TOKEN_B": "token-of-bruno"}
COMMAND_DEADLINE = 60.0
#: Five tries take four seconds.
JOBS_DEADLINE = 30.0


def documented_worker() -> list[str]:
    """The arguments of `php artisan` by which the README starts the worker."""
    readme = (LARAVEL / "README.md").read_text("utf-8")
    command = re.search(r"^php artisan (queue:work .*?) *#", readme, re.MULTILINE)
    assert command is not None
    return shlex.split(command[1])


def create_application(directory: Path) -> None:
    """Write the application's files: the skeleton, and on top those that a user copies."""
    shutil.copytree(SKELETON, directory)
    for folder in COPIED:
        shutil.copytree(LARAVEL / folder, directory / folder, dirs_exist_ok=True)
    for folder in WRITABLE:
        (directory / folder).mkdir(parents=True)


def prepare_application(directory: Path) -> None:
    """Make an application whose database has its tables and the people of the seeder."""
    create_application(directory)
    (directory / DATABASE).touch()
    for table in ("queue:table", "queue:failed-table"):
        run_artisan(directory, table)
    run_artisan(directory, "migrate", "--seed", "--force")


def artisan(*arguments: str) -> list[str]:
    """The command line of `php artisan`."""
    return [program("php", "php-cli"), "artisan", *arguments]


def run_artisan(directory: Path, *arguments: str) -> str:
    """Run a command of an application to its end; returns its output."""
    result = subprocess.run(
        artisan(*arguments),
        cwd=directory,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=COMMAND_DEADLINE,
    )
    assert result.returncode == 0, f"{MISSING}\n{result.stdout}\n{result.stderr}"
    return result.stdout


def environment() -> dict[str, str]:
    """Of an application's processes: without variables that would win over their lines in `.env`."""
    in_file = re.findall(r"^(\w+)=", dotenv_example(), re.MULTILINE)
    return {name: value for name, value in clean_environment().items() if name not in in_file}


def dotenv_example() -> str:
    """The example's `.env`."""
    return (LARAVEL / ".env.example").read_text("utf-8")


def dotenv(values: Mapping[str, str]) -> str:
    """The example's `.env` with other values; the example has a line for each."""
    text = dotenv_example()
    for name, value in values.items():
        before, _, after = re.split(rf"^({name}=.*)$", text, flags=re.MULTILINE)
        text = f"{before}{name}={value}{after}"
    return text


class LaravelApplication:
    """One application with its own database, on a port of its own.

    It is a copy of `prepared`. `pusher` has values for its `.env`, `worker` arguments of `php artisan`.
    """

    def __init__(
        self,
        prepared: Path,
        directory: Path,
        pusher: Mapping[str, str],
        worker: list[str] | None = None,
    ) -> None:
        self.port = free_port()
        self._prepared = prepared
        self._directory = directory / f"laravel-{self.port}"
        self._pusher = pusher
        self._worker_arguments = documented_worker() if worker is None else worker
        self._web: subprocess.Popen[bytes] | None = None
        self._worker: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where its API is."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def attempts(self) -> int:
        """How often a worker has begun a job, in the words of Laravel 8 or 10."""
        return len(re.findall(r"Processing:|RUNNING", self._read("worker.log")))

    @property
    def log(self) -> str:
        """Exceptions of requests and of jobs, and what both processes have written."""
        return "\n".join(map(self._read, ("storage/logs/laravel.log", "web.log", "worker.log")))

    def set_environment(self, **changes: str) -> None:
        """Write `.env`; the next request reads it, a running worker does not."""
        self._pusher = {**self._pusher, **changes}
        (self._directory / ".env").write_text(dotenv(self._pusher), "utf-8")

    def artisan(self, *arguments: str) -> str:
        """Run a command of the application to its end; returns its output."""
        return run_artisan(self._directory, *arguments)

    def start_worker(self) -> None:
        """Start a worker, as Supervisor does when one has ended."""
        assert self._worker is None
        self._worker = self._start("worker.log", artisan(*self._worker_arguments))

    def post(self, person: str | None, path: str, **options: Any) -> httpx.Response:
        """A POST of "amina", "bruno" or "chloe" with the bearer token, or of nobody."""
        headers = {"Accept": "application/json", **options.pop("headers", {})}
        if person is not None:
            headers["Authorization"] = f"Bearer token-of-{person}"
        return httpx.post(f"{self.url}{path}", headers=headers, trust_env=False, **options)

    def write_comment(self, text: str, **headers: str) -> Any:
        """Amina's new comment in session 1, as the API answers it."""
        path = "/api/sessions/1/comments"
        answer = self.post("amina", path, json={"content": text}, headers=headers)
        assert answer.status_code == 201, f"{answer.text}\n{self.log}"
        return answer.json()["data"]

    def authorize(self, person: str | None, channel: str, socket_id: str = "1.1") -> httpx.Response:
        """The answer to a client of this person that wants to join a channel."""
        form = {"socket_id": socket_id, "channel_name": channel}
        return self.post(person, "/broadcasting/auth", data=form)

    def wait_for_worker_end(self) -> int:
        """Return the exit status of a worker that ends by itself."""
        assert self._worker is not None
        status = self._worker.wait(STOP_DEADLINE)
        self._worker = None
        return status

    def wait_for_jobs(self, *, waiting: int, failed: int) -> None:
        """Return once the tables `jobs` and `failed_jobs` have so many rows."""
        block_until(
            lambda: (self._rows("jobs"), self._rows("failed_jobs")) == (waiting, failed),
            JOBS_DEADLINE,
            show=lambda: self.log,
        )

    def __enter__(self) -> Self:
        shutil.copytree(self._prepared, self._directory)
        self.set_environment()
        try:
            address = f"127.0.0.1:{self.port}"
            php = program("php", "php-cli")
            self._web = self._start(
                "web.log", [php, "-S", address, "-t", "public", "public/index.php"]
            )
            self.start_worker()
            not_yet = (httpx.TransportError,)
            block_until(self._is_ready, START_DEADLINE, show=lambda: self.log, not_yet=not_yet)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        for process in (self._web, self._worker):
            if process is not None:
                stop(process)

    def _rows(self, table: str) -> int:
        with closing(sqlite3.connect(self._directory / DATABASE)) as database:
            (count,) = database.execute(f"SELECT count(*) FROM {table}").fetchone()
            return int(count)

    def _is_ready(self) -> bool:
        assert self._web is not None
        assert self._web.poll() is None, f"the web server ended:\n{self.log}"
        headers = {"Accept": "application/json"}
        return (
            httpx.get(f"{self.url}/api/user", headers=headers, trust_env=False).status_code == 401
        )

    def _start(self, log_name: str, command: list[str]) -> subprocess.Popen[bytes]:
        with (self._directory / log_name).open("ab") as log:
            return subprocess.Popen(
                command, cwd=self._directory, stdout=log, stderr=log, env=environment()
            )

    def _read(self, name: str) -> str:
        path = self._directory / name
        return path.read_text("utf-8", "replace") if path.exists() else ""
