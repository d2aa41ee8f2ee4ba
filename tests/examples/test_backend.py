"""The stand-in backend answers and publishes as the Laravel application would."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from typing import Any

import httpx
import pytest

from tests.examples.programs import RunningBackend, pusher_environment

DEADLINE = 10.0


class RecordingServer:
    """Stands where the Pusher server would be: keeps what is posted, answers when it may."""

    def __init__(self) -> None:
        self.requests: Queue[tuple[str, dict[str, Any]]] = Queue()
        self.may_answer = threading.Event()
        self.may_answer.set()
        recorder = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                recorder.requests.put((self.path.partition("?")[0], json.loads(body)))
                recorder.may_answer.wait(DEADLINE)
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *arguments: object) -> None:
                del arguments

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        self.may_answer.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def recording() -> Iterator[RecordingServer]:
    """A recording server."""
    server = RecordingServer()
    yield server
    server.close()


@pytest.fixture
def published(directory: Path, recording: RecordingServer) -> Iterator[RunningBackend]:
    """A backend that publishes to the recording server."""
    with RunningBackend(directory, pusher_environment(recording.port)) as running:
        yield running


@contextmanager
def log_in(backend: RunningBackend, name: str = "amina") -> Iterator[httpx.Client]:
    """A client with the user's bearer token."""
    with httpx.Client(base_url=backend.url, trust_env=False, timeout=DEADLINE) as client:
        credentials = {"email": f"{name}@example.com", "password": "password"}
        token = client.post("/api/login", json=credentials).json()["token"]
        client.headers["Authorization"] = f"Bearer {token}"
        yield client


def test_it_posts_what_laravel_posts(published: RunningBackend, recording: RecordingServer) -> None:
    """Name, channel, `toOthers` and the data as PHP encodes it; the data is the API's answer."""
    with log_in(published) as amina:
        answer = amina.post(
            "/api/sessions/1/comments",
            json={"content": "été 1/2 🎉"},
            headers={"X-Socket-ID": "123.456"},
        )
    assert answer.status_code == 201
    path, body = recording.requests.get(timeout=DEADLINE)
    assert path == "/apps/7/events"
    data = body.pop("data")
    assert body == {
        "name": "comment.created",
        "channels": ["private-session.1"],
        "socket_id": "123.456",
    }
    assert json.loads(data) == answer.json()["data"]
    assert r'"content":"\u00e9t\u00e9 1\/2 \ud83c\udf89"' in data


def test_edit_and_delete_are_published_in_order(
    published: RunningBackend, recording: RecordingServer
) -> None:
    """One worker: the events leave in the order of the requests, to all without X-Socket-ID."""
    with log_in(published) as amina:
        comment = amina.post("/api/sessions/1/comments", json={"content": "one"}).json()["data"]
        edited = amina.put(f"/api/comments/{comment['id']}", json={"content": "two"}).json()["data"]
        assert amina.delete(f"/api/comments/{comment['id']}").status_code == 204
    events = [recording.requests.get(timeout=DEADLINE)[1] for _ in range(3)]
    assert [event["name"] for event in events] == [
        "comment.created",
        "comment.updated",
        "comment.deleted",
    ]
    assert json.loads(events[1]["data"]) == edited
    assert json.loads(events[2]["data"]) == {"id": comment["id"], "session_id": 1}
    assert all("socket_id" not in event for event in events)
    assert edited["updated_at"] > edited["created_at"] == comment["created_at"]


def test_the_answer_does_not_wait_for_the_publication(
    published: RunningBackend, recording: RecordingServer
) -> None:
    """The API has answered while the Pusher server still thinks."""
    recording.may_answer.clear()
    with log_in(published) as amina:
        answer = amina.post("/api/sessions/1/comments", json={"content": "quick"})
        assert answer.status_code == 201
        recording.requests.get(timeout=DEADLINE)  # it is there, and has no answer yet
        assert amina.get("/api/sessions/1/comments").status_code == 200
        assert "comment.created on" not in published.log
    recording.may_answer.set()
    published.wait_for_log("comment.created on private-session.1")


