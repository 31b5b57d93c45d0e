"""Draw pictures for the benchmarks from noise and gradients; no photos are needed.

python benchmarks/drawing.py FOLDER COUNT WIDTH HEIGHT
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image


def draw(size: tuple[int, int], rng: np.random.Generator, noise: float = 6) -> Image.Image:
    """Return an RGB picture of large soft shapes and fine noise, both of which photos have."""
    width, height = size
    coarse = rng.integers(0, 256, (max(2, height // 64), max(2, width // 64), 3), dtype=np.uint8)
    soft = np.asarray(Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC), np.float32)
    slope = np.linspace(-20, 20, width, dtype=np.float32)[None, :, None]
    # Noise is repeated in tiles, as that for a large picture would take seconds.
    tile = rng.normal(0, noise, (min(height, 500), min(width, 500), 3)).astype(np.float32)
    times = (-(-height // len(tile)), -(-width // len(tile[0])), 1)
    grain = np.tile(tile, times)[:height, :width]
    return Image.fromarray((soft + slope + grain).clip(0, 255).astype(np.uint8))


def draw_jpegs(folder: Path, count: int, size: tuple[int, int], quality: int = 90) -> list[Path]:
    """Write `count` different JPEGs, the same ones each time."""
    files = [folder / f"drawn{number:06}.jpg" for number in range(count)]
    for number, file in enumerate(files):
        draw(size, np.random.default_rng(number)).save(file, quality=quality)
    return files


if __name__ == "__main__":
    draw_jpegs(Path(sys.argv[1]), int(sys.argv[2]), (int(sys.argv[3]), int(sys.argv[4])))
