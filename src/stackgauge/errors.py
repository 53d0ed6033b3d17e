"""The errors that a user is meant to read: one line that says what and where."""


class StackgaugeError(Exception):
    """Anything that ends a command with one clear line and exit code 2."""


class InputError(StackgaugeError):
    """A file that is missing, broken or not of a kind that is understood."""

    def __init__(self, where: object, what: str) -> None:
        """Say what is wrong with the input called ``where``."""
        # Names come from untrusted files: what could disturb a terminal is escaped.
        text = f"{where}: {what}"
        if not text.isprintable():
            text = "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)
        super().__init__(text)


class UsageError(StackgaugeError):
    """Options that do not go together, or that name something that is not there."""
