"""Write a submission in the header, rows and order of a sample, and check it.

python examples/submission.py photos/images photos/sample_sub_v2.csv sub.csv
"""

import sys
from pathlib import Path

import maskspot


def main(images: str, sample: str, output: str) -> None:
    """Score the images that the sample names, in its order."""
    job = maskspot.PredictJob(
        maskspot.Selection((images,)),
        form=maskspot.FormOptions(sample=Path(sample)),
        destination=maskspot.Destination(Path(output)),
    )
    counts = job.run()
    for doubt in maskspot.check_submission(output, sample):
        print(f"warning: {doubt}")
    print(f"{output}: {counts.scored} images")


if __name__ == "__main__":
    main(*sys.argv[1:])
