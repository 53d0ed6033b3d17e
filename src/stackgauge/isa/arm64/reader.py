"""The stack steps of A64 code: which instructions move the stack pointer or redirect the flow.

Instructions have one width, so each kind is found and read for a whole section at once. Only where
the stack pointer is moved by what stands in a register is that looked for one by one (``follow``).
"""

from __future__ import annotations

import numpy as np

from stackgauge.isa.arm64.columns import Columns
from stackgauge.isa.arm64.edges import Edges, Ends, line_begins, read_edges, read_ends
from stackgauge.isa.arm64.encoding import matches
from stackgauge.isa.arm64.follow import Follower
from stackgauge.isa.arm64.forms import candidates
from stackgauge.isa.arm64.moves import Moves, read_moves, relayed
from stackgauge.isa.arm64.probes import Probes, find_probes
from stackgauge.isa.arm64.slots import Slots, add_frame_copies
from stackgauge.isa.arm64.trace import Tracer
from stackgauge.isa.arm64.writes import SP_BIT, written_registers
from stackgauge.isa.model import NO_AMOUNT, Code, Effect, Ranges, Steps
from stackgauge.isa.words import Indices, Text, text_of

# At most so many instructions of a section are followed one by one, which bounds the time that a
# made-up file can take. A kernel has some hundreds of them.
MOST_FOLLOWED = 20_000


def read_arm64(code: Code, ranges: Ranges) -> Steps:
    """The stack steps of A64 code.

    Args:
        code: one section.
        ranges: the stretches of it to read; what is not whole words in the section is left out.
    """
    text = text_of(code, ranges)
    leading, moving = candidates(text.words, text.inside())
    words = text.words[leading].astype(np.uint32)
    edges, ends = read_edges(leading, words), read_ends(leading, words)
    moves = read_moves(moving, text.words[moving].astype(np.uint32))
    probes = find_probes(text, moves.added, edges, MOST_FOLLOWED)
    edges = edges.take(~probes.edges)
    out = Columns()
    for amounts, effect in (
        (moves.added.take(~probes.moves), Effect.ADD),
        (moves.dynamic, Effect.DYNAMIC),
    ):
        out.add(amounts.at, effect=effect, value=amounts.value)
    out.add(moves.lost, effect=Effect.LOST)
    _add_followed(text, moves, probes, edges, ends, out)
    # The flow last: of an instruction with several steps, the last one says where it leads.
    out.add(ends.at, flow=ends.flow)
    out.add(edges.at, flow=edges.flow, target=text.addresses(edges.target))
    return out.steps(text)


def _add_followed(
    text: Text, moves: Moves, probes: Probes, edges: Edges, ends: Ends, out: Columns
) -> None:
    """Add the moves by registers and from them, and the copies in registers."""
    sites = moves.sites[:MOST_FOLLOWED]
    _add_unfollowed(text, moves.sites[MOST_FOLLOWED:], out)
    followed = np.append(sites, np.array([loop.at for loop in probes.loops], np.intp))
    near = np.unique(text.stretch(followed))
    if not len(near):
        add_frame_copies(moves.copies, out)
        return
    written = np.zeros(len(text.words), np.uint32)
    at = text.words_of(near)
    written[at] = written_registers(text.words[at])
    for moved in (moves.added.at, moves.lost, moves.sites):
        written[moved] |= np.uint32(SP_BIT)
    begins = line_begins(text, edges, ends)
    follower = Follower(Tracer(text.words, written, begins))
    # Loops over a few instructions, at most MOST_FOLLOWED of each.
    for loop in probes.loops:
        follower.probe(loop)
    for site in sites.tolist():
        follower.site(site)
    slots = Slots(text, near, follower.rows)
    slots.add_rows(out)
    slots.add_copies(relayed(text, moves.copies, begins), written, out)


def _add_unfollowed(text: Text, sites: Indices, out: Columns) -> None:
    """What is not followed is lost, but a subtraction of a register from SP is any amount."""
    takes = matches(text.words[sites], 0xFFE003FF, 0xCB2003FF)
    out.add(sites[takes], effect=Effect.DYNAMIC, value=NO_AMOUNT)
    out.add(sites[~takes], effect=Effect.LOST)
