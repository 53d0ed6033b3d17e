"""Files of annotations: what they say, and the line of what is wrong in them."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackgauge.calls.annotations import (
    IGNORED_SETS,
    Rule,
    Statement,
    ignored,
    read_annotations,
    shipped,
)
from stackgauge.errors import InputError, UsageError


def _read(folder: Path, text: str) -> list[Rule]:
    path = folder / "notes.toml"
    path.write_text(text, "utf-8")
    return read_annotations(path)


def test_every_statement(tmp_path: Path) -> None:
    rules = _read(
        tmp_path,
        """
# what the image hides
[[call]]
edge = "vfs_read -> ext4_*"
why = "fs/read_write.c:470"

[[call]]
edge="a->b"

[[never]]
edge = "a -> *"

[[recursion]]
function = "f"
times = 3
""",
    )
    where = f"{tmp_path}/notes.toml, line "
    assert rules == [
        Rule(Statement.CALL, "vfs_read", "ext4_*", 0, "fs/read_write.c:470", where + "3", True),
        Rule(Statement.CALL, "a", "b", 0, "", where + "7", True),
        Rule(Statement.NEVER, "a", "*", 0, "", where + "10", True),
        Rule(Statement.RECURSION, "", "f", 3, "", where + "13", True),
    ]


def test_other_ways_to_write_it(tmp_path: Path) -> None:
    rules = _read(tmp_path, 'never = [{edge = "a -> b"}, {edge = "c -> d"}]')
    assert [(one.caller, one.callee) for one in rules] == [("a", "b"), ("c", "d")]
    assert rules[1].where == f"{tmp_path}/notes.toml, [[never]] number 2"
    assert _read(tmp_path, "") == []


GOOD = '[[never]]\nedge = "a -> b"\n\n'


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("[[never]\n", 1, "Expected ']]' at the end of an array declaration"),
        (GOOD + 'edge = "x"\nedge = "y"\n', 4, "Cannot overwrite a value"),
        (
            GOOD + "[[calls]]\n",
            4,
            "'calls' is no statement; there is call, never, recursion, ignore",
        ),
        ("x = 1\n" + GOOD, 1, "'x' is no statement; there is call, never, recursion, ignore"),
        (GOOD + "[recursion]\n", 4, "a statement begins with [[recursion]]"),
        ("never = 1\n", 1, "a statement begins with [[never]]"),
        (GOOD + "[[never]]\n", 4, "[[never]] has no 'edge'"),
        (GOOD + '[[never]]\n\n edge = "a b"\n', 6, "'a b' is not of the form 'caller -> callee'"),
        (GOOD + "[[never]]\nedge = 1\n", 5, "'edge' is not a text in quotes"),
        (
            GOOD + '[[call]]\nedge = "a -> b"\nwho = "me"\n',
            6,
            "'who' is no key of [[call]], which has edge, why",
        ),
        ('[[recursion]]\nfunction = "f"\n', 1, "[[recursion]] has no 'times'"),
        (
            '[[recursion]]\nfunction = "f"\ntimes = 0\n',
            3,
            "0 is not a number of times from 1 to 1000000",
        ),
        ('[[recursion]]\nfunction = "f"\ntimes = true\n', 3, "'times' is not a whole number"),
        ('[[recursion]]\ntimes = 1\nfunction = ""\n', 3, "'' is not the name of a function"),
        (
            '[[call]]\nwhy = ""\nedge = "a -> (*)"\n',
            3,
            "(*) can only be what is never called",
        ),
        (
            '[[never]]\nedge = "(*) -> a"\n',
            2,
            "(*) can only be what is never called",
        ),
        ('[[ignore]]\nfunction = "a b"\n', 2, "'a b' is not the name of a function"),
        ("# \xe4\n[[never]]\nedge = '\\x'\n", 3, "'\\\\x' is not of the form 'caller -> callee'"),
    ],
)
def test_mistakes_name_their_line(tmp_path: Path, text: str, line: int, message: str) -> None:
    with pytest.raises(InputError) as caught:
        _read(tmp_path, text)
    assert str(caught.value) == f"{tmp_path}/notes.toml, line {line}: {message}"


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "notes.toml"
    with pytest.raises(InputError, match=r"notes\.toml: cannot be read: No such file"):
        read_annotations(path)
    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        read_annotations(tmp_path)
    path.write_bytes(b"# fine\n# \xff\n")
    with pytest.raises(InputError, match=r"notes\.toml, line 2: is not UTF-8"):
        read_annotations(path)
    path.write_bytes(b"#" * (1 << 20))
    with pytest.raises(InputError, match="has more than 262144 bytes"):
        read_annotations(path)
    path.write_bytes(b"a = " + b"[" * 100_000)
    with pytest.raises(InputError, match=r"is nested too deeply|line 1"):
        read_annotations(path)


@given(
    st.text(
        st.sampled_from('[]"=\n\t #never.callfunction->*\\{},1e') | st.characters(), max_size=60
    )
)
def test_any_text_is_read_or_refused(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "any.toml")
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        refused = None
        try:
            read_annotations(path)
        except InputError as error:
            refused = str(error)
    assert refused is None or refused.startswith(str(path))
    assert refused is None or refused.isprintable()


def test_what_is_shipped_has_reasons() -> None:
    recursion, calls = shipped("recursion"), shipped("calls")
    assert {rule.statement for rule in recursion} == {Statement.RECURSION}
    assert {rule.statement for rule in calls} <= {Statement.CALL, Statement.NEVER}
    for rule in recursion + calls:
        # A file of the kernel's source, a line, and what stands there.
        path, line, said = rule.why.split(":", 2)
        assert path.endswith((".c", ".h", ".S"))
        assert line.isdigit()
        assert said.strip()
        assert not rule.strict
    for name in IGNORED_SETS:
        rules = ignored(name)
        assert {rule.statement for rule in rules} == {Statement.IGNORE}
        names = [rule.callee for rule in rules]
        assert len(names) == len(set(names))
    with pytest.raises(UsageError, match="no set is called 'x'; there is diagnostics"):
        ignored("x")
