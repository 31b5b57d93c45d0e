"""Options of an export."""

from dataclasses import dataclass
from pathlib import Path

from maskspot.arguments import argument, check_bounds, make_paths
from maskspot.errors import UsageError


@dataclass(frozen=True)
class ExportOptions:
    """How a run is exported.

    Raises:
        UsageError: options exclude each other.
    """

    name: str | None = argument(
        None,
        help="Name of the model.",
        show_default="the name of the file",
        rich_help_panel="Output",
    )
    calibrate: bool = argument(
        True,
        help="Fit a scale and a bias of the logits on held-back images.",
        rich_help_panel="Calibration",
    )
    calibration: Path | None = argument(
        None,
        help="Another run whose held-back images are used for calibration.",
        metavar="RUN",
        rich_help_panel="Calibration",
    )
    prior: float = argument(
        0.5,
        help="Share of images with masks where the model will be used.",
        least=1e-6,
        most=1 - 1e-6,
        rich_help_panel="Calibration",
    )
    windows: bool = argument(
        False,
        help="Also look at windows of the image, which finds small masks at 4 times the cost.",
        rich_help_panel="Network",
    )
    flip: bool = argument(
        False, help="Average with the mirror image, at twice the cost.", rich_help_panel="Network"
    )
    float32: bool = argument(
        False,
        help="Store weights in full precision, at twice the size.",
        rich_help_panel="Size and speed",
    )
    int8: bool = argument(
        False,
        help="Store weights and compute in 8 bits; needs the images of the run.",
        rich_help_panel="Size and speed",
    )
    int8_tolerance: float = argument(
        0.01,
        help="Maximum rise of held-back log loss that int8 may cause.",
        least=0,
        rich_help_panel="Size and speed",
    )

    def __post_init__(self) -> None:
        make_paths(self, "calibration")
        check_bounds(self)
        if self.float32 and self.int8:
            raise UsageError("use `float32` or `int8`, not both")
        if self.windows and self.int8:
            raise UsageError("use `windows` or `int8`, not both")
        if self.calibration is not None and not self.calibrate:
            raise UsageError("use `calibration` or `calibrate=False`, not both")
