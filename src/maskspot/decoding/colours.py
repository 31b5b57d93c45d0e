"""Pixels brought from the colours of an embedded ICC profile to sRGB, as browsers show them."""

from functools import lru_cache
from io import BytesIO
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    from PIL import ImageCms

LARGEST_PROFILE = 4 * 2**20
"""Bytes of a profile beyond which it is ignored; those of printers take two to three MiB."""

_STEPS = range(0, 256, 51)
"""Levels of the colours on which a profile is compared with sRGB."""

_SAME = 2
"""Levels by which a profile's colours may differ from sRGB's and still count as sRGB."""


def to_srgb(image: Image.Image, profile: object) -> Image.Image:
    """Return an image in sRGB.

    Nothing happens where there is no profile, where the profile is sRGB's, or where it is damaged
    or describes pixels of another kind: browsers show such images as they are.

    Args:
        image: in mode L, RGB or CMYK.
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
    """Return what brings pixels of a mode to sRGB; None where nothing is to be done."""
    from PIL import ImageCms

    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        intent = ImageCms.Intent(ImageCms.getDefaultIntent(source))
        target = ImageCms.createProfile("sRGB")
        made = ImageCms.buildTransform(source, target, mode, "RGB", intent)
    except Exception:  # littleCMS and Pillow raise whatever a damaged profile leads them to
        return None
    return None if _is_srgb(made, mode) else made


def _is_srgb(transform: "ImageCms.ImageCmsTransform", mode: str) -> bool:
    """Say whether a transform leaves colours as they are; a profile's name would prove nothing."""
    if mode == "CMYK":
        return False
    colours = [(r, g, b) for r in _STEPS for g in _STEPS for b in _STEPS]
    probe = Image.new("RGB", (len(colours), 1))
    probe.putdata(colours)
    probe = probe.convert(mode)
    before, after = probe.convert("RGB").tobytes(), transform.apply(probe).tobytes()
    return max(abs(a - b) for a, b in zip(before, after, strict=True)) <= _SAME
