"""`maskspot compare`."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from maskspot.cli.console import warn
from maskspot.cli.options import AsJson, Partial, Quiet, with_options
from maskspot.cli.progress import showing
from maskspot.comparing.options import BackboneTraining, CompareOptions
from maskspot.errors import MissingExtraError, UsageError
from maskspot.training.settings import Settings

if TYPE_CHECKING:
    from maskspot.comparing.compare import ModelComparison

_ENDINGS = (".png", ".svg", ".pdf")
_PANEL = "Training, with --train"
_SETTINGS = ("weights", "size", "epochs", "folds", "seed")

EXAMPLES = (
    "maskspot compare default fast",
    "maskspot compare default fast -o models.svg",
)


@with_options
def compare(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            help="Folders of runs, model files, names of shipped models.",
            metavar="RUN|MODEL...",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="Plot to write: .png, .svg or .pdf.",
            metavar="FILE",
            rich_help_panel="Output",
        ),
    ] = None,
    *,
    options: CompareOptions,
    training: Annotated[Mapping[str, Any], Partial(BackboneTraining, panel=_PANEL)],
    config: Annotated[
        Path | None,
        typer.Option(
            help="TOML or JSON file of settings; options override it.",
            metavar="FILE",
            rich_help_panel=_PANEL,
        ),
    ] = None,
    settings: Annotated[Mapping[str, Any], Partial(Settings, only=_SETTINGS, panel=_PANEL)],
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> int:
    """Show how good models are and what they cost, as a table and a plot.

    Log loss and accuracy against parameters, file size and latency, with the Pareto front.
    """
    words = ",".join(training.get("backbones", ())).split(",")
    backbones = tuple(word.strip() for word in words if word.strip())
    chosen = BackboneTraining(**{**training, "backbones": backbones})
    resolved = None
    if backbones or config or settings:
        from maskspot.training.presets import resolve

        resolved = resolve(None, config, settings)
    _check_output(output, models or [], config, options, chosen)
    from maskspot.comparing.compare import compare as compare_models

    with _plot(output) if output else nullcontext() as draw:
        with showing(quiet) as progress:
            comparison = compare_models(models or [], options, chosen, resolved, progress)
        if draw:
            draw(comparison)
    if not comparison.same_images:
        warn("models are not measured on the same images; use --labels and --images")
    from maskspot.cli.tables.comparison import as_values, show

    if as_json:
        print(json.dumps(as_values(comparison), indent=2, allow_nan=False))
    else:
        show(comparison)
    return 1 if comparison.left_out else 0


def _check_output(
    output: Path | None,
    models: list[str],
    config: Path | None,
    options: CompareOptions,
    training: BackboneTraining,
) -> None:
    """Refuse to write the plot over anything that is read."""
    from maskspot.datasets.survey import csvs_of
    from maskspot.inputs.items import find_items
    from maskspot.outputs.conflicts import OutputFiles

    outputs = OutputFiles({"output": output})
    outputs.check([options.labels, config, *models, *options.images])
    for folder in training.data:
        outputs.check(csvs_of(folder, None))
        outputs.check_folder(folder)
    if output and output.exists() and options.images:
        for _ in outputs.check_items(find_items(options.images)):
            pass  # the check is made as images are found


@contextmanager
def _plot(output: Path) -> Iterator[Callable[["ModelComparison"], None]]:
    """Yield a function that draws the plot; one that cannot be written is refused at once."""
    if output.suffix.lower() not in _ENDINGS:
        raise UsageError(f"--output: {output} must end in {', '.join(_ENDINGS)}")
    if find_spec("matplotlib") is None:
        raise MissingExtraError("maskspot compare --output", "report")
    from maskspot.extras import import_matplotlib
    from maskspot.files import replacing

    import_matplotlib()
    with replacing(output) as beside:

        def draw(comparison: "ModelComparison") -> None:
            from maskspot.comparing.plot import draw

            draw(comparison, beside)

        yield draw
