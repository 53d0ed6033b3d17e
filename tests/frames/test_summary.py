"""What all frames of an image come to."""

from __future__ import annotations

from stackgauge.frames.measure import measure
from stackgauge.frames.summary import LARGEST, summarize
from tests.frames.made_kernel import LOCAL, MadeKernel


def of_sizes(*sizes: int) -> MadeKernel:
    """A function for each size: ``sub $size - 8,%rsp; add; ret``."""
    made = MadeKernel()
    for number, size in enumerate(sizes):
        amount = (size - 8).to_bytes(4, "little").hex()
        made.add(f"f{number}", f"48 81 ec {amount} 48 81 c4 {amount} c3")
    return made


def test_powers_of_two_belong_to_their_own_bound() -> None:
    summary = summarize([measure(of_sizes(8, 16, 24, 32, 40, 1024, 1032, 1 << 20).image())])
    assert summary.functions == 8
    assert summary.histogram == (
        (8, 1), (16, 1), (32, 2), (64, 1), (1024, 1), (2048, 1), (1 << 20, 1)
    )  # fmt: skip
    assert sum(count for _, count in summary.histogram) == 8


def test_the_largest_rise() -> None:
    sizes = [8 * number for number in range(1, 31)]
    summary = summarize([measure(of_sizes(*sizes).image())])
    assert [row.frame for row in summary.largest] == sizes[-LARGEST:]


def test_what_is_not_known_is_counted_but_not_ranked() -> None:
    made = of_sizes(16, 800)
    for number in range(15):
        made.add(f"odd{number}", "48 81 ec 00 10 00 00 48 8b 20 50 c3")
    made.add("alloca", "55 48 89 e5 48 29 fc c9 c3")
    summary = summarize([measure(made.image())])
    assert summary.kinds == {"unknown": 15, "static": 2, "dynamic": 1}
    assert [row.frame for row in summary.largest] == [16, 16, 800]
    assert sum(count for _, count in summary.histogram) == 3
    assert summary.evidence == {"instructions": 18}


def test_a_cold_piece_is_part_of_its_function() -> None:
    made = MadeKernel()
    made.add("f", "85 ff 0f 85 08 00 00 00 c3")
    made.add("f.cold", "48 83 ec 38 0f 0b", binding=LOCAL)
    summary = summarize([measure(made.image())])
    assert summary.functions == 1
    assert [(row.function, row.frame) for row in summary.largest] == [("f", 64)]


def test_several_images_and_none() -> None:
    one, two = (measure(of_sizes(*sizes).image()) for sizes in ((16, 48), (24,)))
    summary = summarize([one, two])
    assert summary.functions == 3
    assert [row.frame for row in summary.largest] == [16, 24, 48]
    empty = summarize([])
    assert (empty.functions, empty.largest, empty.histogram) == (0, (), ())
