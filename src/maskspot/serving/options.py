"""How the server listens and what it accepts, as an object. Imports nothing heavy."""

from dataclasses import dataclass
from pathlib import Path

from maskspot.arguments import argument, check_bounds, make_paths
from maskspot.model.loading import LoadOptions


@dataclass(frozen=True)
class ServedModel(LoadOptions):
    """How to load a model for images of strangers: smaller ones than elsewhere."""

    max_pixels: int | None = argument(
        50_000_000, help="Refuse larger images.", least=1, rich_help_panel="Speed"
    )


@dataclass(frozen=True)
class ServeOptions:
    """Where to listen, who has access, and what a request may take."""

    host: str = argument(
        "127.0.0.1", help="Address or name to listen on.", rich_help_panel="Network"
    )
    port: int = argument(
        8000,
        help="Port to listen on; 0 for any free one.",
        least=0,
        most=65535,
        rich_help_panel="Network",
    )
    token_file: Path | None = argument(
        None,
        help="File with the token that clients must send.",
        show_default="MASKSPOT_SERVE_TOKEN, or none",
        rich_help_panel="Network",
    )
    insecure_no_token: bool = argument(
        False,
        help="Give everybody access who can reach a public address.",
        rich_help_panel="Network",
    )
    allow_host: tuple[str, ...] = argument(
        (),
        help="Another name of this server; may be given several times.",
        rich_help_panel="Network",
    )
    max_body: int = argument(
        32, help="Size of the largest request, in MB.", least=1, most=4000, rich_help_panel="Limits"
    )
    max_images: int = argument(
        100, help="Largest number of images in a request.", least=1, rich_help_panel="Limits"
    )
    timeout: float = argument(
        30.0, help="Seconds that a request may take.", rich_help_panel="Limits"
    )
    concurrency: int = argument(
        64,
        help="Number of requests that may be scored or wait for it at once.",
        least=1,
        rich_help_panel="Limits",
    )
    threads: int | None = argument(
        None,
        help="Number of threads that score.",
        least=1,
        show_default="one for each CPU",
        rich_help_panel="Speed",
    )

    def __post_init__(self) -> None:
        make_paths(self, "token_file")
        check_bounds(self)
