"""Users, sessions, tokens and comments in SQLite: the tables that the Laravel application has.

Rows leave as the JSON that Laravel's API resources would give (`CommentResource`).
Used from one thread only, the event loop's: every statement here takes microseconds.
"""

import hashlib
import secrets
import sqlite3
from datetime import UTC, datetime, timedelta
from typing import Any

#: Every demo user's password, as Laravel's user factory has it.
DEMO_PASSWORD = "password"
DEMO_USERS = (
    (1, "Amina Diallo", "amina@example.com"),
    (2, "Bruno Martin", "bruno@example.com"),
    (3, "Chloé Petit", "chloe@example.com"),
)
#: Session id -> title and participants. Chloé is not in session 1: she must be refused there.
DEMO_SESSIONS = {1: ("Sprint review", (1, 2)), 2: ("Design workshop", (1, 2, 3))}
#: Minutes before the start, session, author, text.
DEMO_COMMENTS = (
    (42, 1, 1, "The comment screen is ready 🎉"),
    (41, 1, 2, "Does it update by itself, or do I still have to reopen the chat?"),
    (39, 1, 1, "By itself. Open it on two phones and try."),
)

SCHEMA = """
CREATE TABLE IF NOT EXISTS users (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, email TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS sessions (id INTEGER PRIMARY KEY, title TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS participants (
    session_id INTEGER NOT NULL REFERENCES sessions, user_id INTEGER NOT NULL REFERENCES users,
    PRIMARY KEY (session_id, user_id));
CREATE TABLE IF NOT EXISTS tokens (
    digest TEXT PRIMARY KEY, user_id INTEGER NOT NULL REFERENCES users);
CREATE TABLE IF NOT EXISTS comments (
    id INTEGER PRIMARY KEY AUTOINCREMENT, session_id INTEGER NOT NULL REFERENCES sessions,
    user_id INTEGER NOT NULL REFERENCES users, content TEXT NOT NULL,
    created_at TEXT NOT NULL, updated_at TEXT NOT NULL);
"""
SELECT_COMMENT = """
SELECT comments.*, users.name AS user_name FROM comments JOIN users ON users.id = user_id
"""

Resource = dict[str, Any]


class CommentStore:
    """All reading and writing of the stand-in backend."""

    def __init__(self, path: str, *, seed: bool) -> None:
        self._database = sqlite3.connect(path, isolation_level=None)
        self._database.row_factory = sqlite3.Row
        self._database.executescript(SCHEMA)
        self._add_demo_people()
        if seed and not self._one("SELECT 1 FROM comments LIMIT 1"):
            self._add_demo_comments()

    def close(self) -> None:
        self._database.close()

    def log_in(self, email: str, password: str) -> tuple[str, Resource] | None:
        """A new bearer token and its user, or None when the credentials are wrong."""
        row = self._one("SELECT id, name, email FROM users WHERE email = ?", email)
        if row is None or not secrets.compare_digest(password.encode(), DEMO_PASSWORD.encode()):
            return None
        token = secrets.token_hex(20)
        self._database.execute("INSERT INTO tokens VALUES (?, ?)", (_digest(token), row["id"]))
        return token, dict(row)

    def user_of(self, token: str) -> Resource | None:
        row = self._one(
            "SELECT users.id, name, email FROM tokens JOIN users ON users.id = user_id"
            " WHERE digest = ?",
            _digest(token),
        )
        return dict(row) if row else None

    def session(self, session_id: int) -> Resource | None:
        row = self._one("SELECT id, title FROM sessions WHERE id = ?", session_id)
        return dict(row) if row else None

    def takes_part(self, user_id: int, session_id: int) -> bool:
        row = self._one(
            "SELECT 1 FROM participants WHERE user_id = ? AND session_id = ?", user_id, session_id
        )
        return row is not None

    def first_session(self, user_id: int) -> int:
        """Where the page takes a demo user who names no session."""
        row = self._one("SELECT min(session_id) AS id FROM participants WHERE user_id = ?", user_id)
        return int(row["id"]) if row else 0

    def comments(self, session_id: int) -> list[Resource]:
        """The comments of a session, oldest first."""
        rows = self._database.execute(
            SELECT_COMMENT + " WHERE session_id = ? ORDER BY comments.id", (session_id,)
        )
        return [_comment_resource(row) for row in rows]

    def comment(self, comment_id: int) -> Resource | None:
        row = self._one(SELECT_COMMENT + " WHERE comments.id = ?", comment_id)
        return _comment_resource(row) if row else None

    def create(self, session_id: int, user_id: int, content: str) -> Resource:
        now = datetime.now(UTC)
        return self._insert(session_id, user_id, content, now)

    def update(self, comment_id: int, content: str) -> Resource:
        self._database.execute(
            "UPDATE comments SET content = ?, updated_at = ? WHERE id = ?",
            (content, _timestamp(datetime.now(UTC)), comment_id),
        )
        comment = self.comment(comment_id)
        assert comment is not None, "the caller has just read it, in this thread"
        return comment

    def delete(self, comment_id: int) -> None:
        self._database.execute("DELETE FROM comments WHERE id = ?", (comment_id,))

    def _insert(self, session_id: int, user_id: int, content: str, when: datetime) -> Resource:
        cursor = self._database.execute(
            "INSERT INTO comments (session_id, user_id, content, created_at, updated_at)"
            " VALUES (?, ?, ?, ?, ?)",
            (session_id, user_id, content, _timestamp(when), _timestamp(when)),
        )
        comment = self.comment(cursor.lastrowid or 0)
        assert comment is not None, "it was inserted one statement ago"
        return comment

    def _one(self, statement: str, *values: object) -> sqlite3.Row | None:
        row: sqlite3.Row | None = self._database.execute(statement, values).fetchone()
        return row

    def _add_demo_people(self) -> None:
        self._database.executemany("INSERT OR IGNORE INTO users VALUES (?, ?, ?)", DEMO_USERS)
        for session_id, (title, participants) in DEMO_SESSIONS.items():
            self._database.execute(
                "INSERT OR IGNORE INTO sessions VALUES (?, ?)", (session_id, title)
            )
            self._database.executemany(
                "INSERT OR IGNORE INTO participants VALUES (?, ?)",
                [(session_id, user_id) for user_id in participants],
            )

    def _add_demo_comments(self) -> None:
        now = datetime.now(UTC)
        for minutes, session_id, user_id, content in DEMO_COMMENTS:
            self._insert(session_id, user_id, content, now - timedelta(minutes=minutes))


def _comment_resource(row: sqlite3.Row) -> Resource:
    return {
        "id": row["id"],
        "session_id": row["session_id"],
        "content": row["content"],
        "user": {"id": row["user_id"], "name": row["user_name"]},
        "created_at": row["created_at"],
        "updated_at": row["updated_at"],
    }


def _timestamp(when: datetime) -> str:
    """As Carbon writes dates to JSON: `2025-03-01T09:30:00.000000Z`."""
    return f"{when:%Y-%m-%dT%H:%M:%S.%f}Z"


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
