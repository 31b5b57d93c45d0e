"""The form of an output: its columns, its format, and what a failed image becomes."""

import math
import sys
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Literal, cast

from maskspot.arguments import argument, check_bounds, make_paths
from maskspot.errors import ImageError, MissingExtraError, UsageError
from maskspot.model.score import Score
from maskspot.outputs.formats import Value, WriteRow, csv_rows, jsonl_rows, parquet_rows
from maskspot.outputs.sample import Sample

_PANEL = "Output"

HEADER = ("image", "target")

DEFAULT_THRESHOLD = 0.5
"""Probability from which an image counts as a mask where no threshold is given."""

_STATUS = ("status", "error")
_DETAILS = ("width", "height", "format", "milliseconds")
"""Fields of a `Score` that are columns: of every form but the plain CSV, and of `details`."""

Format = Literal["csv", "jsonl", "parquet"]
FORMATS: tuple[Format, ...] = ("csv", "jsonl", "parquet")
_SUFFIXES: dict[str, Format] = {
    "": "csv",
    ".txt": "csv",
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}


@dataclass(frozen=True)
class OnError:
    """What an image that could not be scored becomes.

    Attributes:
        kind: `blank`, a row without a probability; `skip`, no row; `fail`, no output; `fill`, a
            row with the probability `fill`.
        fill: that probability.
    """

    kind: Literal["blank", "skip", "fail", "fill"] = "blank"
    fill: float | None = None

    @classmethod
    def parse(cls, text: str | None, submission: bool) -> "OnError":
        """Read `blank`, `skip`, `fail` or `fill=VALUE`.

        None stands for `fail` in a submission, and for `blank` otherwise.

        Raises:
            UsageError: the text is invalid, or a submission would lack rows.
        """
        if text is None:
            return cls("fail" if submission else "blank")
        if text == "skip" and submission:
            raise UsageError(
                "`skip` is invalid, as a submission needs every row of its `sample`",
                argument="on_error",
            )
        if text in ("blank", "skip", "fail"):
            return cls(cast("Literal['blank', 'skip', 'fail']", text))
        kind, _, value = text.partition("=")
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if kind != "fill" or not 0 <= number <= 1:
            raise UsageError(
                f"must be blank, skip, fail, or fill=0 to fill=1, not {text!r}", argument="on_error"
            )
        return cls("fill", number)

    def check(self, failed: int, total: int) -> None:
        """Refuse to write anything if images failed and `kind` is `fail`.

        Raises:
            ImageError: that is the case.
        """
        if failed and self.kind == "fail":
            raise ImageError(
                f"nothing written: {failed} of {total} images could not be scored; "
                "`on_error=fill=0.5` gives such images a probability"
            )


