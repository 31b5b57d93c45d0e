"""Score the images of a folder, an archive or a pattern, and write a CSV with details.

python examples/score_folder.py photos scores.csv
"""

import sys
from pathlib import Path

import maskspot
from maskspot.inputs.items import find_items
from maskspot.outputs.form import Form
from maskspot.outputs.writing import write_scores
from maskspot.scoring.pipeline import score


def main(images: str, output: str) -> None:
    """Score images on all cores; the CSV appears when all of them are finished."""
    predictor = maskspot.load()
    scores = score(predictor, find_items([images]))
    counts = write_scores(scores, Form(details=True, model=predictor.id), Path(output))
    print(f"{counts.scored} scored, {counts.failed} failed")


if __name__ == "__main__":
    main(*sys.argv[1:])
