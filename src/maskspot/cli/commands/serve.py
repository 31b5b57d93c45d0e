"""`maskspot serve`."""

from pathlib import Path
from typing import Annotated

import typer

from maskspot.cli.console import BatchSize, Device, Model, Threads, say
from maskspot.errors import UsageError


def serve(
    model: Model = None,
    host: Annotated[str, typer.Option(help="Address or name to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 for any that is free.")] = 8000,
    token_file: Annotated[
        Path | None,
        typer.Option(
            help="File that holds the token clients must send.",
            show_default="MASKSPOT_SERVE_TOKEN, or none",
        ),
    ] = None,
    insecure_no_token: Annotated[
        bool,
        typer.Option("--insecure-no-token", help="Let all who reach a public address in."),
    ] = False,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(help="Another name of this server; may be given several times."),
    ] = None,
    max_body: Annotated[int, typer.Option(min=1, max=4000, help="Largest request, in MB.")] = 32,
    max_images: Annotated[int, typer.Option(min=1, help="Images in a request.")] = 100,
    max_pixels: Annotated[int, typer.Option(min=1, help="Refuse larger images.")] = 50_000_000,
    timeout: Annotated[float, typer.Option(help="Seconds for a request.")] = 30,
    concurrency: Annotated[
        int, typer.Option(min=1, help="Requests scored or waiting for it at once.")
    ] = 64,
    device: Device = "auto",
    threads: Threads = None,
    batch_size: BatchSize = None,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Only warnings and errors.")] = False,
) -> int:
    """Score images over HTTP, and show a page to drop pictures on.

    Listens on this machine alone unless --host says otherwise, which takes a token. Ends on Ctrl-C
    or SIGTERM once the requests that are here are answered.
    """
    from maskspot.extras import require_serve

    require_serve("maskspot serve")
    from maskspot.model.predictor import Predictor
    from maskspot.model.shipped import DEFAULT
    from maskspot.serving.app import Service
    from maskspot.serving.guard import Guard, find_token, known_hosts
    from maskspot.serving.limits import RequestLimits
    from maskspot.serving.server import Server, is_loopback, listen, url_of

    token = find_token(token_file)
    limits = RequestLimits(1_000_000 * max_body, max_images, timeout, concurrency)
    with listen(host, port) as bound:
        if not (token or insecure_no_token or is_loopback(bound)):
            raise UsageError(
                f"--host: {host} can be reached from elsewhere; set a --token-file, or "
                "--insecure-no-token to let everybody in"
            )
        predictor = Predictor(
            DEFAULT if model is None else model,
            device=device,
            batch_size=batch_size,
            max_pixels=max_pixels,
        )
        guard = Guard(token, known_hosts([host, *(allow_host or [])]))
        service = Service(predictor, limits, guard, threads)

        def ready() -> None:
            if not quiet:
                at = f"{url_of(bound)}/ with {predictor.info.name} on {predictor.device}"
                say(f"listening on {at}; Ctrl-C stops it")

        try:
            server = Server(service, ready)
            server.run(sockets=[bound])
        finally:
            service.close()
    return server.exit_code
