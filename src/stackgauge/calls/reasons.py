"""What a depth's status rests on, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from stackgauge.calls.annotations import Rule
from stackgauge.calls.chains import circle
from stackgauge.calls.depths import Depths, Why

# What is said of one function that a depth rests on.
_OF_A_FUNCTION = {
    Why.UNRESOLVED: "unresolved call through a pointer in {}",
    Why.OUTSIDE: "{} calls what is not in these images",
    Why.UNKNOWN_FRAME: "unknown frame of {}",
    Why.NO_LIMIT: "dynamic stack without a limit in {}",
}

# What an assumption is called.
_ASSUMPTIONS = {
    Why.TABLE: "calls by table",
    Why.TYPE: "calls by type",
    Why.ANNOTATED: "annotations",
}

# The bits of Why and their numbers, the weightiest first.
_BITS = tuple(enumerate(Why))[::-1]


class Reasons:
    """The reasons of depths; each circle is looked for once."""

    def __init__(
        self,
        depths: Depths,
        names: Sequence[str],
        bounds: Mapping[int, Rule],
        ignored: Sequence[str],
        whole: Depths | None = None,
    ) -> None:
        """Take what reasons are made of.

        Args:
            depths: the depths.
            whole: of all chains, where ``depths`` are of some of them alone.
            names: of all functions, as they are to be shown.
            bounds: for each function whose times are known the rule that says them.
            ignored: the names of the sets that were left out.
        """
        self._depths, self._names, self._bounds, self._ignored = depths, names, bounds, ignored
        self._whole = whole or depths
        self._circles: dict[int, str] = {}
        self._rounds: dict[int, str] = {}

    def of(self, function: int, why: int) -> list[str]:
        """The reasons of a function's depth, of which what weighs most comes first.

        Where several functions below have the same reason the first of them is named, and where
        none has, the function itself.
        """
        own: list[int] = self._depths.witness[function].tolist()
        whole: list[int] = self._whole.witness[function].tolist()
        result = []
        for place, bit in _BITS:
            if not why & bit:
                continue
            first = own[place] if bit & (Why.CIRCLE | Why.RECURSION) else whole[place]
            first = first if first < len(self._names) else function
            if bit in _OF_A_FUNCTION:
                result.append(_OF_A_FUNCTION[bit].format(self._names[first]))
            elif bit is Why.CIRCLE:
                result.append(self._circle(first))
            elif bit is Why.RECURSION:
                result.append(self._round(first))
            elif bit is Why.IGNORED:
                result.append(f"ignored: {', '.join(self._ignored)}")
            else:
                result.append(_ASSUMPTIONS[bit])
        return result

    def _circle(self, function: int) -> str:
        label = int(self._depths.label[function])
        if label not in self._circles:
            way = circle(self._depths, label)
            names = [self._names[one] for one in [*way, *way[:1]]]
            self._circles[label] = f"recursion: {' -> '.join(names)}"
        return self._circles[label]

    def _round(self, function: int) -> str:
        label = int(self._depths.label[function])
        if label not in self._rounds:
            known = [row for row in self._bounds if self._depths.label[row] == label]
            said = ", ".join(
                f"{self._names[row]} at most {self._bounds[row].times} times{self._place(row)}"
                for row in sorted(known)
            )
            self._rounds[label] = f"recursion: {said}"
        return self._rounds[label]

    def _place(self, row: int) -> str:
        """Where a bound is proven: the first part of what the rule says, as far as it goes."""
        place = self._bounds[row].why.partition(": ")[0]
        return f" ({place})" if place else ""
