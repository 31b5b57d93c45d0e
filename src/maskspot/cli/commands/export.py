"""`maskspot export`."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maskspot.cli.console import say
from maskspot.cli.options import Quiet, with_options
from maskspot.cli.progress import showing
from maskspot.exporting.options import ExportOptions

if TYPE_CHECKING:
    from maskspot.exporting.export import ExportResult
    from maskspot.model.info import ModelInfo

EXAMPLES = (
    "maskspot export runs/mine -o model.onnx",
    "maskspot export runs/mine -o small.onnx --int8",
)


@with_options
def export(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run.", show_default=False)],
    output: Annotated[
        Path,
        typer.Option(
            "-o", "--output", help="Model file to write.", metavar="FILE", rich_help_panel="Output"
        ),
    ] = Path("model.onnx"),
    *,
    options: ExportOptions,
    quiet: Quiet = False,
) -> None:
    """Turn a training run into one ONNX file that predict reads.

    The networks of a run with folds are averaged. The file is written only if Keras and
    onnxruntime agree on the run's validation images.
    """
    from maskspot.exporting.export import export as export_run

    with showing(quiet) as progress:
        result = export_run(run, output, options, progress)
    if not quiet:
        _show(result, options)


def _show(result: "ExportResult", options: ExportOptions) -> None:
    info, size = result.info, result.file.stat().st_size / 1e6
    say(
        f"{result.file}: {info.backbone}, {size:.1f} MB, validation log loss "
        f"{info.metrics['log_loss']:.4f}; "
        f"Keras and onnxruntime agree within {result.difference:.1e}"
    )
    for line in (*_cost(info, options.flip), *_calibration(info, options), *_storage(info)):
        say(f"  {line}")


def _cost(info: "ModelInfo", flip: bool) -> Iterator[str]:
    if info.passes > 1:
        looks = info.windows["passes"] if info.windows else 1
        networks = info.passes // (looks * (2 if flip else 1))
        times = " x 2 for the mirror image" if flip else ""
        times += f" x {looks} for the windows" if info.windows else ""
        word = "networks" if networks > 1 else "network"
        yield f"{networks} {word}{times}: {info.passes} passes per image"


def _calibration(info: "ModelInfo", options: ExportOptions) -> Iterator[str]:
    from maskspot.exporting.calibrating import LEAST_IMAGES

    if facts := info.calibration:
        before, after = facts["before"], facts["after"]
        yield (
            f"calibrated on {facts['images']} held-back images of {facts['run']}: "
            f"log loss {before['log_loss']:.4f} to {after['log_loss']:.4f}, "
            f"ECE {before['ece']:.4f} to {after['ece']:.4f}"
        )
    elif options.calibrate:
        yield f"not calibrated, which needs {LEAST_IMAGES} held-back images of both classes"


def _storage(info: "ModelInfo") -> Iterator[str]:
    facts = info.storage
    if facts["weights"] == "float16":
        yield f"weights in float16: probabilities within {facts['difference']:.1e} of float32"
    elif "float16_difference" in facts:
        yield (
            "weights in float32: float16 would change a probability by "
            f"{facts['float16_difference']:.1e}"
        )
    elif facts["weights"] == "int8":
        yield (
            f"int8, except {len(facts['left_out'])} of {facts['layers']} layers: log loss on "
            f"{facts['images']} held-back images {facts['before']:.4f} to {facts['after']:.4f}"
        )
