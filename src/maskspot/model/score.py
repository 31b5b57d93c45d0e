"""The result of scoring an image: a value, never an exception."""

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, cast, get_args

from maskspot.errors import Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray


def is_sound(values: "Sequence[object]") -> bool:
    """Say whether values read from a file are valid for a `Score` without a heatmap.

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


def percentage(probability: float) -> str:
    """Return a probability in per cent; only exactly 0 and 1 look like certainty."""
    text = f"{100 * probability:.1f} %"
    if text == "100.0 %" and probability < 1:
        return ">99.9 %"
    return "<0.1 %" if text == "0.0 %" and probability > 0 else text


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and 0 <= cast("float", value) < math.inf


@dataclass(frozen=True, slots=True)
class Score:
    """The result of one image.

    Attributes:
        source: where the image came from: a path, a member of an archive, a URL.
        probability: that it shows at least one face mask, 0 to 1; None if it could not be read.
        error: why not, in one line; else None.
        status: `ok`, or the kind of error.
        width: of the upright image, in pixels; None if it could not be read.
        height: likewise.
        format: by its content: JPEG, PNG, WEBP...; None for an array or a Pillow image.
        milliseconds: time to read it and to run the network.
        heatmap: if asked for, float32 (h, w) over the image's area: what each part adds to the
            logit of the probability. They add up to it, except for a constant of the model.
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
