"""How a crash command fails."""


class CommandError(Exception):
    """A command's own message, as crash would word it."""

    def __init__(self, message: str, output: str = "") -> None:
        """:param output: what it had printed before."""
        super().__init__(message)
        self.output = output
