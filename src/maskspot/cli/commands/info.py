"""`maskspot info`."""

import json
from typing import Annotated

import typer

from maskspot.cli.console import warn
from maskspot.cli.options import AsJson, with_options

EXAMPLES = (
    "maskspot info",
    "maskspot info default",
)


@with_options
def info(
    model: Annotated[
        str | None,
        typer.Argument(help="Model file, or the name of a shipped model.", metavar="[MODEL]"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Describe a model file, the devices of this machine, and the installed versions.

    Without a model, it shows how good and how costly the shipped ones are, and when to take which.
    """
    from maskspot.model.describe import describe
    from maskspot.model.machine import describe_machine
    from maskspot.model.providers import two_runtimes
    from maskspot.model.shipped import shipped

    machine = describe_machine()
    if len(machine["runtimes"]) > 1:
        warn(two_runtimes(machine["runtimes"]))
    models = [describe(name) for name in (shipped() if model is None else [model])]
    if as_json:
        described = {"models": models} if model is None else {"model": models[0]}
        print(json.dumps({**described, "machine": machine}, indent=2))
        return
    from maskspot.cli.tables.info import show_machine, show_model, show_models

    if model is None:
        show_models(models)
    else:
        show_model(models[0])
    show_machine(machine)
