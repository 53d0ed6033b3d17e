"""What is known of an image's pointers to functions, for the layers that make edges of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stackgauge.calls.indirect.members import Members
from stackgauge.calls.indirect.origins import Origins

Indices = NDArray[np.intp]
Numbers = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Study:
    """What is known of the pointers to functions of one image; columns by function or by site.

    Attributes:
        site: rows of the graph's sites that were looked at, intp.
        found: where what each calls comes from, ``asked`` being an index into ``site``.
        place: by pair of ``found``, the field or argument; NO_FIELD where none is known.
        shape: by pair, a number for the prototype that is called; 0 where not known.
        coarse: the same of its arguments alone, as far as debug information tells of them.
        constant: by pair, the function that the code names; NO_FUNCTION where it names none.
        null: by pair, whether it is a number that is no address, which is never called.
        open: by pair, whether the place gets something that could not be followed.
        members: what each place can hold.
        loose: functions whose address is taken in a way that could not be followed.
        taken: functions whose address is taken.
        function_shape: by function of all images, a number for its prototype; 0 where not known.
        function_coarse: by function of all images whose prototype is not known, a number for its
            arguments; 0 where these are not known either.
    """

    site: Indices
    found: Origins
    place: Numbers
    shape: Numbers
    coarse: Numbers
    constant: Indices
    null: Mask
    open: Mask
    members: Members
    loose: Indices
    taken: Indices
    function_shape: Numbers
    function_coarse: Numbers
