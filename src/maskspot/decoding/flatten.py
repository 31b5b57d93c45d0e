"""Conversion of decoded images of any mode to mode RGB, on white where they are transparent."""

from PIL import Image

from maskspot.decoding.samples import deep_grey

_ROWS = 2**20
"""Number of pixels beyond which an image is converted in strips of this size, as converting the
whole image takes up to four copies of it."""


def flatten(image: Image.Image, profile: object) -> Image.Image:
    """Return an image in mode RGB.

    Args:
        image: a decoded image in any mode.
        profile: its ICC profile if it is to be converted to sRGB, else None.
    """
    if image.mode.startswith("I") or image.mode == "F":
        image = deep_grey(image)
    width, height = image.size
    if width * height <= _ROWS or (image.mode == "RGB" and _is_plain(image) and not profile):
        return _flatten(image, profile)
    rgb = Image.new("RGB", image.size)
    step = max(1, _ROWS // width)
    for top in range(0, height, step):
        part = image.crop((0, top, width, min(top + step, height)))
        rgb.paste(_flatten(part, profile), (0, top))
    return rgb


def _is_plain(image: Image.Image) -> bool:
    return not image.has_transparency_data


def _flatten(image: Image.Image, profile: object) -> Image.Image:
    if image.mode == "La":
        image = image.convert("LA")
    if not _is_plain(image):
        alpha = image.convert("RGBA")
        seen = _opaque(alpha.convert("L" if image.mode in ("L", "LA") else "RGB"), profile)
        rgb = Image.new("RGB", image.size, "white")
        rgb.paste(seen, mask=alpha.getchannel("A"))
        return rgb
    return _opaque(image, profile)


def _opaque(image: Image.Image, profile: object) -> Image.Image:
    if profile:
        from maskspot.decoding.colours import to_srgb

        plain = image if image.mode in ("L", "RGB", "CMYK") else image.convert("RGB")
        image = to_srgb(plain, profile)
    return image if image.mode == "RGB" else image.convert("RGB")
