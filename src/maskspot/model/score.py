"""What scoring an image gives: a value, never an exception."""

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, cast, get_args

from maskspot.errors import Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray


def is_sound(values: "Sequence[object]") -> bool:
    """Say whether values that were read from a file can be those of a `Score`, without heatmap.

    Args:
        values: in the order of its fields.
    """
    source, probability, error, status, width, height, format, milliseconds = values
    if not isinstance(source, str) or status not in ("ok", *get_args(Status)):
        return False
    if error is None:
        known = _is_number(probability) and cast("float", probability) <= 1
    else:
        known = isinstance(error, str) and probability is None
    return (
        known
        and all(each is None or (type(each) is int and each > 0) for each in (width, height))
        and (format is None or isinstance(format, str))
        and (milliseconds is None or _is_number(milliseconds))
    )


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and 0 <= cast("float", value) < math.inf


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
