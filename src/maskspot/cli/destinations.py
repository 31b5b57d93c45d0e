"""Old name of `maskspot.outputs.conflicts`, until the commands use it themselves."""

from collections.abc import Mapping
from pathlib import Path

from maskspot.outputs.conflicts import OutputFiles


class Destinations(OutputFiles):
    """Output files by their options."""

    def __init__(self, files: Mapping[str, Path | None]) -> None:
        super().__init__({name.strip("-"): path for name, path in files.items()})

    sparing = OutputFiles.check_items

    def check_data(self, folder: Path, labels: str | None = None) -> None:
        """Refuse to overwrite what a data folder holds."""
        from contextlib import suppress

        from maskspot.datasets.labels import find_labels
        from maskspot.datasets.survey import find_sample
        from maskspot.errors import MaskspotError

        files: list[str | Path | None] = [labels, folder / labels] if labels else []
        for find in (find_labels, find_sample):
            with suppress(MaskspotError, OSError):
                files.append(find(folder))
        self.check(files)
        self.check_folder(folder)
