"""Runs in an environment that has the installed package and nothing else: does it serve?

    python -I package_trial.py plain|sql

It starts the command as its users do, subscribes, publishes over the signed API, and waits for the event. With
`sql` the app comes from a database that the command has made. Exits with 1 and a line when anything is missing.
"""

import hashlib
import hmac
import importlib.metadata
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import httpx
from websockets.sync.client import connect

COMMAND = Path(sys.executable).with_name("pusher-server")
APP = {"id": "7", "key": "trial-key", "secret": "trial-secret"}
#: Seconds for the server to start, and for each answer; a machine may do much else.
PATIENCE = 120.0


def command(*arguments: str, given: str = "", **environment: str) -> str:
    """Run the installed command with this on its standard input; what it printed."""
    try:
        done = subprocess.run(
            [COMMAND, *arguments], input=given,
            env={**os.environ, **environment}, capture_output=True, text=True, timeout=PATIENCE,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        sys.exit(f"pusher-server {arguments[0]} has not ended within {PATIENCE:g} s")
    if done.returncode:
        sys.exit(
            f"pusher-server {arguments[0]} ended with {done.returncode}: {done.stderr[-1_000:]}"
        )
    return done.stdout


def check_files() -> None:
    """Check what has to be inside: types, defaults, the command."""
    import pusher_server

    package = Path(pusher_server.__file__).parent
    version = importlib.metadata.version("pusher-server")
    assert "site-packages" in package.parts, "the working tree is imported, not the package"
    assert (package / "py.typed").is_file(), "py.typed is missing"
    assert version in command("version"), "the command has another version"
    assert command("default-config") == (package / "config.example.toml").read_text("utf-8")
    assert "OK" in command("check-config"), "the embedded defaults are refused"


def signed(path: str, body: bytes) -> str:
    """The path with its query, as Pusher's libraries sign it."""
    query = "&".join(
        (
            f"auth_key={APP['key']}",
            f"auth_timestamp={int(time.time())}",
            "auth_version=1.0",
            f"body_md5={hashlib.md5(body).hexdigest()}",
        )
    )
    text = f"POST\n{path}\n{query}".encode()
    return f"{path}?{query}&auth_signature={hmac.new(APP['secret'].encode(), text, 'sha256').hexdigest()}"


def deliver(port: int) -> None:
    """Bring an event from the API to a client."""
    with connect(f"ws://127.0.0.1:{port}/app/{APP['key']}", open_timeout=PATIENCE) as client:
        client.recv(PATIENCE)  # pusher:connection_established
        client.send(json.dumps({"event": "pusher:subscribe", "data": {"channel": "trial"}}))
        client.recv(PATIENCE)  # pusher_internal:subscription_succeeded
        body = json.dumps({"name": "event", "channel": "trial", "data": '{"a":1}'}).encode()
        path = signed(f"/apps/{APP['id']}/events", body)
        url = f"http://127.0.0.1:{port}{path}"
        answer = httpx.post(url, content=body, trust_env=False, timeout=PATIENCE)
        assert (answer.status_code, answer.text) == (200, "{}"), answer.text
        event = json.loads(client.recv(PATIENCE))
        assert event == {"event": "event", "channel": "trial", "data": '{"a":1}'}, event


def wait_until_up(server: "subprocess.Popen[bytes]", port: int) -> None:
    """Wait for the first answer of `/up`."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/up", trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            if server.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"the server has not started: {server.poll()}")
            time.sleep(0.05)


def serve(folder: Path, settings: dict[str, str]) -> None:
    """Start the server, let it deliver, and end it with SIGTERM."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    environment = {
        **os.environ,
        **settings,
        "PUSHER_SERVER__OPERATIONS__PORT": "0",
        "XDG_STATE_HOME": str(folder),
    }
    log = folder / "log"
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [COMMAND, "serve", "--port", str(port)],
            cwd=folder, env=environment, stdout=output, stderr=output,
        ) as server,
    ):  # fmt: skip
        try:
            wait_until_up(server, port)
            deliver(port)
            server.terminate()
            assert server.wait(PATIENCE) == 0, "SIGTERM was not a success"
        except BaseException:
            print(log.read_text("utf-8")[-3_000:])
            raise
        finally:
            server.kill()


def main(kind: str) -> None:
    """Try one kind of installation."""
    check_files()
    with tempfile.TemporaryDirectory(prefix="pusher-server-trial-") as name:
        folder = Path(name)
        if kind == "sql":
            settings = {"PUSHER_SERVER__DATABASE__URL": f"sqlite:///{folder}/apps.sqlite3"}
            command("apps", "init", **settings)
            add = ("apps", "add", APP["id"], "--key", APP["key"], "--secret-stdin")
            command(*add, given=APP["secret"], **settings)
            for driver in ("aiomysql", "asyncpg", "aiosqlite"):
                assert find_spec(driver), f"the extra `sql` has no {driver}"
        else:
            assert find_spec("sqlalchemy") is None, "sqlalchemy comes without the extra `sql`"
            settings = {"PUSHER_SERVER__APPS": json.dumps([APP])}
        serve(folder, settings)
    version = ".".join(map(str, sys.version_info[:3]))
    print(f"  {kind}: starts on Python {version}, delivers an event, ends on SIGTERM")


if __name__ == "__main__":
    main(sys.argv[1])
