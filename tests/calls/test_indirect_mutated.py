"""Broken images give an error of ours or fewer edges, and nothing else: no traceback, no hang."""

from __future__ import annotations

import signal
import warnings
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackgauge.calls.indirect.layers import study
from stackgauge.calls.indirect.resolve import holds_nothing, table_layer, type_layer
from stackgauge.errors import StackgaugeError
from stackgauge.image.elf import parse_elf
from stackgauge.image.source import map_file
from tests.calls.programs import graph_of
from tests.calls.test_indirect import built
from tests.mutating import SECONDS, bounded, change, several

__all__ = ["bounded"]

SECTIONS = (
    ".BTF", ".text", ".rodata", ".data", ".symtab", ".debug_info", ".debug_abbrev",
    ".debug_loclists", ".debug_aranges", ".eh_frame",
)  # fmt: skip


@pytest.fixture(scope="module", params=["x86_64", "aarch64"])
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("program")
    built(folder, "-g", "-gbtf", machine=request.param)
    return folder / "pointers"


def late(*_: object) -> None:
    raise TimeoutError


def ask(path: Path) -> None:
    signal.signal(signal.SIGVTALRM, late)
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            graph = graph_of(path)
            known = study(graph)
            if known is None:
                return
            table = table_layer(graph, known)
            second = graph.with_layer(table)
            types = type_layer(second, known)
            whole = second.with_layer(types)
            holds_nothing(whole, known)
    except StackgaugeError:
        return
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    for layer in (table, types):
        assert (layer.edges.callee < len(graph)).all()
        # Whoever closes a site says what it calls.
        assert set(layer.closed.nonzero()[0].tolist()) <= set(layer.edges.site.tolist())


@pytest.mark.usefixtures("bounded")
@several
@given(data=st.data())
def test_mutated_sections(program: Path, tmp_path: Path, data: st.DataObject) -> None:
    elf = parse_elf(map_file(program), program)
    raw = bytearray(program.read_bytes())
    there = [name for name in SECTIONS if elf.section(name) is not None]
    for name in data.draw(st.lists(st.sampled_from(there), min_size=1, max_size=4)):
        section = elf.section(name)
        assert section is not None
        change(data, raw, section.offset, section.offset + section.size)
    broken = tmp_path / "broken"
    broken.write_bytes(raw)
    ask(broken)
