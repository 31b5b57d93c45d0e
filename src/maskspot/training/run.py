"""The folder of a training run, and the files in it."""

import csv
import io
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskspot._version import __version__
from maskspot.csv_tables import read_rows
from maskspot.datasets.labels import Labelled
from maskspot.errors import DataError, UsageError
from maskspot.files import replacing, write_text
from maskspot.training.presets import read_settings, resolve
from maskspot.training.settings import Settings

_FORMER: Mapping[str, Any] = {"reduce": 0, "srgb": False}
"""Values of settings that older runs do not name."""

Row = dict[str, float]
"""One epoch of `history.csv`."""


@dataclass(frozen=True)
class Run:
    """The folder of a run, `runs/NAME`; it can be used as a path.

    It holds `settings.json`, `run.json` (data, versions), `history.csv`, `train_loss.png`,
    `train_accuracy.png`, `validation.csv`, `metrics.json`, `best.keras` and `last.keras` (the
    network after the best and the last epoch), `checkpoint.keras` (the last epoch's with the
    optimizer's state, to resume from) and `check_pixels.npy` (validation images, against which
    an export is checked); with the setting `keep_start`, `start.keras`; with `balance`,
    `balance.json` (how well files and facts predict the labels, as AUC, before and after
    weighting). A run with folds holds such a folder for each, from `fold-1` on, and instead of
    `validation.csv` it holds `oof.csv`: what each network predicts for images it never saw.
    """

    folder: Path

    def __fspath__(self) -> str:
        return str(self.folder)

    @classmethod
    def create(cls, folder: Path, settings: Settings, data: Sequence[Path]) -> "Run":
        """Create the folder.

        Raises:
            UsageError: it exists.
        """
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            raise UsageError(
                f"{folder} exists: choose another `name`, or continue it with `resume={folder}`"
            ) from None
        run = cls(folder)
        write_text(run.folder / "settings.json", settings.to_json())
        run.write_json(
            "run.json",
            {"maskspot": __version__, "data": [str(path.resolve()) for path in data]},
        )
        return run

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> "Run":
        """Open a run that exists.

        Raises:
            DataError: the folder is not a run, or an unfinished one of another version.
        """
        folder = Path(folder)
        if not ((folder / "settings.json").is_file() and (folder / "run.json").is_file()):
            raise DataError(f"{folder}: not a training run (no settings.json and run.json in it)")
        run = cls(folder)
        later = sorted({*asdict(run.settings)} - {*read_settings(folder / "settings.json")})
        if later and run.metrics() is None:
            raise DataError(
                f"{folder}: started by a version of maskspot without the setting {later[0]}; "
                "start a new run"
            )
        return run

    def fold(self, number: int) -> "Run":
        """Return a fold, which is a run itself; it is created if it is missing."""
        fold = Run(self.folder / f"fold-{number}")
        fold.folder.mkdir(exist_ok=True)
        settings = replace(self.settings, folds=0, group=None)
        if settings.init and (start := Path(settings.init) / fold.folder.name).is_dir():
            settings = replace(settings, init=str(start))  # it never saw these images either
        write_text(fold.folder / "settings.json", settings.to_json())
        fold.write_json("run.json", self.read_json("run.json") | {"fold": number})
        return fold

    def fold_runs(self) -> list["Run"]:
        """Return the folds in order; an empty list if the run has none."""
        return [Run(self.folder / f"fold-{at + 1}") for at in range(self.settings.folds)]

    def folds_of(self, images: Sequence[Labelled], rows: NDArray[np.intp]) -> NDArray[np.intp]:
        """Return which fold held each image back, (N,), from 1; 0 where none did.

        Args:
            images: any images.
            rows: of those that must be among the run's.

        Raises:
            DataError: the run is not finished or has no folds, or lacks one of these images, or
                two of its images have the same name.
        """
        self._require_folds()
        file = self.predictions
        try:
            folds = [(row[0], int(row[3])) for row in read_rows(file)[1]]
        except (IndexError, ValueError):
            raise DataError(f"{file}: damaged") from None
        held = dict(folds)
        if len(held) < len(folds):
            raise DataError(f"{self.folder}: two of its images have the same name")
        result = np.array([held.get(item.name, 0) for item in images], np.intp)
        if not result[rows].all():
            name = images[rows[np.argmin(result[rows])]].name
            raise DataError(
                f"{self.folder}: it must have folds of the same images; {name} is not one of them"
            )
        return result

    @property
    def parent(self) -> Path | None:
        """The folder of the run that this one is a fold of; None if it is not a fold."""
        return self.folder.parent if "fold" in self.read_json("run.json") else None

    @property
    def cache(self) -> Path:
        """The folder of decoded images, which all runs in a folder share."""
        return (self.parent or self.folder).parent / ".cache"

    @property
    def settings(self) -> Settings:
        """The settings that the run was started with."""
        try:
            file = self.folder / "settings.json"
            later = _FORMER.keys() - read_settings(file).keys()
            return replace(resolve(file=file), **{name: _FORMER[name] for name in later})
        except UsageError as error:
            raise DataError(str(error)) from None

    @property
    def data(self) -> list[Path]:
        """The folders of the images that it learns from."""
        try:
            return [Path(path) for path in self.read_json("run.json")["data"]]
        except (KeyError, TypeError):
            raise DataError(f"{self.folder / 'run.json'}: damaged (no list of data)") from None

    def pin(self, what: str, *contents: bytes) -> None:
        """Record the hash of what the run learns from, or check that it has not changed.

        Raises:
            DataError: it has changed since the run was started.
        """
        digest = sha256(b"".join(contents)).hexdigest()
        values = self.read_json("run.json")
        if values.setdefault("digests", {}).setdefault(what, digest) != digest:
            raise DataError(
                f"{self.folder}: its {what} have changed since it was started: "
                "put them back, or start a new run"
            )
        self.write_json("run.json", values)

    @property
    def checkpoint(self) -> Path:
        """The network of the last epoch, with the state of the optimizer."""
        return self.folder / "checkpoint.keras"

    @property
    def start(self) -> Path:
        """The network that training started from; kept with the setting `keep_start`."""
        return self.folder / "start.keras"

    def kept(self) -> Path:
        """Return the network that is the run's result: `best.keras` or `last.keras`."""
        return self.folder / f"{self.settings.keep}.keras"

    def history(self) -> list[Row]:
        """Return the finished epochs."""
        file = self.folder / "history.csv"
        if not file.is_file():
            return []
        try:
            with file.open(encoding="utf-8", newline="") as stream:
                rows = [{k: float(v) for k, v in row.items()} for row in csv.DictReader(stream)]
            if any(row["epoch"] != number for number, row in enumerate(rows, 1)):
                raise ValueError
            return rows
        except (ValueError, TypeError, KeyError):
            raise DataError(f"{file}: damaged") from None

    def write_predictions(
        self, images: Sequence[Labelled], probabilities: NDArray[np.float64]
    ) -> None:
        """Write `validation.csv`: what the resulting network predicts for its images."""
        rows = [
            (item.name, item.target, repr(float(probability)))
            for item, probability in zip(images, probabilities, strict=True)
        ]
        self.write_csv("validation.csv", ["image", "target", "probability"], rows)

    @property
    def predictions(self) -> Path:
        """The predictions for the images held back: `validation.csv`, or `oof.csv`."""
        return self.folder / ("oof.csv" if self.settings.folds else "validation.csv")

    def read_predictions(self) -> tuple[list[float], list[float]]:
        """Return targets and probabilities of `validation.csv`, or `oof.csv`."""
        file = self.predictions
        _, rows = read_rows(file)
        try:
            return [float(row[1]) for row in rows], [float(row[2]) for row in rows]
        except (IndexError, ValueError):
            raise DataError(f"{file}: damaged") from None

    def false_positives(self) -> set[str]:
        """Return the names of images without a mask that were taken for masks, out of fold.

        Raises:
            DataError: the run is not finished, or has no folds.
        """
        self._require_folds()
        targets, probabilities = self.read_predictions()
        names = [row[0] for row in read_rows(self.predictions)[1]]
        rows = zip(names, targets, probabilities, strict=True)
        return {name for name, target, probability in rows if not target and probability > 0.5}  # noqa: PLR2004

    def _require_folds(self) -> None:
        if self.metrics() is None or not self.settings.folds:
            raise DataError(f"{self.folder}: not a finished run with folds")

    def metrics(self) -> dict[str, Any] | None:
        """Return the metrics of a finished run; None if it is not finished."""
        if not (self.folder / "metrics.json").is_file():
            return None
        values = self.read_json("metrics.json")
        scores = values.get("validation")
        if not isinstance(scores, dict) or not {"log_loss", "accuracy", "auc"} <= set(scores):
            raise DataError(f"{self.folder / 'metrics.json'}: damaged (no validation metrics)")
        return values

    def check_pixels(self) -> NDArray[np.uint8]:
        """Return the images that an export is checked with, uint8 (N, S, S, 3)."""
        folder = self.fold_runs()[0].folder if self.settings.folds else self.folder
        file, size = folder / "check_pixels.npy", self.settings.size
        try:
            pixels = np.load(file)
        except (OSError, ValueError, EOFError) as error:
            raise DataError(f"{file}: missing or damaged ({error})") from None
        if pixels.dtype != np.uint8 or pixels.shape[1:] != (size, size, 3) or not len(pixels):
            raise DataError(f"{file}: damaged (not images of {size} x {size})")
        return np.asarray(pixels)

    def write_check_pixels(self, pixels: NDArray[np.uint8]) -> None:
        """Write the images that an export is checked with."""
        with replacing(self.folder / "check_pixels.npy") as beside, beside.open("wb") as stream:
            np.save(stream, pixels)

    def write_history(self, rows: Sequence[Row]) -> None:
        """Write the finished epochs."""
        self.write_csv("history.csv", list(rows[0]), [list(row.values()) for row in rows])

    def write_csv(self, name: str, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Write a table of the folder."""
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([header, *rows])
        write_text(self.folder / name, text.getvalue())

    def read_json(self, name: str) -> dict[str, Any]:
        """Read a JSON file of the folder.

        Raises:
            DataError: it is missing or damaged.
        """
        file = self.folder / name
        try:
            values = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise DataError(f"{file}: missing or damaged ({error})") from None
        if not isinstance(values, dict):
            raise DataError(f"{file}: damaged (not an object)")
        return values

    def write_json(self, name: str, values: Mapping[str, Any]) -> None:
        """Write a JSON file of the folder."""
        write_text(self.folder / name, json.dumps(values, indent=2) + "\n")
