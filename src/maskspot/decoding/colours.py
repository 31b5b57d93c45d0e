"""Conversion of images with an embedded ICC profile to sRGB, as in browsers."""

from functools import lru_cache
from io import BytesIO
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    from PIL import ImageCms

LARGEST_PROFILE = 4 * 2**20
"""Size in bytes beyond which a profile is ignored; those of printers have two to three MiB."""

_STEPS = range(0, 256, 51)
"""Levels of the colours for which a profile is compared with sRGB."""

_SAME = 2
"""Largest difference in levels at which a profile still counts as sRGB."""


def to_srgb(image: Image.Image, profile: object) -> Image.Image:
    """Return an image in sRGB.

    The image is returned unchanged if there is no profile, if the profile is that of sRGB, or if it
    is damaged or for another kind of pixels; browsers show such images unchanged too.

    Args:
        image: an image in mode L, RGB or CMYK.
        profile: the image's ICC profile, bytes.

    Returns:
        The same image, or a new one in mode RGB.
    """
    if not isinstance(profile, bytes) or not 0 < len(profile) <= LARGEST_PROFILE:
        return image
    transform = _transform(profile, image.mode)
    return image if transform is None else transform.apply(image)


@lru_cache(maxsize=16)
def _transform(profile: bytes, mode: str) -> "ImageCms.ImageCmsTransform | None":
    """Return the transform of pixels of a mode to sRGB; None if none is needed."""
    from PIL import ImageCms

    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        intent = ImageCms.Intent(ImageCms.getDefaultIntent(source))
        target = ImageCms.createProfile("sRGB")
        made = ImageCms.buildTransform(source, target, mode, "RGB", intent)
    except Exception:  # littleCMS and Pillow raise many kinds of errors for damaged profiles
        return None
    return None if _is_srgb(made, mode) else made


def _is_srgb(transform: "ImageCms.ImageCmsTransform", mode: str) -> bool:
    """Return whether a transform changes no colour; the name of a profile is not reliable."""
    if mode == "CMYK":
        return False
    colours = [(r, g, b) for r in _STEPS for g in _STEPS for b in _STEPS]
    probe = Image.new("RGB", (len(colours), 1))
    probe.putdata(colours)
    probe = probe.convert(mode)
    before, after = probe.convert("RGB").tobytes(), transform.apply(probe).tobytes()
    return max(abs(a - b) for a, b in zip(before, after, strict=True)) <= _SAME
