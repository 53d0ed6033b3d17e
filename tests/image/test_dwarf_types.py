"""Types are printed as C declares them, with the sizes that the compiler gives them."""

from __future__ import annotations

import pytest

from stackgauge.image.dwarf_bytes import open_dwarf
from stackgauge.image.dwarf_entries import AT_NAME, AT_TYPE
from stackgauge.image.dwarf_tree import Entry, Tree
from stackgauge.image.dwarf_types import aggregate, members, type_size, type_text
from tests.frames.explained import build
from tests.frames.programs import opened

TYPES = {
    "plain": ("int plain", "int", 4),
    "wide": ("unsigned long long wide", "long long unsigned int", 8),
    "text": ("char text[12]", "char[12]", 12),
    "table": ("short table[3][5]", "short int[3][5]", 30),
    "pointer": ("struct pair *pointer", "struct pair *", 8),
    "twice": ("void **twice", "void **", 8),
    "fixed": ("const char *const fixed = 0", "const char *const", 8),
    "volatiles": ("volatile long volatiles", "volatile long int", 8),
    "pair": ("struct pair pair", "struct pair", 16),
    "pairs": ("struct pair pairs[4]", "struct pair[4]", 64),
    "either": ("union either either", "union either", 8),
    "kind": ("enum kind kind", "enum kind", 4),
    "named": ("name_t named", "name_t", 16),
    "bare": ("struct { int a; } bare", "struct {...}", 4),
    "hook": ("int (*hook)(void *, const char *)", "int (*)(void *, const char *)", 8),
    "hooks": ("void (*hooks[3])(void)", "void (*[3])(void)", 24),
    "nested": ("void (*nested)(int (*)(long))", "void (*)(int (*)(...))", 8),
    "array": ("int (*array)[7]", "int (*)[7]", 8),
    "ahead": ("struct ahead *ahead", "struct ahead *", 8),
}
SOURCE = """\
struct pair { int one; long two; };
union either { long number; char bytes[5]; };
enum kind { FIRST, SECOND };
typedef struct pair name_t;
struct fields { int low : 3, high : 5; struct { short inner; }; struct pair pair; char rest[]; };
struct fields fields;
""" + "".join(f"{declared};\n" for declared, _, _ in TYPES.values())


@pytest.fixture(scope="module", params=["-gdwarf-5", "-gdwarf-4"])
def variables(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Entry]:
    path = build(
        tmp_path_factory.mktemp("types"), SOURCE, request.param, "-nostdlib", "-static",
        "-Wl,-e,0", linked=True,
    )  # fmt: skip
    elf = opened(path)
    tree = Tree(open_dwarf(elf, elf.contents))
    root = tree.unit(0).root
    return {
        child.text(AT_NAME): kind
        for child in root.unit.children(root)
        if child.tag == 0x34 and (kind := child.reference(AT_TYPE)) is not None
    }


@pytest.mark.parametrize("name", TYPES)
def test_text_and_size(variables: dict[str, Entry], name: str) -> None:
    _, text, size = TYPES[name]
    kind = variables[name]
    assert (type_text(kind), type_size(kind)) == (text, size)


def test_members(variables: dict[str, Entry]) -> None:
    found = [tuple(member) for member in members(variables["fields"])]
    assert found == [
        ("low", 0, 4, "int"),
        ("high", 0, 4, "int"),
        ("", 2, 2, "struct {...}"),
        ("pair", 8, 16, "struct pair"),
        ("rest", 24, None, "char[]"),
    ]


@pytest.mark.parametrize(
    ("name", "of"),
    [("pair", "pair"), ("pairs", "pair"), ("named", "pair"), ("either", "either"),
     ("plain", None), ("pointer", None), ("hooks", None)],
)  # fmt: skip
def test_the_structure_that_a_type_is_made_of(
    variables: dict[str, Entry], name: str, of: str | None
) -> None:
    structure = aggregate(variables[name])
    assert (structure and structure.text(AT_NAME)) == of


def test_nothing_is_void() -> None:
    assert type_text(None) == "void"
    assert type_size(None) is None
    assert aggregate(None) is None
