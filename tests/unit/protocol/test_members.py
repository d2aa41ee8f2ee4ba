"""Member data and user data, case by case.

See docs/protocol/presence.md#channel-data and docs/protocol/users.md#sign-in.
"""

import json

import pytest

from pusher_server.app import Member
from pusher_server.protocol.members import InvalidIdentity, User, decode_member, decode_user

NO_ID = 'The returned user data must contain the "id" field.'
NO_OBJECT = "The returned user data is not a JSON object."


@pytest.mark.parametrize(
    ("raw", "user_id"),
    [
        ('"u-1"', "u-1"),
        ('"10"', "10"),
        ("10", "10"),
        ("-3", "-3"),
        ("0", "0"),
        ("9007199254740993", "9007199254740993"),
        ("12345678901234567890123", "12345678901234567890123"),
        ('"\\u00e9"', "é"),
        ('"1.5"', "1.5"),
    ],
)
def test_an_id_is_a_text_or_an_integer_and_then_a_text(raw: str, user_id: str) -> None:
    assert decode_member(f'{{"user_id":{raw}}}') == Member(user_id)
    assert decode_user(f'{{"id":{raw}}}').id == user_id


@pytest.mark.parametrize("raw", ['""', "null", "true", "{}", "[]", "1.0", "1e3", "10.5"])
def test_anything_else_is_no_id(raw: str) -> None:
    with pytest.raises(InvalidIdentity, match="user_id must be"):
        decode_member(f'{{"user_id":{raw}}}')
    with pytest.raises(InvalidIdentity) as caught:
        decode_user(f'{{"id":{raw}}}')
    assert caught.value.message == NO_ID


def test_an_id_must_be_there() -> None:
    with pytest.raises(InvalidIdentity):
        decode_member("{}")
    with pytest.raises(InvalidIdentity) as caught:
        decode_user("{}")
    assert caught.value.message == NO_ID


@pytest.mark.parametrize("data", ["", "x", "[]", '"x"', "5", '{"user_id":"a"', '{"id":"\\ud80"}'])
def test_what_is_no_object_names_nobody(data: str) -> None:
    with pytest.raises(InvalidIdentity, match="channel_data is not a JSON object"):
        decode_member(data)
    with pytest.raises(InvalidIdentity) as caught:
        decode_user(data)
    assert caught.value.message == NO_OBJECT


@pytest.mark.parametrize("info", ["null", "true", "0", "[]", "{}", '"s"', '{ "a" : 1.50 }'])
def test_info_is_kept_as_the_json_it_was(info: str) -> None:
    assert decode_member(f'{{"user_id":"1","user_info":{info}}}') == Member("1", info.encode())
    user = decode_user(f'{{"id":"1","user_info":{info}}}')
    assert user.as_member() == Member("1", info.encode())


@pytest.mark.parametrize(
    ("info", "kept"),
    [
        (r'"cut \ud83d"', rb'"cut \ufffd"'),
        ('"cut \ud83d"', rb'"cut \ufffd"'),
        (
            r'{ "\uDE00" : [1.50, "\ud83d\ude00", "é"] }',
            '{ "\\ufffd" : [1.50, "\\ud83d\\ude00", "é"] }'.encode(),
        ),
    ],
)
def test_info_joins_the_json_of_others_so_a_lone_surrogate_is_replaced(
    info: str, kept: bytes
) -> None:
    """Written as an escape by whoever signed, or raw in the text of the frame."""
    assert decode_member(f'{{"user_id":"1","user_info":{info}}}') == Member("1", kept)
    data = f'{{"id":"1","user_info":{info}}}'
    assert decode_user(data) == User("1", data, kept)


def test_a_signed_text_with_a_lone_surrogate_is_confirmed_unchanged() -> None:
    data = '{"id":"1","x":"\\ud83d","y":"\ud83d"}'
    assert decode_user(data) == User("1", data)
    assert decode_user(r'{"id":1,"x":"\ud83d"}').data == r'{"id":"1","x":"\ud83d"}'