@dataclass(frozen=True)
class Form:
    """What is written of a score, and how.

    Attributes:
        format: of the file.
        details: write all that is known of each image.
        threshold: the label is 1 from this probability on; None for no labels.
        sample: the submission to follow.
        on_error: what becomes of an image that could not be scored.
        model: its id, for the details.

    Raises:
        UsageError: a submission would have more than its sample, or the threshold is not from 0
            to 1.
    """

    format: Format = "csv"
    details: bool = False
    threshold: float | None = None
    sample: Sample | None = None
    on_error: OnError = OnError()
    model: str = ""

    def __post_init__(self) -> None:
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise UsageError(f"must be from 0 to 1, not {self.threshold}", argument="threshold")
        more = {
            "format": self.format != "csv",
            "details": self.details,
            "threshold": self.threshold is not None,
        }
        for name, wanted in more.items():
            if self.sample and wanted:
                raise UsageError(
                    "a submission is a CSV with the columns of its `sample` and no others",
                    argument=name,
                )

    def is_mask(self, score: Score) -> bool:
        """Say whether a score is at or above the threshold, or 0.5 without one."""
        cut = DEFAULT_THRESHOLD if self.threshold is None else self.threshold
        return score.probability is not None and score.probability >= cut

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of its columns."""
        if self.sample:
            return self.sample.header
        label = () if self.threshold is None else ("label",)
        if self.format == "csv" and not self.details:
            return (*HEADER, *label)
        more = (*_DETAILS, "model") if self.details else ()
        return ("source", "probability", *label, *_STATUS, *more)

    def row(self, score: Score) -> tuple[Value, ...] | None:
        """Return the row of a score; None if it has no row."""
        probability = score.probability
        if score.error is not None:
            if self.on_error.kind == "skip":
                return None
            probability = self.on_error.fill
        cells: list[Value] = [score.source, probability]
        if self.threshold is not None:
            cells.append(None if probability is None else int(probability >= self.threshold))
        if self.details or self.format != "csv":
            cells += [getattr(score, name) for name in _STATUS]
        if self.details:
            cells += [*(getattr(score, name) for name in _DETAILS), self.model]
        return tuple(cells)

    def rows_to(self, stream: IO[bytes]) -> AbstractContextManager[WriteRow]:
        """Open a stream of rows; return the function that writes one."""
        if self.format == "parquet":
            return parquet_rows(stream, self.columns)
        if self.format == "jsonl":
            return jsonl_rows(stream, self.columns)
        return csv_rows(stream, self.columns, self.sample.newline if self.sample else "\n")


@dataclass(frozen=True)
class FormOptions:
    """What to write of each score, as a user says it."""

    format: str | None = argument(
        None,
        help="Format of the output.",
        choices=FORMATS,
        show_default="by the ending of the output",
        rich_help_panel=_PANEL,
    )
    details: bool = argument(
        False, help="Write all that is known of each image.", rich_help_panel=_PANEL
    )
    threshold: float | None = argument(
        None, help="Add a label, which is 1 from this probability on.", rich_help_panel=_PANEL
    )
    sample: Path | None = argument(
        None,
        help="Sample submission whose header, rows and order to follow.",
        rich_help_panel=_PANEL,
    )
    on_error: str | None = argument(
        None,
        help="What an image that cannot be scored becomes: blank (a row without a probability), "
        "skip (no row), fail (no output), or a row with the probability P.",
        metavar="blank|skip|fail|fill=P",
        show_default="blank; fail for a submission",
        rich_help_panel=_PANEL,
    )

    def __post_init__(self) -> None:
        make_paths(self, "sample")
        check_bounds(self)

    def form(self, path: Path | None) -> Form:
        """Return the form of an output.

        Args:
            path: of the output, whose ending says the format; None for standard output.

        Raises:
            UsageError: as `Form`, `OnError` and `format_of` say.
            DataError: the sample cannot be read.
        """
        policy = OnError.parse(self.on_error, self.sample is not None)
        kind = format_of(path, self.format)
        sample = Sample.read(self.sample) if self.sample else None
        return Form(kind, self.details, self.threshold, sample, policy)


def format_of(path: Path | None, wanted: str | None) -> Format:
    """Return the format to write: the one wanted, else that of the ending; CSV without an ending.

    Raises:
        UsageError: the format or the ending is unknown, or it is Parquet on a terminal.
        MissingExtraError: pyarrow is not installed.
    """
    suffix = path.suffix if path else ""
    if wanted is None and suffix.lower() not in _SUFFIXES:
        raise UsageError(
            f"{path}: the ending {suffix} is not .csv, .jsonl or .parquet; "
            "name such a file, or choose a `format` for this one",
            argument="path",
        )
    found = _SUFFIXES[suffix.lower()] if wanted is None else wanted
    if found not in FORMATS:
        raise UsageError(f"must be csv, jsonl or parquet, not {found!r}", argument="format")
    if found == "parquet":
        if find_spec("pyarrow") is None:
            raise MissingExtraError("parquet output", "parquet")
        if path is None and sys.stdout.isatty():
            raise UsageError(
                "Parquet cannot be written to a terminal; name a file with `path`",
                argument="format",
            )
    return found
