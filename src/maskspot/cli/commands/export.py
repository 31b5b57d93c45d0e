"""`maskspot export`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maskspot.cli.console import say
from maskspot.cli.destinations import Destinations
from maskspot.errors import UsageError
from maskspot.extras import require_train

if TYPE_CHECKING:
    from maskspot.model.info import ModelInfo


def export(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run.", show_default=False)],
    output: Annotated[Path, typer.Option("-o", "--output", help="Model file to write.")] = Path(
        "model.onnx"
    ),
    name: Annotated[
        str | None, typer.Option(help="Name of the model.", show_default="the file's")
    ] = None,
    calibrate: Annotated[
        bool, typer.Option(help="Fit scale and bias of the logits on held-back images.")
    ] = True,
    calibration: Annotated[
        Path | None,
        typer.Option(help="Another run, on whose held-back images they are fitted."),
    ] = None,
    prior: Annotated[
        float,
        typer.Option(
            min=1e-6,
            max=1 - 1e-6,
            help="Share of images with masks where the model will be used.",
        ),
    ] = 0.5,
    windows: Annotated[
        bool,
        typer.Option("--windows", help="Look at windows of the image too: finds small masks."),
    ] = False,
    flip: Annotated[
        bool, typer.Option("--flip", help="Average with the mirror image, at twice the cost.")
    ] = False,
    float32: Annotated[
        bool, typer.Option("--float32", help="Weights in full precision: twice the size.")
    ] = False,
    int8: Annotated[
        bool, typer.Option("--int8", help="Weights and activations in 8 bits; needs the images.")
    ] = False,
    int8_tolerance: Annotated[
        float, typer.Option(min=0.0, help="Rise of held-back log loss at which int8 is refused.")
    ] = 0.01,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Only warnings and errors.")] = False,
) -> None:
    """Turn a training run into one ONNX file that predict reads.

    Of a run with folds, the file averages the networks. It is written only if Keras and
    onnxruntime agree on the run's validation images.
    """
    require_train("maskspot export")
    if output.is_dir() or output.suffix.lower() != ".onnx":
        raise UsageError(f"--output: {output} is no name of a model file: it must end in .onnx")
    Destinations({"--output": output}).check([run, calibration])
    if float32 and int8:
        raise UsageError("--float32 and --int8: name one of them")
    if calibration is not None and not calibrate:
        raise UsageError("--calibration and --no-calibrate: name one of them")
    from maskspot.exporting.export import Options
    from maskspot.exporting.export import export as export_run
    from maskspot.training.run import Run

    options = Options(
        calibrate=calibrate,
        calibration=None if calibration is None else Run.open(calibration),
        prior=prior,
        windows=windows,
        flip=flip,
        storage="int8" if int8 else "float32" if float32 else "float16",
        int8_tolerance=int8_tolerance,
    )
    info, difference = export_run(Run.open(run), output, name, options)
    if quiet:
        return
    size = output.stat().st_size / 1e6
    say(
        f"{output}: {info.backbone}, {size:.1f} MB, validation log loss "
        f"{info.metrics['log_loss']:.4f}; Keras and onnxruntime agree within {difference:.1e}"
    )
    for line in _particulars(info, calibrate, flip):
        say(f"  {line}")


def _particulars(info: "ModelInfo", calibrate: bool, flip: bool) -> list[str]:
    """Return lines on cost, calibration and storage."""
    from maskspot.exporting.calibrating import LEAST_IMAGES

    lines = []
    if info.passes > 1:
        looks = info.windows["passes"] if info.windows else 1
        networks = info.passes // (looks * (2 if flip else 1))
        times = " x 2 for the mirror" if flip else ""
        times += f" x {looks} for the windows" if info.windows else ""
        lines.append(
            f"{networks} network{'s' * (networks > 1)}{times}: {info.passes} passes an image"
        )
    if facts := info.calibration:
        before, after = facts["before"], facts["after"]
        lines.append(
            f"calibrated on {facts['images']} held-back images of {facts['run']}, and there: "
            f"log loss {before['log_loss']:.4f} to {after['log_loss']:.4f}, "
            f"ECE {before['ece']:.4f} to {after['ece']:.4f}"
        )
    elif calibrate:
        lines.append(f"not calibrated: that takes {LEAST_IMAGES} held-back images, of both classes")
    if info.storage["weights"] == "float16":
        lines.append(
            f"weights in float16: probabilities within {info.storage['difference']:.1e} of float32"
        )
    elif "float16_difference" in info.storage:
        lines.append(
            "weights in float32: as float16 they would move a probability by "
            f"{info.storage['float16_difference']:.1e}"
        )
    elif info.storage["weights"] == "int8":
        facts = info.storage
        lines.append(
            f"int8, but {len(facts['left_out'])} of {facts['layers']} layers: log loss on "
            f"{facts['images']} held-back images {facts['before']:.4f} to {facts['after']:.4f}"
        )
    return lines
