"""The call graph's columns: the places that call, and which function calls which, and why."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

Addresses = NDArray[np.uint64]
Indices = NDArray[np.intp]


class Kind(IntEnum):
    """How control leaves at a site."""

    CALL = 0
    """A call: what is called runs below the site's depth."""
    TAIL = 1
    """A jump to another function: what it leads to runs in place of this one."""
    INDIRECT_CALL = 2
    """A call to an address in a register or in memory."""
    INDIRECT_TAIL = 3
    """The same for a jump, one that is no jump table of the function's own."""


class Reason(IntEnum):
    """Why an edge is there; a later one rests on more assumptions than an earlier one."""

    DIRECT = 0
    """The code names its target in a call."""
    TAIL = 1
    """The code names its target in a jump."""
    EXACT = 2
    """The kernel's own tables say all that a site can call: static calls, paravirt slots."""
    TABLE = 3
    """Functions that static data stores in the same field of the same type of structure."""
    TYPE = 4
    """Functions of the prototype that is called whose address is taken."""
    ANNOTATED = 5
    """A file of annotations says so."""
    OBSERVED = 6
    """A trace showed it: it happens, but others may happen too."""


@dataclass(frozen=True, eq=False)
class Sites:
    """Instructions that call or jump into other functions; by ascending address, of one length.

    Attributes:
        address, end: of the instruction; ``end`` is what a call saves as the return address.
        function: row of the function that it is part of (a cold piece's parent), intp.
        least, most: the depth there before the instruction runs: bytes from the caller's stack
            pointer before its call to the stack pointer here, so that a frame and the depth of a
            site count from the same place; UNKNOWN and NO_LIMIT as in the common table; int32.
        kind: Kind, uint8.
        target: where a direct one leads; 0 of an indirect one.
    """

    address: Addresses
    end: Addresses
    function: Indices
    least: NDArray[np.int32]
    most: NDArray[np.int32]
    kind: NDArray[np.uint8]
    target: Addresses

    def __len__(self) -> int:
        """How many sites there are."""
        return len(self.address)


@dataclass(frozen=True, eq=False)
class Edges:
    """Which function may be called from which site; columns of one length.

    Attributes:
        site: row in ``Sites``.
        callee: row of the function that is called.
        reason: Reason, uint8.
    """

    site: Indices
    callee: Indices
    reason: NDArray[np.uint8]

    def __len__(self) -> int:
        """How many edges there are."""
        return len(self.site)
