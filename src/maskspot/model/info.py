"""The metadata of a model file, which carries all that a predictor must know.

The contract of format 1. The graph has one input, `images`: RGB uint8 (N, S, S, 3), N free; an
output `probability`: float64 (N, 1), the probability that the image shows at least one face mask;
and, in most files, an output `heatmap`: float32 (N, h, w), what each cell of the image adds to the
logit of the probability, up to a constant. Normalisation is inside the graph. `metadata_props` has
one entry, `maskspot`: the JSON form of `ModelInfo`. Later formats may add outputs; readers ignore
unknown names, and use defaults for `passes`, `calibration`, `storage`, `windows` and `parameters`,
which the first files lack.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from maskspot._version import __version__
from maskspot.errors import ModelFileError, UsageError
from maskspot.images import Preprocessing

KEY = "maskspot"
FORMAT = 1
INPUT = "images"
OUTPUT = "probability"
HEATMAP = "heatmap"
_LONGEST, _MOST = 1000, 10_000  # characters of a text, passes of an image
QUESTION = "at least one face mask is visible"


@dataclass(frozen=True)
class ModelInfo:
    """What a model file states about itself.

    Attributes:
        name: of the model.
        preprocessing: how an image becomes its input.
        backbone: of the network.
        metrics: measured on its validation images, by name.
        training: origin of the network: weights, data and settings, as plain values.
        passes: number of passes through a network per probability, which is its cost.
        calibration: scale and bias of the logits, and how they were fitted; empty without them.
        storage: how the weights are stored, and what that changed.
        windows: how windows of the image are scored; empty if only the whole image is.
        parameters: number of weights in the graph; None in files that do not state it.
        format: of the file; this version reads 1.
        maskspot: version that wrote the file.
        question: what the probability refers to.
    """

    name: str
    preprocessing: Preprocessing
    backbone: str
    metrics: Mapping[str, float] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    passes: int = 1
    calibration: Mapping[str, Any] = field(default_factory=dict)
    storage: Mapping[str, Any] = field(default_factory=dict)
    windows: Mapping[str, Any] = field(default_factory=dict)
    parameters: int | None = None
    format: int = FORMAT
    maskspot: str = __version__
    question: str = QUESTION

    @property
    def prior(self) -> float | None:
        """Share of images with masks that the model was calibrated for; None if unknown."""
        prior = self.calibration.get("prior")
        return prior if isinstance(prior, float) and 0 < prior < 1 else None

    def to_json(self) -> str:
        """Return the text of the metadata entry."""
        return json.dumps(asdict(self))


def read_info(metadata: Mapping[str, str], name: str) -> ModelInfo:
    """Parse the metadata of a model file.

    Args:
        metadata: the file's `metadata_props`.
        name: of the file, for errors.

    Raises:
        ModelFileError: it is not a model file of maskspot, or of a later format.
    """
    if KEY not in metadata:
        raise ModelFileError(
            f"{name}: an ONNX file, but not of maskspot (its metadata lack {KEY!r}); "
            "maskspot export writes one"
        )
    try:
        values = json.loads(metadata[KEY])
        if not _is_plain(values):
            raise ValueError("nested too deeply, or a number is too large")
        version = values["format"]
        if isinstance(version, int) and version > FORMAT:
            raise ModelFileError(
                f"{name}: written by maskspot {values.get('maskspot', '?')} in format {version}, "
                f"and this is {__version__}, which reads up to {FORMAT}: pip install -U maskspot"
            )
        if version != FORMAT:
            raise ValueError(f"format {version!r}")
        return ModelInfo(
            name=_text(values["name"]),
            preprocessing=Preprocessing.from_dict(values["preprocessing"]),
            backbone=_text(values["backbone"]),
            metrics=dict(values["metrics"]),
            training=dict(values["training"]),
            passes=_count(values.get("passes", 1)),
            calibration=dict(values.get("calibration", {})),
            storage=dict(values.get("storage", {})),
            windows=dict(values.get("windows", {})),
            parameters=_parameters(values.get("parameters")),
            format=version,
            maskspot=_text(values["maskspot"]),
            question=_text(values["question"]),
        )
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
        raise ModelFileError(f"{name}: its metadata are damaged ({error})") from error
    except (RecursionError, UsageError) as error:
        raise ModelFileError(f"{name}: its metadata are damaged ({error})") from error


def _text(value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST:
        raise ValueError(f"text must have 1 to {_LONGEST} characters")
    return value


def _count(value: object) -> int:
    if type(value) is not int or not 0 < value <= _MOST:
        raise ValueError(f"a count must be from 1 to {_MOST}")
    return value


def _parameters(value: object) -> int | None:
    if value is not None and (type(value) is not int or value < 0):
        raise ValueError("parameters must be a positive integer")
    return value


def _is_plain(value: object, depth: int = 16) -> bool:
    """Say whether a JSON value is at most `depth` levels deep and its integers fit in 64 bits."""
    if isinstance(value, dict):
        return depth > 0 and all(_is_plain(each, depth - 1) for each in value.values())
    if isinstance(value, list):
        return depth > 0 and all(_is_plain(each, depth - 1) for each in value)
    return not isinstance(value, int) or -(2**63) <= value < 2**63
