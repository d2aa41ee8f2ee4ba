"""`pusher_server.migration.php`: PHP configurations as text, never executed."""

import contextlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pusher_server.errors import ConfigError
from pusher_server.migration.files import DEEPEST
from pusher_server.migration.php import Unknown, env_value, read_php
from pusher_server.migration.php_operators import COMPUTED_NAME

ENVIRONMENT = {
    "PORT": "8080",
    "ON": "(true)",
    "EMPTY": "",
    "NOTHING": "null",
    "ORIGINS": "a.example, b.example",
}


def value(expression: str, root: str | None = None) -> object:
    """What an expression is as the value of a setting."""
    tree = read_php(f"<?php\nreturn ['x' => {expression}];", "x.php", ENVIRONMENT.get, root)
    return tree["x"]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("'a\\'b\\\\c\\n'", "a'b\\c\\n"),
        ('"a\\n\\x41\\u{e9}\\"\\$x"', 'a\nAé"$x'),
        ("10_000", 10_000),
        ("0x1F", 31),
        ("010", 8),
        ("1.5", 1.5),
        ("-1", -1),
        ("null", None),
        ("TRUE", True),
        ("[1, 'two', ]", [1, "two"]),
        ("array(1, array('k' => 2))", [1, {"k": 2}]),
        ("['a', 'k' => 'v']", {"0": "a", "k": "v"}),
        ("env('PORT', 1)", "8080"),
        ("(int) env('PORT', 1)", 8080),
        ("env('ON')", True),
        ("env('EMPTY', 'default')", ""),
        ("env('NOTHING', 'default')", None),
        ("env('MISSING', 'default')", "default"),
        ("env('MISSING')", None),
        ("\\env('PORT')", "8080"),
        ("env('A', env('PORT'))", "8080"),
        ("env('SCHEME', 'https') === 'https'", True),
        ("env('PORT') == '8080' ? 'yes' : 'no'", "yes"),
        ("env('EMPTY') ?: 'short'", "short"),
        ("env('NOTHING') ?? 'coalesced'", "coalesced"),
        ("!env('ON')", False),
        ("5 * 60", 300),
        ("1 << 10", 1_024),
        ("2 ** 8", 256),
        ("10 / 2", 5),
        ("7 % 3", 1),
        ("4 | 1", 5),
        ("3 <=> 2", 1),
        ("env('PORT') == 8080", True),
        ("env('ON') == true", True),
        ("env('PORT') <> '443'", True),
        ("false or true ? 'a' : 'b'", True),
        ("env('MISSING').'/x'", "/x"),
        ("'v'.1.0", "v1"),
        ("<<<'END'\n    a 'b' $c\n      d\n    END", "a 'b' $c\n  d"),
        ('<<<"END"\na\\tb\nENDING\nEND', "a\tb\nENDING"),
        ("<<<END\r\nEND", ""),
        ("'a'.'b' . 1", "ab1"),
        ("explode(',', env('ORIGINS'))", ["a.example", " b.example"]),
        ("array_unique(['a', 'b', 'a'])", ["a", "b"]),
        ("array_merge(['a'], [], ['b'])", ["a", "b"]),
        ("rtrim('https://a.example/', '/')", "https://a.example"),
        ("array_map('trim', explode(',', env('ORIGINS', '')))", ["a.example", "b.example"]),
        ("array_filter(explode(',', env('EMPTY', '')))", []),
        ("parse_url('https://shop.example/x', PHP_URL_HOST)", "shop.example"),
        ("\\App\\Apps\\Mine::class", "App\\Apps\\Mine"),
    ],
)
def test_a_literal_and_a_pure_function_have_a_value(expression: str, expected: object) -> None:
    """Of the type that PHP gives it."""
    assert value(expression) == expected
    assert type(value(expression)) is type(expected)


@pytest.mark.parametrize(
    "expression",
    [
        "config('app.url')",
        "App::environment()",
        "$_ENV['X']",
        "$this->hosts()",
        "fn () => 5",
        "function () { return [1, 2, ']']; }",
        "new Thing(['a' => 1])",
        '"a{$b}c"',
        '"a $b"',
        "PHP_VERSION",
        "file_get_contents('/etc/passwd')",
        "system('touch /tmp/owned')",
        "storage_path('x')",
        "match (true) { default => 1 }",
        "env(config('name'))",
        "explode(',', config('x'))",
        "1 / 0",
        "1 << 900_000_000",
        "9 ** 99 ** 99",
        "10_000_000_000 * 10_000_000_000",
        "STREAM_CRYPTO_METHOD_TLSv1_2_SERVER | STREAM_CRYPTO_METHOD_TLSv1_3_SERVER",
        "config('a') instanceof Closure",
        "`hostname`",
        "require_once __DIR__.'/x.php'",
        "true and false or true",
        "[1, 2][0]",
        "(bool) config('x')",
        "config('x') ?? 5",
        "[...config('apps')][0]",
    ],
)
def test_anything_else_is_unknown_and_keeps_its_source(expression: str) -> None:
    """So that the operator can be asked for it; what stands behind it is still read."""
    tree = read_php(f"<?php\nreturn [\n'x' => {expression},\n'y' => 5];", "x.php", ENVIRONMENT.get)
    unknown = tree["x"]
    assert isinstance(unknown, Unknown)
    assert unknown.line == 3
    assert unknown.source.startswith(expression[:10])
    assert tree["y"] == 5


