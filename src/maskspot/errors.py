"""The errors a user can meet, each with the exit code the command line ends with.

Exit codes: 0 all went well, 1 some images could not be scored, 2 wrong usage,
3 bad data or model, 4 service or network, 130 interrupted.
"""

from typing import ClassVar, Literal, NoReturn

Status = Literal["missing", "unreadable", "unsupported", "too large"]
"""What an image that could not be scored becomes in its `Score`; `unsupported` is
a sound image of a kind that is not decoded, `unreadable` any other that is there."""


class MaskspotError(Exception):
    """Base of every error that maskspot raises on purpose; its text is one line for the user.

    In the text, arguments of functions stand in backticks, with a value or without one:
    `resume=False`. The command line shows them as options.

    Attributes:
        message: what is wrong and what to do.
        argument: name of the argument that is wrong, which then precedes the message; else None.
    """

    exit_code: ClassVar[int] = 3

    def __init__(self, message: str = "", *, argument: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.argument = argument

    def __str__(self) -> str:
        return f"{self.argument}: {self.message}" if self.argument else self.message


class UsageError(MaskspotError):
    """An argument, setting or combination of them that is invalid."""

    exit_code = 2


class MissingExtraError(UsageError):
    """A command needs an optional part of maskspot that is not installed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs more packages: pip install 'maskspot[{extra}]'")


class DataError(MaskspotError):
    """Labels, folders or runs that are missing, inconsistent or damaged."""


class ImageError(MaskspotError):
    """One image that cannot be read; the text says what is wrong with it.

    Attributes:
        status: what it becomes in its `Score`: unreadable, unsupported, missing, or too large.
    """

    exit_code = 1

    def __init__(self, text: str, status: "Status" = "unreadable") -> None:
        super().__init__(text)
        self.status: Status = status


class ModelFileError(MaskspotError):
    """A model file that is missing, damaged, or not one this version understands."""


class ExportError(MaskspotError):
    """An export that failed its checks; nothing was written."""


class DownloadError(MaskspotError):
    """Something that had to come from the network and did not."""

    exit_code = 4


class ServiceError(MaskspotError):
    """A service that cannot be reached, refuses, or answers nonsense."""

    exit_code = 4


def visible(text: str) -> str:
    """Return text of unknown origin with control characters escaped, for a terminal."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def fail(error: Exception) -> NoReturn:
    """Raise an error: with `partial`, what gives an image that is known to be none."""
    raise error
