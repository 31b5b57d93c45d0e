"""Where the results of a run go."""

from dataclasses import dataclass
from pathlib import Path

from maskspot.arguments import argument, check_bounds, make_paths
from maskspot.errors import UsageError

_STDOUT = ("-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")
_PANEL = "Output"


@dataclass(frozen=True)
class Destination:
    """Where results go: the scores, and what is shown of the images.

    Attributes:
        path: file of scores; None for standard output.
        sort: write the most probable first.
        top: write only so many, the most probable.
        resume: go on with what a stopped run left, or drop it; None refuses to choose.
        heatmaps: folder for a picture of each image.
        report: HTML file.
    """

    path: Path | None = argument(
        None,
        help="File to write.",
        names=("o", "output"),
        show_default="standard output, as with -",
        rich_help_panel=_PANEL,
    )
    sort: bool = argument(False, help="Write the most probable first.", rich_help_panel=_PANEL)
    top: int | None = argument(
        None, help="Write only the N most probable.", least=1, metavar="N", rich_help_panel=_PANEL
    )
    resume: bool | None = argument(
        None, help="Go on with what a stopped run left, or drop it.", rich_help_panel=_PANEL
    )
    heatmaps: Path | None = argument(
        None,
        help="Folder for a picture of each image that shows where the mask is.",
        metavar="DIR",
        rich_help_panel=_PANEL,
    )
    report: Path | None = argument(
        None,
        help="HTML file to write: a gallery, a histogram, the model's card.",
        rich_help_panel=_PANEL,
    )

    def __post_init__(self) -> None:
        make_paths(self, "path", "heatmaps", "report")
        if self.path is not None and str(self.path) in _STDOUT:
            object.__setattr__(self, "path", None)
        check_bounds(self)
        object.__setattr__(self, "sort", self.sort or self.top is not None)
        if self.resume is not None and self.path is None:
            raise UsageError(
                "standard output cannot be resumed; name a file with `path`", argument="resume"
            )
