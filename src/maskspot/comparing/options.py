"""Options of a comparison."""

from dataclasses import dataclass
from pathlib import Path

from maskspot.arguments import argument, check_bounds, make_paths, several
from maskspot.errors import UsageError


@dataclass(frozen=True)
class CompareOptions:
    """How models are measured.

    Raises:
        UsageError: labels and images are not given together, or images are read from stdin.
    """

    labels: Path | None = argument(
        None,
        help="Labels, 0 or 1, by which all models are measured.",
        metavar="LABELS.CSV",
        rich_help_panel="Input",
    )
    images: tuple[str, ...] = argument(
        (),
        help="Images of the labels; may be given several times.",
        metavar="IMAGES",
        rich_help_panel="Input",
    )
    image_column: str | None = argument(
        None, help="Column of image names in the labels.", rich_help_panel="Input"
    )
    target_column: str | None = argument(
        None, help="Column of labels, 0 or 1.", rich_help_panel="Input"
    )
    rounds: int = argument(
        20,
        help="Rounds of measuring the latency.",
        least=1,
        most=10_000,
        rich_help_panel="Measurement",
    )
    resamples: int = argument(
        2000,
        help="Samples of the bootstrap; 0 gives no intervals.",
        least=0,
        most=1_000_000,
        rich_help_panel="Measurement",
    )

    def __post_init__(self) -> None:
        make_paths(self, "labels")
        check_bounds(self)
        object.__setattr__(self, "images", several(self.images))
        if bool(self.labels) != bool(self.images):
            raise UsageError("`labels` and `images` must be given together")
        if "-" in self.images:
            raise UsageError(
                "'-' is not supported, as each model reads the images; name files",
                argument="images",
            )


@dataclass(frozen=True)
class BackboneTraining:
    """Backbones that are trained before they are compared."""

    backbones: tuple[str, ...] = argument(
        (),
        help="Backbones to train, and to compare too.",
        names=("train",),
        metavar="NAME,NAME,...",
    )
    data: tuple[Path, ...] = argument(
        (), help="Folder of labelled images to train on; may be given several times.", metavar="DIR"
    )
    name: str = argument("compare", help="Runs are named NAME-BACKBONE.")
    runs: Path = argument(Path("runs"), help="Folder that runs are kept in.", metavar="DIR")

    def __post_init__(self) -> None:
        object.__setattr__(self, "backbones", several(self.backbones))
        make_paths(self, "data", "runs")
