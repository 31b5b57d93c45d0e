"""Serve a model over HTTP until the process is told to stop."""

import socket

from maskspot.errors import UsageError
from maskspot.extras import require_serve
from maskspot.model.loading import LoadOptions
from maskspot.progress import SILENT, Progress
from maskspot.serving.options import ServedModel, ServeOptions


def serve(
    model: LoadOptions | None = None,
    options: ServeOptions | None = None,
    progress: Progress = SILENT,
) -> int:
    """Answer HTTP requests until a signal ends the process, or Ctrl-C.

    Args:
        model: how to load the model; its `max_pixels` applies to the images of clients. None for
            `ServedModel()`.
        options: where to listen, who has access, and limits; None for `ServeOptions()`.
        progress: is told the server's URL once requests are answered.

    Returns:
        0 if all requests were answered; 128 plus the signal's number if some were cut off.

    Raises:
        MissingExtraError: maskspot[serve] is not installed.
        ServiceError: the port is taken, the host is not an address of this machine, or processes
            cannot be started.
        UsageError: a limit or the token is invalid, or everybody would have access.
        ModelFileError: the model cannot be loaded.
    """
    require_serve("maskspot serve")
    from maskspot.serving.app import Service
    from maskspot.serving.guard import Guard, find_token, known_hosts
    from maskspot.serving.limits import RequestLimits
    from maskspot.serving.server import Server, listen, url_of

    options = options or ServeOptions()
    token = find_token(options.token_file)
    limits = RequestLimits(
        1_000_000 * options.max_body, options.max_images, options.timeout, options.concurrency
    )
    with listen(options.host, options.port) as bound:
        if not (token or options.insecure_no_token):
            _check_private(bound, options.host)
        guard = Guard(token, known_hosts([options.host, *options.allow_host]))
        with progress.step("loading the model"):
            predictor = (model or ServedModel()).load()
        service = Service(predictor, limits, guard, options.threads)

        def ready() -> None:
            name = f"{predictor.info.name} on {predictor.device}"
            progress.say(f"listening on {url_of(bound)}/ with {name}; Ctrl-C stops it")

        try:
            with progress.step("starting processes"):
                service.warm_up()
            server = Server(service, ready)
            server.run(sockets=[bound])
        finally:
            service.close()
    return server.exit_code


def _check_private(bound: socket.socket, host: str) -> None:
    from maskspot.serving.server import is_loopback

    if not is_loopback(bound):
        raise UsageError(
            f"{host} can be reached from other machines; set `token_file`, or "
            "`insecure_no_token` to give everybody access",
            argument="host",
        )
