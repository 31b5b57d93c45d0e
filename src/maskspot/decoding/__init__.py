"""Decoding of image files by format, on top of Pillow; `maskspot.images` is its interface."""
