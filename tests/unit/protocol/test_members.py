"""Who somebody is: the rules of PROTOCOL §3.4 and §6.1, case by case."""

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


@pytest.mark.parametrize("data", ["", "x", "[]", '"x"', "5", '{"user_id":"a"', '{"id":"\\ud800"}'])
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
