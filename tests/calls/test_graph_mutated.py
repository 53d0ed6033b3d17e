"""Call graphs of broken objects: a result or one of our errors."""

from __future__ import annotations

import contextlib
import tempfile
import warnings
from functools import cache
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stackgauge.calls.graph import read_graph
from stackgauge.calls.paravirt import paravirt_calls
from stackgauge.calls.static_calls import static_calls
from stackgauge.calls.tracepoints import tracepoint_calls
from stackgauge.errors import StackgaugeError
from stackgauge.image.opening import open_images
from tests.calls import test_exact_paravirt, test_exact_static_calls, test_exact_tracepoints
from tests.calls.programs import compiled
from tests.mutating import change

SOURCES = {
    "paravirt.c": test_exact_paravirt.KERNEL + test_exact_paravirt.XEN,
    "static.c": test_exact_static_calls.KERNEL,
    "module.c": test_exact_static_calls.MODULE,
    "points.c": test_exact_tracepoints.KERNEL,
}
OPTIONS = ["-O2", "-mcmodel=kernel", "-mgeneral-regs-only"]


@cache
def objects() -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as name:
        folder = compiled(Path(name), "gcc", OPTIONS, SOURCES)
        return {path.name: path.read_bytes() for path in sorted(folder.glob("*.o"))}


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_any_bytes_changed(tmp_path: Path, data: st.DataObject) -> None:
    for name, contents in objects().items():
        raw = bytearray(contents)
        for _ in range(data.draw(st.integers(0, 3))):
            change(data, raw, 0, len(raw))
        (tmp_path / name).write_bytes(raw)
    with warnings.catch_warnings(), contextlib.suppress(StackgaugeError):
        warnings.simplefilter("error")
        graph = read_graph(image for name in objects() for image in open_images(tmp_path / name))
        for layer in (static_calls, paravirt_calls, tracepoint_calls):
            graph = graph.with_layer(layer(graph))
        edges = graph.edges
        assert ((edges.callee >= 0) & (edges.callee < len(graph))).all()
        assert ((edges.site >= 0) & (edges.site < len(graph.sites))).all()
        # What is closed as a direct site has its edge.
        direct = np.flatnonzero(graph.closed & (graph.sites.target != 0))
        assert np.isin(direct, edges.site).all()
