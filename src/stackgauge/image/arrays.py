"""What NumPy lacks for large sorted columns."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Number = TypeVar("Number", bound=np.generic)


def sorted_unique(values: NDArray[Number]) -> NDArray[Number]:
    """The distinct values, ascending.

    ``numpy.unique`` hashes before it sorts, which for a million addresses, most of them distinct
    and nearly in order, takes several times as long.
    """
    values = np.sort(values, kind="stable")
    keep = np.ones(len(values), bool)
    keep[1:] = values[1:] != values[:-1]
    return values[keep]


def member(values: NDArray[Number], others: NDArray[Number]) -> NDArray[np.bool_]:
    """Which of the values are among the others; for the same reason not ``numpy.isin``."""
    if not len(others):
        return np.zeros(len(values), bool)
    others = np.sort(others)
    at = np.minimum(np.searchsorted(others, values), len(others) - 1)
    found: NDArray[np.bool_] = others[at] == values
    return found
