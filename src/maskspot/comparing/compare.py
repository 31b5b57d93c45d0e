"""Models side by side: quality, parameters, file size, latency, and the Pareto front."""

import math
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from maskspot.arguments import several
from maskspot.comparing.candidates import Candidate, find_candidates
from maskspot.comparing.latency import Latency, measure_latencies
from maskspot.comparing.options import BackboneTraining, CompareOptions
from maskspot.comparing.parameters import count_parameters
from maskspot.comparing.pareto import pareto_front
from maskspot.comparing.quality import LabelledItems, ModelQuality, measure_on, own_quality
from maskspot.errors import UsageError
from maskspot.evaluation.evaluate import Question
from maskspot.model.predictor import Predictor
from maskspot.model.shipped import find_model
from maskspot.progress import SILENT, Progress
from maskspot.training.settings import Settings

METRICS = ("log_loss", "accuracy")
"""Attributes of `ModelQuality` by which models are compared."""

COSTS = ("parameters", "bytes", "latency")
"""Attributes of `ComparedModel` that are costs."""


@dataclass(frozen=True)
class ComparedModel:
    """One model of a comparison.

    Attributes:
        name: short and unique.
        kind: `run` or `model`.
        backbone: of its network.
        size: side of its input, in pixels.
        passes: through a network, for one image.
        quality: how good it is.
        parameters: number of weights in the ONNX graph, for a run in that of its export; None if
            unknown.
        bytes: size of the ONNX file, for a run that of its export.
        latency: milliseconds.
    """

    name: str
    kind: str
    backbone: str
    size: int
    passes: int
    quality: ModelQuality
    parameters: int | None
    bytes: int
    latency: Latency

    def cost(self, name: str) -> float:
        """Return one of `COSTS`; NaN if it is unknown."""
        value = self.latency.value if name == "latency" else getattr(self, name)
        return math.nan if value is None else float(value)

    def error(self, metric: str) -> float:
        """Return `log_loss`, or for `accuracy` the share of errors: lower is better."""
        estimate = getattr(self.quality, metric)
        return 1 - estimate.value if metric == "accuracy" else float(estimate.value)


@dataclass(frozen=True)
class ModelComparison:
    """Models side by side.

    Attributes:
        models: the models, by increasing log loss.
        rounds: of the latency.
        left_out: names of images that could not be scored.
    """

    models: tuple[ComparedModel, ...]
    rounds: int
    left_out: tuple[str, ...] = ()

    @property
    def same_images(self) -> bool:
        """Whether all are known to be measured on the same images with the same labels."""
        keys = {model.quality.key for model in self.models}
        return len(self.models) == 1 or (len(keys) == 1 and None not in keys)

    def front(self, metric: str, cost: str) -> list[bool]:
        """Return for each model whether it is on the Pareto front; see `pareto_front`.

        Args:
            metric: one of `METRICS`.
            cost: one of `COSTS`.
        """
        return pareto_front([(model.error(metric), model.cost(cost)) for model in self.models])


def compare(
    models: Sequence[str | os.PathLike[str]] = (),
    options: CompareOptions | None = None,
    training: BackboneTraining | None = None,
    settings: Settings | None = None,
    progress: Progress = SILENT,
) -> ModelComparison:
    """Compare models: how good they are, and what they cost.

    Args:
        models: runs or their folders, model files, shipped models' names.
        options: labelled images on which all are measured, and how; without images each is
            measured by its own metrics.
        training: backbones that are trained first, and compared too; needs maskspot[train].
        settings: of their training; the defaults if None.
        progress: is told how the comparison proceeds.

    Raises:
        UsageError: no model is named, or one twice, or training contradicts an existing run.
        DataError: a folder is not a run, or the run is not finished; or no image can be scored.
        ModelFileError: a model file is missing, damaged, or of a later version.
        MissingExtraError: a run needs maskspot[train] to be exported.
        ExportError: a run cannot be exported.
    """
    options, training = options or CompareOptions(), training or BackboneTraining()
    _check(models, training, settings)
    names = [os.fspath(model) for model in several(models)]
    images = LabelledItems.read(options.labels, options) if options.labels else None
    if training.backbones:
        from maskspot.comparing.backbones import train_backbones

        runs = train_backbones(training, settings or Settings(), progress)
        names += [os.fspath(run) for run in runs]
    question, left_out = Question(resamples=options.resamples), tuple[str, ...]()
    with tempfile.TemporaryDirectory(prefix="maskspot-") as scratch:
        candidates = find_candidates(names, Path(scratch), progress)
        predictors = [Predictor(each.model) for each in candidates]
        if images is None:
            pairs = zip(candidates, predictors, strict=True)
            qualities = [own_quality(each.run, model.info, question) for each, model in pairs]
        else:
            qualities, left_out = measure_on(images, predictors, question, progress)
        latencies = measure_latencies(predictors, options.rounds, progress)
        parts = zip(candidates, predictors, qualities, latencies, strict=True)
        compared = sorted((_compared(*each) for each in parts), key=_by_log_loss)
    return ModelComparison(tuple(compared), options.rounds, left_out)


def _check(models: Sequence[object], training: BackboneTraining, settings: Settings | None) -> None:
    if not models and not training.backbones:
        raise UsageError("name runs or models to compare, or use `backbones`")
    if bool(training.backbones) != bool(training.data) or (settings and not training.backbones):
        raise UsageError("`backbones` and `data` must be given together")


def _compared(
    candidate: Candidate, predictor: Predictor, quality: ModelQuality, latency: Latency
) -> ComparedModel:
    file = find_model(candidate.model)
    return ComparedModel(
        candidate.name,
        "run" if candidate.run else "model",
        predictor.info.backbone,
        predictor.info.preprocessing.size,
        predictor.info.passes,
        quality,
        count_parameters(predictor, file),
        file.stat().st_size,
        latency,
    )


def _by_log_loss(model: ComparedModel) -> tuple[bool, float]:
    return math.isnan(model.error("log_loss")), model.error("log_loss")
