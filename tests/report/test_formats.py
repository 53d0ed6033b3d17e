"""CSV and JSON that any reader gets back as it was."""

from __future__ import annotations

import csv
import io
import json

from hypothesis import given
from hypothesis import strategies as st

from stackgauge.report.formats import write_csv, write_json

# What csv.reader reads: not NUL before Python 3.11, and not lone surrogates from a file.
texts = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0\r"))


def test_csv() -> None:
    out = io.StringIO()
    write_csv(out, ("a", "b"), [(1, None), ("x,y", 'say "z"'), ("", "0x10")])
    assert out.getvalue() == 'a,b\n1,\n"x,y","say ""z"""\n,0x10\n'


@given(st.lists(st.tuples(texts, texts), max_size=5))
def test_csv_keeps_every_name(rows: list[tuple[str, str]]) -> None:
    out = io.StringIO()
    write_csv(out, ("a", "b"), rows)
    read = list(csv.reader(io.StringIO(out.getvalue(), newline="")))
    assert read == [["a", "b"], *map(list, rows)]


@given(st.dictionaries(st.text().filter(lambda key: key != "schema"), st.text()))
def test_json_keeps_every_name(facts: dict[str, str]) -> None:
    out = io.StringIO()
    write_json(out, "stackgauge.test/1", facts)
    # Whatever a terminal or a file is encoded in.
    assert out.getvalue().isascii()
    assert out.getvalue().count("\n") == 1
    assert json.loads(out.getvalue()) == {"schema": "stackgauge.test/1", **facts}
    assert next(iter(json.loads(out.getvalue()))) == "schema"
