"""`maskspot export`."""

from pathlib import Path
from typing import Annotated

import typer

from maskspot.cli.console import say
from maskspot.errors import UsageError
from maskspot.extras import require_train


def export(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run.", show_default=False)],
    output: Annotated[Path, typer.Option("-o", "--output", help="Model file to write.")] = Path(
        "model.onnx"
    ),
    name: Annotated[
        str | None, typer.Option(help="Name of the model.", show_default="the file's")
    ] = None,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Only warnings and errors.")] = False,
) -> None:
    """Turn a training run into one ONNX file that predict reads.

    Writes the file only if Keras and onnxruntime agree on the run's validation images.
    """
    require_train("maskspot export")
    if output.is_dir() or output.suffix.lower() != ".onnx":
        raise UsageError(f"--output: {output} is no name of a model file: it must end in .onnx")
    from maskspot.exporting.export import export as export_run
    from maskspot.training.run import Run

    info, difference = export_run(Run.open(run), output, name)
    if not quiet:
        size = output.stat().st_size / 1e6
        say(
            f"{output}: {info.backbone}, {size:.1f} MB, validation log loss "
            f"{info.metrics['log_loss']:.4f}; Keras and onnxruntime agree within {difference:.1e}"
        )
