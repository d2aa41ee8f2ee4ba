"""The translation of errors to answers."""

from pusher_server.errors import AppsUnavailable, ClusterUnavailable
from pusher_server.http_api.errors import answer_to


def test_an_answer_names_what_is_away() -> None:
    """With apps from a database and one node there is no cluster to look at."""
    apps = answer_to(AppsUnavailable("the database of the apps cannot be asked: refused"))
    cluster = answer_to(ClusterUnavailable("Redis at 10.0.0.5 is away"))
    assert apps is not None
    assert cluster is not None
    assert (apps.status, cluster.status) == (503, 503)
    assert dict(apps.headers) == dict(cluster.headers) == {b"retry-after": b"1"}
    assert "database" in apps.message
    assert "cluster" not in apps.message
    assert "cluster" in cluster.message
    assert "refused" not in apps.message, "addresses and reasons are for operators"
