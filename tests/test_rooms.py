"""How the house is kept: rooms and their entries, plain words, tests that use public names."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

# Words that hide the noun (STYLE: plain prose). These numbers may only fall.
VAGUE_WORDS_IN_KERNEL = 3
VAGUE_WORDS_IN_DOCS = 3
VAGUE = re.compile(
    r"\b(?:who|what)ever\b|\b(?:no|some)body\b|\bso\s+many\b|\bcame\s+(?:to|of)\b", re.IGNORECASE
)

# Where tests read what is private, and how often. These numbers may only fall, too.
# These two break the code on purpose, at the places that only it knows.
PRIVATE_USES = {
    "tests/chaos/breaks.py": 14,
    "tests/chaos/mends.py": 1,
    "tests/chaos/ungated.py": 7,
}

MAX_ENTRIES = 14
AT_THE_ROOT = {"__init__.py", "builtin.py", "errors.py", "py.typed"}

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "kernel"
ROOMS = sorted(path.parent for path in PACKAGE.rglob("__init__.py"))


def entries(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != "__pycache__")


@pytest.mark.parametrize("room", ROOMS[1:], ids=lambda room: room.relative_to(PACKAGE).as_posix())
def test_room_has_few_entries_and_a_sentence(room: Path) -> None:
    assert len(entries(room)) <= MAX_ENTRIES, entries(room)
    said = ast.get_docstring(ast.parse((room / "__init__.py").read_text())) or ""
    first = said.split("\n\n")[0]
    assert first.endswith((".", ":")), first
    assert len(first.split()) >= 3, "too short for a sentence"


def test_root_holds_rooms_and_what_users_import() -> None:
    assert {name for name in entries(PACKAGE) if not (PACKAGE / name).is_dir()} == AT_THE_ROOT
    loose = [path for path in PACKAGE.iterdir() if path.is_dir() and path not in ROOMS]
    assert [path.name for path in loose if path.name != "__pycache__"] == []


def vague(folder: str, suffix: str) -> Counter[str]:
    """How often each vague word stands in these files; case and line breaks do not matter."""
    texts = [path.read_text() for path in (ROOT / folder).rglob(f"*{suffix}")]
    return Counter(" ".join(w.lower().split()) for text in texts for w in VAGUE.findall(text))


def test_vague_words_do_not_become_more() -> None:
    in_kernel, in_docs = vague("kernel", ".py"), vague("docs", ".md")
    assert in_kernel.total() <= VAGUE_WORDS_IN_KERNEL, in_kernel
    assert in_docs.total() <= VAGUE_WORDS_IN_DOCS, in_docs


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def is_own(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id in ("self", "cls", "os")


def private_names(tree: ast.AST) -> Iterator[str]:
    """What is read from others although it is private, by a dot, an import or a setattr."""
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value, attr) if is_private(attr) and not is_own(value):
                yield ast.unparse(node)
            case ast.ImportFrom():
                yield from (one.name for one in node.names if is_private(one.name))
            case ast.Call(_, [object_, ast.Constant(str(attr)), *_]):
                if is_private(attr) and not is_own(object_):
                    yield ast.unparse(node)


def test_private_names_are_found_in_each_way_of_reading_them() -> None:
    code = "from a import _b\na._c\nself._d\nsetattr(a, '_e', 1)\nsetattr(self, '_f', 1)\na.__g__"
    assert sorted(private_names(ast.parse(code))) == ["_b", "a._c", "setattr(a, '_e', 1)"]


def test_tests_use_public_names_only() -> None:
    found = {
        path.relative_to(ROOT).as_posix(): list(private_names(ast.parse(path.read_text())))
        for path in (ROOT / "tests").rglob("*.py")
    }
    more = {name: used for name, used in found.items() if len(used) > PRIVATE_USES.get(name, 0)}
    assert more == {}
    done = {name for name in PRIVATE_USES if not found.get(name)}
    assert done == set(), "take them off the list"
