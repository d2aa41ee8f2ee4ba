"""Words of the code that a program can check: names that say what a value is, and sentences that can be read.

CONTRIBUTING.md has the rules, under "Words".
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
MODULES = sorted((TOP / "pusher_server").rglob("*.py"))

#: Names that do not say what they hold.
EMPTY_NAMES = {"each", "found", "told", "asked", "said", "heard", "stuff", "thing", "things"}
#: Words of a sentence, at most.
LONGEST = 24
#: A sentence that begins so makes the reader wait for its subject.
LATE_SUBJECTS = re.compile(r"(Who|Whoever|Whom|Whose|What|Whatever)\b")
#: Where a sentence ends: not behind the dot of `a.b` or of "e.g.".
END = re.compile(r"(?<=[.!?:;])\s+(?=[A-Z`\"(])")


def names(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Names of variables, arguments and attributes, where they are bound."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.attr
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg


def docstrings(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Each with the line of what it belongs to."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(tree):
        if isinstance(node, kinds) and (text := ast.get_docstring(node)):
            yield getattr(node, "lineno", 1), text


def comments(text: str) -> Iterator[tuple[int, str]]:
    """Blocks of comments; those that tools read are left out."""
    block: list[str] = []
    first = last = 0
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type != tokenize.COMMENT:
            continue
        line = token.string.lstrip("#: ")
        if re.match(r"(type: ignore|noqa|fmt:|ruff:|pragma)", line):
            continue
        if block and token.start[0] == last + 1:
            block.append(line)
        else:
            if block:
                yield first, "\n".join(block)
            block, first = [line], token.start[0]
        last = token.start[0]
    if block:
        yield first, "\n".join(block)


def sentences(text: str) -> Iterator[str]:
    """Of prose; lines that are indented are examples or code."""
    for paragraph in re.split(r"\n\s*\n|\n(?=[-*] )", text):
        lines = [line for line in paragraph.splitlines() if not line.startswith("    ")]
        yield from filter(None, END.split(" ".join(line.strip() for line in lines)))


def faults(text: str) -> Iterator[str]:
    """What is wrong in a module, a line each."""
    tree = ast.parse(text)
    for line, name in names(tree):
        if name.strip("_") in EMPTY_NAMES:
            yield f"{line}: the name `{name}` does not say what it holds"
    for line, prose in [*docstrings(tree), *comments(text)]:
        for sentence in sentences(prose):
            if LATE_SUBJECTS.match(sentence):
                yield f"{line}: the subject comes late: {sentence}"
            if len(sentence.split()) > LONGEST:
                yield f"{line}: {len(sentence.split())} words: {sentence}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(TOP)))
def test_the_words_of_a_module_are_plain(path: Path) -> None:
    assert list(faults(path.read_text())) == []


def test_what_is_not_plain_is_found() -> None:
    wrong = '''
"""What somebody made."""
for each in (): pass
# {long}
def f(told): "Fine."
'''.replace("{long}", "word " * 25)
    assert [fault.split(":")[1].strip()[:9] for fault in faults(wrong)] == [
        "the name ",
        "the name ",
        "the subje",
        "25 words",
    ]