def test_a_failed_publication_fails_no_request(directory: Path) -> None:
    """Without a Pusher server comments are saved, and the log says what to check."""
    with RunningBackend(directory, pusher_environment(1)) as backend:
        with log_in(backend) as amina:
            answer = amina.post("/api/sessions/1/comments", json={"content": "saved anyway"})
            listed = amina.get("/api/sessions/1/comments").json()["data"]
        backend.wait_for_log("comment.created FAILED: the Pusher server does not answer")
    assert answer.status_code == 201
    assert listed[-1] == answer.json()["data"]


@pytest.fixture(scope="module")
def unchanged(directory: Path) -> Iterator[RunningBackend]:
    """One backend for all questions that change nothing; nobody listens where it publishes."""
    with RunningBackend(directory, pusher_environment(1)) as running:
        yield running


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/api/sessions/2/comments", None, 200),
        ("GET", "/api/sessions/1/comments", None, 403),
        ("GET", "/api/sessions/9/comments", None, 404),
        ("POST", "/api/sessions/1/comments", {"content": "x"}, 403),
        ("POST", "/api/sessions/2/comments", {"content": "  "}, 422),
        ("POST", "/api/sessions/2/comments", {"content": 5}, 422),
        ("POST", "/api/sessions/2/comments", {"content": "x" * 2001}, 422),
        ("POST", "/api/sessions/2/comments", ["x"], 400),
        ("PUT", "/api/comments/1", {"content": "x"}, 403),
        ("DELETE", "/api/comments/1", None, 403),
        ("DELETE", "/api/comments/999", None, 404),
    ],
)
def test_chloe_may_only_do_what_is_hers(
    unchanged: RunningBackend, method: str, path: str, body: object, status: int
) -> None:
    """A participant of session 2, and of session 2 only."""
    with log_in(unchanged, "chloe") as chloe:
        answer = chloe.request(method, path, json=body) if body else chloe.request(method, path)
    assert answer.status_code == status
    if status >= 400:
        assert answer.json()["message"]


@pytest.mark.parametrize(
    ("user", "channel", "status"),
    [
        ("amina", "private-session.1", 200),
        ("chloe", "private-session.1", 403),
        ("chloe", "private-session.2", 200),
        ("amina", "private-session.1x", 403),
        ("amina", "private-session.", 403),
        ("amina", "session.1", 403),
        ("amina", "presence-online-users", 200),
        ("amina", "presence-session.1", 200),
        ("chloe", "presence-session.1", 403),
        ("amina", "private-private-session.1", 403),
    ],
)
def test_channel_rules(unchanged: RunningBackend, user: str, channel: str, status: int) -> None:
    """Participants join their sessions, everybody joins online-users, nobody anything else.

    As in Laravel the rule does not see the class of the channel, only its name.
    """
    with log_in(unchanged, user) as client:
        answer = client.post(
            "/broadcasting/auth", data={"socket_id": "1.2", "channel_name": channel}
        )
    assert answer.status_code == status
    assert ("auth" in answer.json()) == (status == 200)


def test_presence_carries_id_and_name(unchanged: RunningBackend) -> None:
    """What `here`, `joining` and `leaving` get is the member that channels.php returns."""
    with log_in(unchanged, "chloe") as client:
        fields = {"socket_id": "1.2", "channel_name": "presence-online-users"}
        answer = client.post("/broadcasting/auth", data=fields).json()
    assert json.loads(answer["channel_data"]) == {
        "user_id": "3",
        "user_info": {"id": 3, "name": "Chloé Petit"},
    }


def test_strangers_are_refused(unchanged: RunningBackend) -> None:
    """Wrong passwords get 422 as in Laravel, missing and wrong tokens 401, bad sockets 403."""
    with log_in(unchanged) as client:
        wrong = {"email": "amina@example.com", "password": "guess"}
        assert client.post("/api/login", json=wrong).status_code == 422
        bad_socket = {"socket_id": "1:2", "channel_name": "private-session.1"}
        assert client.post("/broadcasting/auth", data=bad_socket).status_code == 403
        user_data = client.post("/broadcasting/user-auth", data={"socket_id": "1.2"}).json()
        assert json.loads(user_data["user_data"])["id"] == "1"
        client.headers["Authorization"] = "Bearer nonsense"
        for path in ("/broadcasting/auth", "/broadcasting/user-auth"):
            assert client.post(path, data={"socket_id": "1.2"}).status_code == 401
        assert client.get("/api/user").status_code == 401
