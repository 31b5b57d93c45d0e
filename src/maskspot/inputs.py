"""What a user may point at: image files and folders of them."""

SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".gif", ".bmp", ".dib"),
    *(".tif", ".tiff", ".avif", ".heic", ".heif"),
)
"""File endings, in lower case, by which a folder's images are told from its other files."""
