"""`maskspot serve`."""

from maskspot.cli.options import Quiet, with_options
from maskspot.cli.progress import showing
from maskspot.serving.options import ServedModel, ServeOptions

EXAMPLES = (
    "maskspot serve",
    "maskspot serve -m fast --port 8080",
)


@with_options
def serve(model: ServedModel, options: ServeOptions, quiet: Quiet = False) -> int:
    """Score images over HTTP, and show a page to drop pictures on.

    The server listens on this machine only unless --host says otherwise, which requires a token. On
    Ctrl-C or SIGTERM it answers the requests that it has, and stops.
    """
    from maskspot.serving.serve import serve as run

    with showing(quiet) as progress:
        return run(model, options, progress)