def test_a_long_chain_has_no_depth() -> None:
    """However many operators stand in it."""
    assert value("null ?? " * 5_000 + "1") == 1
    assert value("1 ? 2 : (" * 3 + "4" + ")" * 3) == 2


def test_a_heredoc_with_a_variable_is_unknown() -> None:
    """What stands behind it is still read."""
    tree = read_php(
        "<?php return ['x' => <<<END\na $host\nEND, 'y' => 5];", "x.php", ENVIRONMENT.get
    )
    assert isinstance(tree["x"], Unknown)
    assert tree["y"] == 5


def test_a_name_that_is_computed_is_no_setting() -> None:
    """It is named by its line, and its neighbours are read."""
    tree = read_php(
        "<?php return ['x' => 1,\nApp\\Config::KEY => 2, KEY => 3];", "x.php", ENVIRONMENT.get
    )
    assert tree == {"x": 1, f"{COMPUTED_NAME}2)": 3}


def test_paths_are_those_of_the_project() -> None:
    """Where the project's directory is known."""
    assert value("storage_path('a/b.pem')", "/srv/shop") == "/srv/shop/storage/a/b.pem"
    assert value("base_path('certs/x.pem')", "/srv/shop/") == "/srv/shop/certs/x.pem"


def test_statements_before_the_array_are_passed_over() -> None:
    """And a variable that has a value has it in the array."""
    source = """<?php
    declare(strict_types=1);
    namespace App;
    use Some\\Thing; // ; not the end
    if (true) { return 5; }
    $port = env('PORT', 1); # comment
    $computed = Thing::make(['a' => [1, 2]]);
    return ['port' => $port, 'computed' => $computed, 'list' => [...$computed]];
    ?> anything
    """
    tree = read_php(source, "x.php", ENVIRONMENT.get)
    assert tree["port"] == "8080"
    assert isinstance(tree["computed"], Unknown)
    assert isinstance(tree["list"], list)
    assert isinstance(tree["list"][0], Unknown)


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("", "has no <?php"),
        ('{"port": 1}', "has no <?php"),
        ("<?php", "returns no array"),
        ("<?php return 5;", "returns no array"),
        ("<?php return ['a', 'b'];", "returns no array"),
        ("<?php return ['a' => [1, 2", "ends too early, in line 1"),
        ("<?php return ['a' => 'b", "ends inside the text"),
        ("<?php return [ /* ", "ends inside the comment"),
        ("<?php return ['a' => f(1, [2]", "ends too early"),
        ("<?php return ['a' => (1, 2)];", "line 1 cannot be read"),
        ("<?php return ['a' => ];", "line 1 cannot be read"),
        ("<?php return ['a' => f([)];", "line 1 cannot be read"),
        ("<?php\n\nreturn ['a' => <<<EOT\nx\n", "ends inside the text that begins in line 3"),
        ("<?php return ['a' => `ls", "ends inside the text that begins in line 1"),
        ("<?php return ['a' => Foo::", "ends too early"),
        ("<?php return ['a' => $x->", "ends too early"),
        (f"<?php return ['a' => {'9' * 50}];", "line 1 has something"),
    ],
)
def test_another_text_is_one_sentence(source: str, problem: str) -> None:
    """That names the file."""
    with pytest.raises(ConfigError, match=r"^x\.php: ") as refused:
        read_php(source, "x.php", ENVIRONMENT.get)
    assert problem in str(refused.value)


@pytest.mark.parametrize(
    "nested",
    [
        "[" * 200 + "]" * 200,
        "(" * 200 + "1" + ")" * 200,
        "f(" * 9_999,
        "!" * 50_000 + "1",
        "1?" * 500,
    ],
)
def test_nesting_has_a_bound(nested: str) -> None:
    """Of ours, not of the interpreter."""
    with pytest.raises(ConfigError, match=r"nested|ends|cannot be read"):
        read_php(f"<?php return ['a' => {nested}; ];", "x.php", ENVIRONMENT.get)


def test_the_deepest_that_is_allowed_is_read() -> None:
    """The bound itself passes, one more does not."""
    fitting = DEEPEST - 1
    assert value("[" * (fitting - 1) + "]" * (fitting - 1)) is not None
    with pytest.raises(ConfigError, match="nested"):
        value("[" * (fitting + 1) + "]" * (fitting + 1))


def test_a_large_file_takes_time_in_proportion() -> None:
    """Ten times the text takes no hundred times the time.

    Values that only PHP knows once counted all lines before them: the ratio was 25.
    """

    def seconds(size: int, shape: str) -> float:
        started = time.process_time()
        with pytest.raises(ConfigError):
            read_php("<?php return [" + shape * (size // len(shape)), "x.php", ENVIRONMENT.get)
        return max(time.process_time() - started, 0.002)

    assert seconds(200_000, "f(1)->g, ") / seconds(20_000, "f(1)->g, ") < 20


@given(st.text(alphabet="<?php return[]()'\"=>,;$\\/*#.:!0aé{}-", max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    """With the one error that the command line knows."""
    with contextlib.suppress(ConfigError):
        assert isinstance(
            read_php(f"<?php return ['a' => {text}];", "x.php", ENVIRONMENT.get), dict
        )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("true", True),
        ("(FALSE)", False),
        ("empty", ""),
        ("(null)", None),
        ("'quoted'", "quoted"),
        ('"5"', "5"),
        ("-1", "-1"),
        ("0", "0"),
    ],
)
def test_variables_have_laravels_values(text: str, expected: object) -> None:
    """laravel/framework, Illuminate/Support/Env.php."""
    assert env_value(text) == expected
