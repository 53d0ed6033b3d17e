"""Values of options that several verbs have."""

from __future__ import annotations

import argparse


def count(text: str) -> int:
    """A number of bytes or of lines, for argparse."""
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number")
    return int(text)
