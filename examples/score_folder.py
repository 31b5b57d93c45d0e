"""Score the images of a folder, an archive or a pattern, and write a CSV with details.

python examples/score_folder.py photos scores.csv
"""

import sys
from pathlib import Path

import maskspot


def main(images: str, output: str) -> None:
    """Score images on all cores; the CSV appears when all of them are finished."""
    job = maskspot.PredictJob(
        maskspot.Selection((images,)),
        form=maskspot.FormOptions(details=True),
        destination=maskspot.Destination(Path(output)),
    )
    counts = job.run()
    print(f"{counts.scored} scored, {counts.failed} failed")


if __name__ == "__main__":
    main(*sys.argv[1:])
