"""The command line: finds the verb, runs it, and turns errors into one line."""

from __future__ import annotations

import argparse
import gc
import io
import os
import sys
from contextlib import suppress
from importlib import import_module
from typing import NoReturn

from stackgauge import __version__
from stackgauge.errors import StackgaugeError, UsageError
from stackgauge.report.text import printable

# Verbs by name: the module in ``cli`` that has it, and what it is for. A verb's module is loaded
# only when it is the one that runs.
VERBS = {
    "frames": "the stack frame of every function of a kernel image",
    "explain": "where the bytes of one function's stack frame go",
    "depth": "how deep call chains can go, from a kernel's entry points",
    "tasks": "how deep each task's stack has gone, from what a kernel printed",
    "traces": "observed chains of calls beside the static depths",
    "boot": "run a kernel in QEMU, and see how deep its stacks go",
    "checkstack": "the kernel's scripts/checkstack.pl, with right figures",
    "fetch": "download a Debian kernel package and unpack its image",
}

EXIT_FINE, EXIT_FAILED, EXIT_USAGE = 0, 1, 2


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, as all others are."""

    def error(self, message: str) -> NoReturn:
        """Refuse the arguments."""
        raise UsageError(f"{message} ('{self.prog} --help' tells the options)")


def _parser(verb: str | None) -> argparse.ArgumentParser:
    """The parser, with the options of the one verb that is asked for."""
    parser = _Parser(
        prog="stackgauge",
        description="Measures Linux kernel stacks.",
        epilog="'stackgauge VERB --help' tells a verb's options.",
    )
    parser.add_argument("--version", action="version", version=f"stackgauge {__version__}")
    # With the name given, argparse need not put a usage together to know it.
    verbs = parser.add_subparsers(prog="stackgauge", dest="verb", metavar="VERB", required=True)
    for name, purpose in VERBS.items():
        sub = verbs.add_parser(
            name, help=purpose, description=purpose[0].upper() + purpose[1:] + "."
        )
        if name == verb:
            import_module(f"stackgauge.cli.{name}").prepare_parser(sub)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit code (0 fine, 1 a check failed, 2 wrong input)."""
    # One process reads one image: NumPy's linear algebra threads only cost start-up time here.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    words = sys.argv[1:] if argv is None else argv
    verb = next((word for word in words if not word.startswith("-")), None)
    try:
        try:
            code = _run(words, verb)
        finally:
            # Here, where what goes wrong is told in one line, and not when the interpreter ends.
            if sys.stdout is not None:
                sys.stdout.flush()
    except StackgaugeError as error:
        return _fail(str(error))
    except BrokenPipeError:
        # The reader has what it wanted (``| head``).
        _discard_output()
        return EXIT_FINE
    except OSError as error:
        _discard_output()
        return _fail(f"{error.filename or 'standard output'}: {error.strerror or error}")
    except KeyboardInterrupt:
        return 130
    except MemoryError:
        return _fail("not enough memory for this image")
    except Exception as error:
        if os.environ.get("STACKGAUGE_DEBUG"):
            raise
        return _fail(
            f"internal error, please report it: {type(error).__name__}: {error} "
            "(STACKGAUGE_DEBUG=1 shows where)"
        )
    return code


def entry() -> NoReturn:
    """Run the command line as a process of its own, and end it."""
    # A run makes hardly any cycles, and the system takes its memory back at once: looking for
    # garbage and freeing object by object would cost a tenth of a kernel's frames.
    gc.disable()
    code = main()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            if stream is not None:
                stream.flush()
    os._exit(code)


def _run(words: list[str], verb: str | None) -> int:
    arguments = _parser(verb).parse_args(words)
    if sys.stdout is None:
        raise UsageError("standard output is closed")
    # A name that the terminal's encoding lacks is shown with escapes.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    code: int = import_module(f"stackgauge.cli.{arguments.verb}").run(arguments)
    return code


def _discard_output() -> None:
    """Let what is still buffered for standard output go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(message: str) -> int:
    if sys.stderr is not None:
        print(f"stackgauge: {printable(message.strip())}", file=sys.stderr)
    return EXIT_USAGE


if __name__ == "__main__":
    entry()
