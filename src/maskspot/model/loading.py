"""How a model is loaded: the options of a predictor as an object. Imports nothing heavy."""

import os
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from maskspot.arguments import argument, check_bounds
from maskspot.model.shipped import DEFAULT

if TYPE_CHECKING:
    from concurrent.futures import Future

    from maskspot.model.predictor import Predictor

_MODEL, _SPEED = "Model", "Speed"


@dataclass(frozen=True)
class LoadOptions:
    """How to load a model; the fields are the arguments of `Predictor`."""

    model: str | os.PathLike[str] | None = argument(
        None,
        help="Model file, or the name of a shipped model.",
        names=("m", "model"),
        metavar="MODEL",
        show_default=DEFAULT,
        rich_help_panel=_MODEL,
    )
    prior: float | None = argument(
        None,
        help="Share of images with masks among these, if it is known; shifts all logits.",
        show_default="0.5 for the shipped models",
        rich_help_panel=_MODEL,
    )
    device: str = argument(
        "auto",
        help="Where the network runs; auto takes any accelerator.",
        choices=("auto", "cpu", "cuda", "tensorrt", "rocm", "directml", "coreml", "openvino"),
        rich_help_panel=_SPEED,
    )
    batch_size: int | None = argument(
        None,
        help="Images that a thread takes at once.",
        least=1,
        show_default="1; 32 on accelerators",
        rich_help_panel=_SPEED,
    )
    max_pixels: int | None = argument(
        None,
        help="Refuse larger images.",
        least=1,
        show_default="178956970",
        rich_help_panel=_SPEED,
    )
    draft: bool | None = argument(
        None,
        help="Decode large JPEGs at a fraction of their size, which is faster, or in full.",
        show_default="as the model file says",
        rich_help_panel=_SPEED,
    )

    def __post_init__(self) -> None:
        check_bounds(self)

    def load(self) -> "Predictor":
        """Load the model.

        Raises:
            ModelFileError: as `Predictor` says.
            UsageError: as `Predictor` says.
        """
        from maskspot.model.predictor import Predictor

        return Predictor(DEFAULT if self.model is None else self.model, **self.options())

    def start(self) -> "Future[Predictor]":
        """Begin to load the model in a thread; onnxruntime releases the GIL meanwhile."""
        from concurrent.futures import ThreadPoolExecutor

        import maskspot.model.predictor  # noqa: F401  # imports stay in the caller's thread

        pool = ThreadPoolExecutor(1, thread_name_prefix="maskspot")
        loading = pool.submit(self.load)
        pool.shutdown(wait=False)
        return loading

    def options(self) -> dict[str, Any]:
        """Return the keyword arguments of `Predictor`, without the model."""
        given = asdict(replace(self, model=None))
        del given["model"]
        if self.max_pixels is None:
            del given["max_pixels"]
        return given
