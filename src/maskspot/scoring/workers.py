"""How many threads and processes score. Imports nothing heavy."""

from dataclasses import dataclass

from maskspot.arguments import argument, check_bounds


@dataclass(frozen=True)
class Workers:
    """How many threads and processes score.

    Attributes:
        threads: number of threads; None for one per CPU.
        processes: number of processes that share them; None decides by the number of CPUs.
    """

    threads: int | None = argument(
        None,
        help="Number of threads.",
        least=1,
        show_default="one for each CPU",
        rich_help_panel="Speed",
    )
    processes: int | None = argument(
        None,
        help="Number of processes that share the threads.",
        least=1,
        show_default="1; with 8 CPUs or more, one for each 4",
        rich_help_panel="Speed",
    )

    def __post_init__(self) -> None:
        check_bounds(self)
