"""`integrations/laravel` as Composer would install it into the tests' Laravel application."""

import json
import re
import shutil
import sqlite3
import subprocess
import uuid
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from tests.examples.laravel_application import (
    COMMAND_DEADLINE,
    DATABASE,
    artisan,
    documented_worker,
    dotenv,
    environment,
)
from tests.examples.programs import APP, TOP, stop
from tests.support.waiting import block_until

PACKAGE = TOP / "integrations" / "laravel"


def install_package(prepared: Path, directory: Path) -> None:
    """Copy an application and install the package: a link in `vendor`, and its line in `installed.json`."""
    shutil.copytree(prepared, directory)
    description = json.loads((PACKAGE / "composer.json").read_text("utf-8"))
    vendor = directory / "vendor"
    (vendor / "composer").mkdir(parents=True)
    place = vendor / description["name"]
    place.parent.mkdir()
    place.symlink_to(PACKAGE)
    package = {**description, "install-path": f"../{description['name']}"}
    installed = json.dumps({"packages": [package]})
    (vendor / "composer" / "installed.json").write_text(installed, "utf-8")
    # What discovery has kept of the application without the package.
    (directory / "bootstrap" / "cache" / "packages.php").unlink(missing_ok=True)


class PackagedApplication:
    """An application with the package, whose files each test may change."""

    def __init__(self, packaged: Path, directory: Path) -> None:
        self.directory = directory
        shutil.copytree(packaged, directory, symlinks=True)

    @property
    def dotenv_path(self) -> Path:
        """Its `.env`."""
        return self.directory / ".env"

    def set_environment(self, values: Mapping[str, str], more: str = "") -> None:
        """Write `.env`: the example's with these values, and `more` lines."""
        self.dotenv_path.write_text(dotenv(values) + more, "utf-8")

    def replace(self, name: str, old: str, new: str) -> None:
        """Change the text of one file, which must have it."""
        path = self.directory / name
        text = path.read_text("utf-8")
        assert old in text, f"{name} has no {old}"
        path.write_text(text.replace(old, new), "utf-8")

    def rows(self, table: str) -> int:
        """How many rows a table of its database has."""
        with closing(sqlite3.connect(self.directory / DATABASE)) as database:
            (count,) = database.execute(f"SELECT count(*) FROM {table}").fetchone()
            return int(count)

    def execute(self, statement: str, *values: object) -> None:
        """Change its database."""
        with closing(sqlite3.connect(self.directory / DATABASE)) as database, database:
            database.execute(statement, values)

    def push_nothing(self) -> None:
        """Queue a job that any worker fails to do at once."""
        payload = json.dumps({"uuid": str(uuid.uuid4()), "job": "Nothing", "data": {}})
        columns = "queue, payload, attempts, available_at, created_at"
        statement = f"INSERT INTO jobs ({columns}) VALUES ('default', ?, 9, 0, 0)"
        self.execute(statement, payload)

    def run(
        self, *arguments: str, variables: Mapping[str, str] | None = None, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of the application to its end."""
        return subprocess.run(
            artisan(*arguments),
            cwd=self.directory,
            env={**environment(), **(variables or {})},
            capture_output=True,
            text=True,
            timeout=COMMAND_DEADLINE,
            **options,
        )


def install(
    application: PackagedApplication, port: int, secret: str, *arguments: str
) -> subprocess.CompletedProcess[str]:
    """Run the install command as a script does; `secret` is a line for its standard input."""
    return application.run(
        "pusher-server:install",
        "--no-interaction",
        "--host=127.0.0.1",
        f"--port={port}",
        "--scheme=http",
        f"--app-id={APP['id']}",
        f"--key={APP['key']}",
        "--credentials=-",
        *arguments,
        input=secret,
    )


@contextmanager
def worker(application: PackagedApplication) -> Iterator[None]:
    """A queue worker as the example's README starts it, which has read its settings."""
    log = application.directory / "worker.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            artisan(*documented_worker()),
            cwd=application.directory,
            env=environment(),
            stdout=output,
            stderr=output,
        )
    try:
        application.push_nothing()  # a worker that has taken a job has read its settings
        block_until(
            lambda: (application.rows("jobs"), application.rows("failed_jobs")) == (0, 1),
            COMMAND_DEADLINE,
            show=lambda: log.read_text("utf-8"),
        )
        application.execute("DELETE FROM failed_jobs")
        yield
    finally:
        stop(process)


def steps_of(output: str) -> dict[str, str]:
    """The steps that `pusher-server:check` prints: name -> mark and text."""
    return {
        match[2]: f"{match[1]} {match[3]}"
        for match in re.finditer(r"^([✓✗?]) (\w+): (.*)$", output, re.MULTILINE)
    }


def fixes_of(output: str) -> list[str]:
    """The lines to paste that `pusher-server:check` prints."""
    return re.findall(r"^    (\S.*)$", output, re.MULTILINE)
