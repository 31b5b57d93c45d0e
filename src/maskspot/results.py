"""What scoring an image gives: a value, never an exception."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from maskspot.errors import Status

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Score:
    """What became of one image.

    Attributes:
        source: where it came from: a path, an archive's member, a URL.
        probability: that it shows at least one face mask, 0 to 1; None where it could not be read.
        error: why not, in one line, else None.
        status: `ok`, or the kind of error.
        width: of the image, upright, in pixels; None where it could not be read.
        height: likewise.
        format: as its content has it: JPEG, PNG, WEBP...; None for pixels that are no file.
        milliseconds: that reading it and running the network took.
        heatmap: where asked for, float32 (h, w) over the image's area: what each part of it adds
            to the probability's logit; all add up to it, but for the model's constant.
    """

    source: str
    probability: float | None = None
    error: str | None = None
    status: Status | Literal["ok"] = "ok"
    width: int | None = None
    height: int | None = None
    format: str | None = None
    milliseconds: float | None = None
    heatmap: "NDArray[np.float32] | None" = field(default=None, compare=False, repr=False)
