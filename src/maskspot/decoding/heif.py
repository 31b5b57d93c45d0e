"""HEIC, which requires a plug-in, and formats that are known but not supported."""

from typing import BinaryIO

from PIL import Image, UnidentifiedImageError

from maskspot.errors import ImageError

_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1")
"""Brands of files that the plug-in reads: images and sequences coded with HEVC."""

_NOT_SUPPORTED = {
    b"\0\0\0\x0cjP  ": "JPEG 2000",
    b"\xff\x4f\xff\x51": "JPEG 2000",
    b"\0\0\0\x0cJXL ": "JPEG XL",
    b"\xff\x0a": "JPEG XL",
}


def open_other(file: BinaryIO, known: tuple[str, ...]) -> Image.Image:
    """Open an image that Pillow alone does not know, if it is HEIC and the plug-in is installed.

    Args:
        file: the file of the image.
        known: names of supported formats, for the error.

    Raises:
        ImageError: it cannot be read.
    """
    file.seek(0)
    head = file.read(12)
    if not head:
        raise ImageError("empty file")
    for magic, name in _NOT_SUPPORTED.items():
        if head.startswith(magic):
            raise ImageError(f"{name} is not supported: save it as JPEG or PNG", "unsupported")
    if head[4:8] != b"ftyp" or head[8:] not in _BRANDS:
        raise ImageError(f"not an image, or damaged at its start (supported: {', '.join(known)})")
    try:
        import pillow_heif
    except ImportError:
        text = "HEIC images require a plug-in: pip install 'maskspot[heic]'"
        raise ImageError(text, "unsupported") from None
    pillow_heif.register_heif_opener()
    file.seek(0)
    try:
        return Image.open(file, formats=("HEIF",))
    except UnidentifiedImageError:
        raise ImageError("damaged HEIC image") from None
