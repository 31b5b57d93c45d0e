"""What is written of a score: its columns, its format, and what becomes of a failure."""

import math
import sys
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Literal, cast

from maskspot.errors import ImageError, MissingExtraError, UsageError
from maskspot.model.score import Score
from maskspot.outputs.formats import Value, WriteRow, csv_rows, jsonl_rows, parquet_rows
from maskspot.outputs.sample import Sample

HEADER = ("image", "target")

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
    """What becomes of an image that could not be scored.

    Attributes:
        kind: `blank`, a row without probability; `skip`, no row; `fail`, no output; `fill`, a row
            with a probability that is given.
        fill: that probability.
    """

    kind: Literal["blank", "skip", "fail", "fill"] = "blank"
    fill: float | None = None

    @classmethod
    def parse(cls, text: str | None, submission: bool) -> "OnError":
        """Read what `--on-error` says; without it, a submission fails and else a row is blank.

        Raises:
            UsageError: it is none of these, or a submission would lack rows.
        """
        if text is None:
            return cls("fail" if submission else "blank")
        if text == "skip" and submission:
            raise UsageError("--on-error skip: a submission needs every row of its --sample")
        if text in ("blank", "skip", "fail"):
            return cls(cast("Literal['blank', 'skip', 'fail']", text))
        kind, _, value = text.partition("=")
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if kind != "fill" or not 0 <= number <= 1:
            raise UsageError(f"--on-error: {text!r} is not blank, skip, fail, or fill=0 to fill=1")
        return cls("fill", number)

    def check(self, failed: int, total: int) -> None:
        """Refuse to write anything where images failed and that is what was asked.

        Raises:
            ImageError: so it is.
        """
        if failed and self.kind == "fail":
            raise ImageError(
                f"nothing written: {failed} of {total} images could not be scored; "
                "--on-error fill=0.5 gives such images a probability"
            )


@dataclass(frozen=True)
class Form:
    """What is written of a score, and how.

    Attributes:
        format: of the file.
        details: what is known of each image, too.
        threshold: from which probability on an image's label is 1; None for no labels.
        sample: the submission to follow.
        on_error: what becomes of an image that could not be scored.
        model: its id, for the details.

    Raises:
        UsageError: a submission with more than a submission has, or a threshold that is no
            probability.
    """

    format: Format = "csv"
    details: bool = False
    threshold: float | None = None
    sample: Sample | None = None
    on_error: OnError = OnError()
    model: str = ""

    def __post_init__(self) -> None:
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise UsageError(f"--threshold: {self.threshold} is no probability from 0 to 1")
        more = {
            f"{self.format} output": self.format != "csv",
            "--details": self.details,
            "--threshold": self.threshold is not None,
        }
        for option, wanted in more.items():
            if self.sample and wanted:
                raise UsageError(f"{option}: a submission is a CSV of its --sample's columns alone")

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of its columns."""
        if self.sample:
            return self.sample.header
        label = () if self.threshold is None else ("label",)
        if self.details:
            facts = ("status", "error", "width", "height", "format", "milliseconds", "model")
            return ("source", "probability", *label, *facts)
        if self.format == "csv":
            return (*HEADER, *label)
        return ("source", "probability", *label, "status", "error")

    def row(self, score: Score) -> tuple[Value, ...] | None:
        """Return the row of a score; None where there is to be none."""
        probability = score.probability
        if score.error is not None:
            if self.on_error.kind == "skip":
                return None
            probability = self.on_error.fill
        cells: list[Value] = [score.source, probability]
        if self.threshold is not None:
            cells.append(None if probability is None else int(probability >= self.threshold))
        if self.details or self.format != "csv":
            cells += [score.status, score.error]
        if self.details:
            cells += [score.width, score.height, score.format, score.milliseconds, self.model]
        return tuple(cells)

    def rows_to(self, stream: IO[bytes]) -> AbstractContextManager[WriteRow]:
        """Give a function that writes rows to a stream."""
        if self.format == "parquet":
            return parquet_rows(stream, self.columns)
        if self.format == "jsonl":
            return jsonl_rows(stream, self.columns)
        return csv_rows(stream, self.columns, self.sample.newline if self.sample else "\n")


def format_of(path: Path | None, wanted: str | None) -> Format:
    """Return the format to write: the one wanted, else what the file's ending says; CSV for none.

    Raises:
        UsageError: there is no such format, the ending says none that we have, or it is none for
            a terminal.
        MissingExtraError: it needs pyarrow.
    """
    suffix = path.suffix if path else ""
    if wanted is None and suffix.lower() not in _SUFFIXES:
        raise UsageError(
            f"--output: {path}: {suffix} is none of .csv, .jsonl and .parquet; "
            "name such a file, or say with --format what to write into this one"
        )
    found = _SUFFIXES[suffix.lower()] if wanted is None else wanted
    if found not in FORMATS:
        raise UsageError(f"--format: {found!r} is not csv, jsonl or parquet")
    if found == "parquet":
        if find_spec("pyarrow") is None:
            raise MissingExtraError("parquet output", "parquet")
        if path is None and sys.stdout.isatty():
            raise UsageError("--format parquet: not for a terminal; name a file with --output")
    return found
