"""The cluster that a job runs on. Imports nothing heavy."""

from dataclasses import dataclass

from maskspot.arguments import argument, check_bounds

_PANEL = "Cluster"


@dataclass(frozen=True)
class Cluster:
    """A Ray cluster, and how a job is cut for it.

    Attributes:
        address: of the cluster; None starts one on this machine and stops it at the end.
        partition: number of images in each file of the output.
    """

    address: str | None = argument(
        None,
        help="Address of the Ray cluster.",
        show_default="starts one on this machine",
        rich_help_panel=_PANEL,
    )
    partition: int = argument(
        1000, help="Number of images in each of Ray's files.", least=1, rich_help_panel=_PANEL
    )

    def __post_init__(self) -> None:
        check_bounds(self)
