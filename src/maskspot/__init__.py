"""maskspot: how likely is it that this image shows at least one face mask?

import maskspot

predictor = maskspot.load()
score = predictor.predict("photo.jpg")
score.probability

Each command of the command line is one call of a function or of an object here. Names are imported
when they are first used, so that `import maskspot` loads neither numpy nor onnxruntime.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from maskspot._version import __version__

if TYPE_CHECKING:
    from maskspot.checking.check import DataCheck as DataCheck
    from maskspot.checking.check import check as check
    from maskspot.comparing.compare import ModelComparison as ModelComparison
    from maskspot.comparing.compare import compare as compare
    from maskspot.comparing.options import BackboneTraining as BackboneTraining
    from maskspot.comparing.options import CompareOptions as CompareOptions
    from maskspot.datasets.labels import Layout as Layout
    from maskspot.engines.cluster import Cluster as Cluster
    from maskspot.engines.ray import run_on_ray as run_on_ray
    from maskspot.errors import DataError as DataError
    from maskspot.errors import ImageError as ImageError
    from maskspot.errors import MaskspotError as MaskspotError
    from maskspot.errors import ModelFileError as ModelFileError
    from maskspot.errors import ServiceError as ServiceError
    from maskspot.errors import UsageError as UsageError
    from maskspot.evaluation.evaluate import Assessment as Assessment
    from maskspot.evaluation.evaluate import evaluate as evaluate
    from maskspot.evaluation.evaluate_model import Evaluation as Evaluation
    from maskspot.evaluation.evaluate_model import evaluate_model as evaluate_model
    from maskspot.evaluation.question import Question as Question
    from maskspot.evaluation.sources import LabelFiles as LabelFiles
    from maskspot.evaluation.sources import PredictionSource as PredictionSource
    from maskspot.exporting.export import ExportResult as ExportResult
    from maskspot.exporting.export import export as export
    from maskspot.exporting.options import ExportOptions as ExportOptions
    from maskspot.inputs.selection import Selection as Selection
    from maskspot.model.describe import describe as describe
    from maskspot.model.info import ModelInfo as ModelInfo
    from maskspot.model.loading import LoadOptions as LoadOptions
    from maskspot.model.machine import describe_machine as describe_machine
    from maskspot.model.predictor import Predictor as Predictor
    from maskspot.model.score import Score as Score
    from maskspot.outputs.destination import Destination as Destination
    from maskspot.outputs.form import FormOptions as FormOptions
    from maskspot.outputs.writing import Counts as Counts
    from maskspot.progress import SILENT as SILENT
    from maskspot.progress import Progress as Progress
    from maskspot.scoring.job import PredictJob as PredictJob
    from maskspot.scoring.workers import Workers as Workers
    from maskspot.serving.options import ServedModel as ServedModel
    from maskspot.serving.options import ServeOptions as ServeOptions
    from maskspot.serving.serve import serve as serve
    from maskspot.training.run import Run as Run
    from maskspot.training.settings import Settings as Settings
    from maskspot.training.train import TrainingStopped as TrainingStopped
    from maskspot.training.train import resume as resume
    from maskspot.training.train import train as train
    from maskspot.zindi.account import ZindiAccount as ZindiAccount
    from maskspot.zindi.fetch import FetchSource as FetchSource
    from maskspot.zindi.fetch import fetch as fetch
    from maskspot.zindi.leaderboard import leaderboard as leaderboard
    from maskspot.zindi.submission import check_submission as check_submission
    from maskspot.zindi.submission import submit as submit

# onnxruntime reports its use to its makers, on Linux too, unless this is set before it is loaded.
# A setting of the user's own is left alone.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__all__ = [
    "SILENT",
    "Assessment",
    "BackboneTraining",
    "Cluster",
    "CompareOptions",
    "Counts",
    "DataCheck",
    "DataError",
    "Destination",
    "Evaluation",
    "ExportOptions",
    "ExportResult",
    "FetchSource",
    "FormOptions",
    "ImageError",
    "LabelFiles",
    "Layout",
    "LoadOptions",
    "MaskspotError",
    "ModelComparison",
    "ModelFileError",
    "ModelInfo",
    "PredictJob",
    "PredictionSource",
    "Predictor",
    "Progress",
    "Question",
    "Run",
    "Score",
    "Selection",
    "ServeOptions",
    "ServedModel",
    "ServiceError",
    "Settings",
    "TrainingStopped",
    "UsageError",
    "Workers",
    "ZindiAccount",
    "__version__",
    "check",
    "check_submission",
    "compare",
    "describe",
    "describe_machine",
    "evaluate",
    "evaluate_model",
    "export",
    "fetch",
    "leaderboard",
    "load",
    "resume",
    "run_on_ray",
    "serve",
    "submit",
    "train",
]

_MODULES = {
    "model.predictor": "Predictor",
    "model.score": "Score",
    "inputs.selection": "Selection",
    "model.loading": "LoadOptions",
    "outputs.form": "FormOptions",
    "outputs.destination": "Destination",
    "scoring.workers": "Workers",
    "scoring.job": "PredictJob",
    "outputs.writing": "Counts",
    "engines.cluster": "Cluster",
    "engines.ray": "run_on_ray",
    "zindi.fetch": "fetch FetchSource",
    "zindi.account": "ZindiAccount",
    "checking.check": "check DataCheck",
    "datasets.labels": "Layout",
    "training.settings": "Settings",
    "training.train": "train resume TrainingStopped",
    "training.run": "Run",
    "exporting.options": "ExportOptions",
    "exporting.export": "export ExportResult",
    "comparing.options": "CompareOptions BackboneTraining",
    "comparing.compare": "compare ModelComparison",
    "evaluation.sources": "LabelFiles PredictionSource",
    "evaluation.question": "Question",
    "evaluation.evaluate_model": "evaluate_model Evaluation",
    "evaluation.evaluate": "evaluate Assessment",
    "zindi.submission": "check_submission submit",
    "zindi.leaderboard": "leaderboard",
    "serving.serve": "serve",
    "serving.options": "ServedModel ServeOptions",
    "model.describe": "describe",
    "model.machine": "describe_machine",
    "model.info": "ModelInfo",
    "progress": "Progress SILENT",
    "errors": "MaskspotError UsageError DataError ImageError ModelFileError ServiceError",
}
"""The public names of each module."""

_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names.split()}


def load(model: str | os.PathLike[str] | None = None) -> "Predictor":
    """Load a model: a file, or the name of a shipped model; None is the default model.

    Raises:
        maskspot.errors.ModelFileError: the file is missing, damaged, or not supported.
    """
    from maskspot.model.predictor import Predictor
    from maskspot.model.shipped import DEFAULT

    return Predictor(DEFAULT if model is None else model)


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'maskspot' has no attribute {name!r}")
    return getattr(import_module(f"maskspot.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return __all__
