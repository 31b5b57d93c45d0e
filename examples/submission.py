"""Write a submission in the header, rows and order of a sample, and check it.

python examples/submission.py photos/images photos/sample_sub_v2.csv sub.csv
"""

import sys
from pathlib import Path

import maskspot
from maskspot.inputs.items import find_items
from maskspot.inputs.names import match_items
from maskspot.outputs.form import Form
from maskspot.outputs.sample import Sample
from maskspot.outputs.writing import write_scores
from maskspot.scoring.pipeline import score
from maskspot.zindi.submission import check_submission


def main(images: str, sample_file: str, output: str) -> None:
    """Score the images that the sample names, in its order."""
    sample = Sample.read(Path(sample_file))
    items = match_items(sample.names, find_items([images]), Path(sample_file))
    write_scores(score(maskspot.load(), items), Form(sample=sample), Path(output))
    for doubt in check_submission(Path(output), Path(sample_file)):
        print(f"warning: {doubt}")
    print(f"{output}: {len(sample.names)} images")


if __name__ == "__main__":
    main(*sys.argv[1:])
