"""Print the photos of a folder that show a mask, most probable first.

python examples/list_masks.py photos 0.8
"""

import sys
from pathlib import Path

import maskspot


def main(folder: str, threshold: str) -> None:
    """Score a folder's JPEGs and keep those from the threshold on."""
    photos = sorted(Path(folder).rglob("*.jpg"))
    found = []
    for score in maskspot.load("fast").predict(photos):
        if score.probability is None:
            print(f"{score.source}: {score.error}", file=sys.stderr)
        elif score.probability >= float(threshold):
            found.append((score.probability, score.source))
    for probability, source in sorted(found, reverse=True):
        print(f"{probability:.3f} {source}")


if __name__ == "__main__":
    main(*sys.argv[1:])