@pytest.mark.parametrize("written", ["a\\ud83d", "a\ud83d"])
def test_an_id_with_a_lone_surrogate_is_refused_by_name(written: str) -> None:
    with pytest.raises(InvalidIdentity) as caught:
        decode_member(f'{{"user_id":"{written}"}}')
    assert caught.value.message == r"user_id has a lone surrogate: 'a\ud83d'"
    with pytest.raises(InvalidIdentity) as caught:
        decode_user(f'{{"id":"{written}"}}')
    assert caught.value.message == r"The returned user data: id has a lone surrogate: 'a\ud83d'"


def test_a_watched_id_with_a_lone_surrogate_is_nobodys() -> None:
    user = decode_user(r'{"id":"1","watchlist":["a","b\ud83d","c",1e999]}')
    assert (user.watchlist, user.unwatchable) == (("a", "c"), ("b\ud83d",))


@pytest.mark.parametrize("depth", [513, 8_000, 100_000])
def test_data_that_is_nested_too_deeply_is_refused(depth: int) -> None:
    """By a bound of ours, so that it does not depend on the interpreter."""
    info = "[" * depth + "]" * depth
    with pytest.raises(InvalidIdentity, match="channel_data: The JSON is nested more than 512"):
        decode_member(f'{{"user_id":"a","user_info":{info}}}')
    with pytest.raises(InvalidIdentity, match="user data: The JSON is nested more than 512"):
        decode_user(f'{{"id":"a","user_info":{info}}}')


def test_data_that_is_nested_as_deeply_as_may_be() -> None:
    info = "[" * 511 + "]" * 511
    assert decode_member(f'{{"user_id":"a","user_info":{info}}}').info == info.encode()


def test_info_may_be_absent() -> None:
    assert decode_member('{"user_id":"1"}').info is None
    assert decode_user('{"id":"1"}').as_member() == Member("1", None)


def test_the_signed_text_is_confirmed_unchanged() -> None:
    data = '{ "id":"1" , "x":1.50}'
    assert decode_user(data) == User("1", data)


def test_an_id_that_was_a_number_is_confirmed_as_a_text() -> None:
    user = decode_user('{"id":5,"user_info":{"a":0.10},"x":[12345678901234567890123]}')
    assert user.data == '{"id":"5","user_info":{"a":0.10},"x":[12345678901234567890123]}'
    assert user.info == b'{"a":0.10}'


def test_numbers_beyond_all_reason_next_to_a_number_id_are_refused() -> None:
    """Nothing else than InvalidIdentity may come out: it is what sign-in answers."""
    with pytest.raises(InvalidIdentity):
        decode_user('{"id":5,"user_info":1e99999999999999999999}')


@pytest.mark.parametrize(
    ("watchlist", "ids"),
    [
        ('["a","b"]', ("a", "b")),
        ('["b","a","b"]', ("b", "a")),
        ("[1,2]", ("1", "2")),
        ('["a",null,"",1.5,{},true,"c"]', ("a", "c")),
        ("[]", ()),
        ("null", ()),
        ('"abc"', ()),
        ('{"a":1}', ()),
    ],
)
def test_the_watchlist_is_what_can_be_read_of_it(watchlist: str, ids: tuple[str, ...]) -> None:
    user = decode_user(f'{{"id":"1","watchlist":{watchlist}}}')
    assert user.watchlist == ids
    assert json.loads(user.data)["watchlist"] == json.loads(watchlist)


def test_a_watchlist_with_a_number_that_is_no_number_of_ours() -> None:
    """msgspec refuses integers of thousands of digits; the sign-in is refused, nothing breaks."""
    with pytest.raises(InvalidIdentity):
        decode_user('{"id":"1","watchlist":[' + "9" * 5_000 + "]}")
