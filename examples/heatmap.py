"""Show where the mask is: write a copy of a photo with the heatmap over it.

python examples/heatmap.py photo.jpg photo.heatmap.jpg
"""

import sys

import maskspot
from maskspot.images import open_rgb
from maskspot.model.heatmaps import overlay, peak


def main(photo: str, output: str) -> None:
    """Score a photo with its heatmap, and draw it."""
    image = open_rgb(photo)
    score = maskspot.load().predict(image, heatmap=True)
    x, y = peak(score)
    print(f"probability {score.probability:.3f}, strongest at {x:.0%} from left, {y:.0%} from top")
    overlay(image, score).save(output)


if __name__ == "__main__":
    main(*sys.argv[1:])
