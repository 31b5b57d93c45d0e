"""`maskspot serve`."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from maskspot.cli.console import BatchSize, Device, Model
from maskspot.cli.options import Quiet, with_options
from maskspot.cli.progress import showing
from maskspot.serving.options import ServeOptions

if TYPE_CHECKING:
    from maskspot.model.predictor import Predictor


@with_options
def serve(
    *,
    model: Model = None,
    options: ServeOptions,
    max_pixels: Annotated[int, typer.Option(min=1, help="Refuse larger images.")] = 50_000_000,
    device: Device = "auto",
    batch_size: BatchSize = None,
    quiet: Quiet = False,
) -> int:
    """Score images over HTTP, and show a page to drop pictures on.

    The server listens on this machine only unless --host says otherwise, which requires a token. On
    Ctrl-C or SIGTERM it answers the requests that it has, and stops.
    """
    from maskspot.serving.serve import serve as run

    with showing(quiet) as progress:
        return run(_Load(model, device, batch_size, max_pixels), options, progress)


@dataclass(frozen=True)
class _Load:
    """How the model is loaded."""

    model: str | None
    device: str
    batch_size: int | None
    max_pixels: int

    def load(self) -> "Predictor":
        """Load the model."""
        from maskspot.model.predictor import Predictor
        from maskspot.model.shipped import DEFAULT

        return Predictor(
            DEFAULT if self.model is None else self.model,
            device=self.device,
            batch_size=self.batch_size,
            max_pixels=self.max_pixels,
        )
