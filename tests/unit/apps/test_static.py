"""Apps from the file, and what a second reading of it changes."""

from msgspec import structs

from pusher_server.app import App, AppKey
from pusher_server.apps.static import StaticApps

ONE = App(id="1", keys=(AppKey(key="k1", secret="s"),))
TWO = App(id="2", keys=(AppKey(key="k2", secret="s"),))


async def test_replacing_tells_what_came_went_and_changed() -> None:
    apps = StaticApps([ONE, TWO])
    changed_one = structs.replace(ONE, name="x", keys=(AppKey(key="k3", secret="s"),))
    three = App(id="3", keys=(AppKey(key="k4", secret="s"),))
    assert apps.replace([changed_one, three]) == {"1": changed_one, "2": None, "3": three}
    assert await apps.by_key("k1") is None
    assert await apps.by_key("k3") == await apps.by_id("1") == changed_one
    assert await apps.by_id("2") is None
    assert await apps.by_key("k4") == three


def test_reading_the_same_again_changes_nothing() -> None:
    apps = StaticApps([ONE, TWO])
    assert apps.replace([structs.replace(TWO), structs.replace(ONE)]) == {}


def test_a_secret_is_recognised_while_an_app_has_it() -> None:
    apps = StaticApps([ONE])
    assert apps.is_secret("s")
    assert not apps.is_secret("k1")
    apps.replace([structs.replace(ONE, keys=(AppKey(key="k1", secret="other"),))])
    assert apps.is_secret("other")
    assert not apps.is_secret("s")
