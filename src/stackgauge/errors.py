"""The errors that a user is meant to read: one line that says what and where."""


class StackgaugeError(Exception):
    """Anything that ends a command with one clear line and exit code 2."""


class InputError(StackgaugeError):
    """A file that is missing, broken or not of a kind that is understood."""

    def __init__(self, where: object, what: str) -> None:
        """Say what is wrong with the input called ``where``."""
        super().__init__(f"{where}: {what}")


class UsageError(StackgaugeError):
    """Options that do not go together, or that name something that is not there."""
