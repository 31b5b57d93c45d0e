"""Models side by side: quality, parameters, file size, latency, and which are worth their cost."""

import math
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from maskspot.comparing.contenders import find_contenders
from maskspot.comparing.latency import Latency, measure
from maskspot.comparing.parameters import count_parameters
from maskspot.comparing.pareto import pareto_front
from maskspot.comparing.quality import Exam, Judgement, judge_all, own_judgement
from maskspot.evaluation.evaluate import Question
from maskspot.model.predictor import Predictor
from maskspot.model.shipped import find_model

METRICS = ("log_loss", "accuracy")
"""How good a model is: attributes of `Judgement`."""

COSTS = ("parameters", "bytes", "latency")
"""What a model costs: attributes of `Entry`, by `cost`."""


@dataclass(frozen=True)
class Entry:
    """What was found of one model.

    Attributes:
        name: short, and no other's.
        kind: `run` or `model`.
        backbone: of its network.
        size: side of its input, in pixels.
        passes: through a network, for one image.
        judgement: how good it is.
        parameters: numbers in the ONNX graph's weights; of a run, in those of its export.
        bytes: of the ONNX file; of a run, of its export.
        latency: milliseconds.
    """

    name: str
    kind: str
    backbone: str
    size: int
    passes: int
    judgement: Judgement
    parameters: int
    bytes: int
    latency: Latency

    def cost(self, name: str) -> float:
        """Return one of `COSTS` as a number."""
        return self.latency.value if name == "latency" else float(getattr(self, name))

    def error(self, metric: str) -> float:
        """Return `log_loss`, or for `accuracy` the share of errors: lower is better."""
        estimate = getattr(self.judgement, metric)
        return 1 - estimate.value if metric == "accuracy" else float(estimate.value)


@dataclass(frozen=True)
class Comparison:
    """All models, the least log loss first.

    Attributes:
        entries: the models.
        rounds: of the latency.
    """

    entries: tuple[Entry, ...]
    rounds: int

    @property
    def same_images(self) -> bool:
        """All are known to be judged by the same images with the same labels."""
        keys = {entry.judgement.key for entry in self.entries}
        return len(self.entries) == 1 or (len(keys) == 1 and None not in keys)

    def front(self, metric: str, cost: str) -> list[bool]:
        """Say of each entry whether it is on the Pareto front: see `pareto_front`.

        Args:
            metric: `log_loss` or `accuracy`.
            cost: one of `COSTS`.
        """
        return pareto_front([(entry.error(metric), entry.cost(cost)) for entry in self.entries])


def _ignore(*_: object) -> None:
    """Do nothing."""


@dataclass(frozen=True)
class Listener:
    """What is told how a comparison goes.

    Attributes:
        step: of what is done, how much of it, and how much there is.
        failed: of each image that cannot be scored, and why.
    """

    step: Callable[[str, int, int], None] = _ignore
    failed: Callable[[str, str], None] = _ignore


def compare(
    names: Sequence[str],
    exam: Exam | None = None,
    *,
    rounds: int = 20,
    question: Question | None = None,
    listener: Listener | None = None,
) -> Comparison:
    """Compare runs and models.

    Args:
        names: runs' folders, model files, shipped models' names.
        exam: labelled images by which all are judged; None takes what each says of its own.
        rounds: of the latency's measurement, see `latency.measure`.
        question: the bootstrap.
        listener: told how it goes.

    Raises:
        UsageError: one is named twice.
        DataError: a run is none, or not finished; or no image can be scored.
        ModelFileError: a model file is missing, damaged, or not one this version understands.
        MissingExtraError: a run needs maskspot[train] to be exported.
        ExportError: a run cannot be exported.
    """
    listener, question = listener or Listener(), question or Question()
    with tempfile.TemporaryDirectory(prefix="maskspot-") as scratch:
        contenders = find_contenders(
            names, Path(scratch), lambda name: listener.step(f"exporting {name}", 0, 1)
        )
        predictors = [Predictor(each.model) for each in contenders]
        files = [_measure_file(find_model(each.model)) for each in contenders]
    if exam is None:
        pairs = zip(contenders, predictors, strict=True)
        judgements = [own_judgement(each.run, of.info, question) for each, of in pairs]
    else:
        scored = lambda done, total: listener.step("scoring", done, total)  # noqa: E731
        judgements = judge_all(predictors, exam, question, listener.failed, scored)
    latencies = measure(
        predictors, rounds, lambda done, total: listener.step("timing", done, total)
    )
    entries = [
        Entry(
            contender.name,
            "run" if contender.run else "model",
            predictor.info.backbone,
            predictor.info.preprocessing.size,
            predictor.info.passes,
            judgement,
            *file,
            latency,
        )
        for contender, predictor, judgement, file, latency in zip(
            contenders, predictors, judgements, files, latencies, strict=True
        )
    ]
    entries.sort(key=lambda entry: (math.isnan(entry.error("log_loss")), entry.error("log_loss")))
    return Comparison(tuple(entries), rounds)


def _measure_file(file: Path) -> tuple[int, int]:
    """Return a model file's parameters and bytes."""
    content = file.read_bytes()
    return count_parameters(content), len(content)
