"""Add pages to the site that are outside `docs`; MkDocs calls these functions.

The README becomes the first page; the cards of the shipped models and others become pages of their
own. Links between files of the repository become links between pages.
"""

import posixpath
import re
from typing import Any

from mkdocs.structure.files import File, Files

ELSEWHERE = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "vulnerabilities.md",
    "recipes/README.md": "recipes.md",
    "src/maskspot/model/shipped/default.md": "models/default.md",
    "src/maskspot/model/shipped/int8.md": "models/int8.md",
    "src/maskspot/model/shipped/best.md": "models/best.md",
    "src/maskspot/model/shipped/fast.md": "models/fast.md",
}
"""The name of the page that each file of the repository becomes."""

_LINK = re.compile(r"(?<=\]\()(?!https?:|#)([^)#\s]+)")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that are not in `docs`."""
    root = posixpath.dirname(config.config_file_path)
    for path, page in ELSEWHERE.items():
        files.append(File.generated(config, page, abs_src_path=posixpath.join(root, path)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Turn links to files of the repository into links to pages."""
    here = {name: path for path, name in ELSEWHERE.items()}
    uri = page.file.src_uri
    folder = posixpath.dirname(here.get(uri, f"docs/{uri}"))

    def to_page(match: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(folder, match[1]))
        target = ELSEWHERE.get(path, path.removeprefix("docs/"))
        return posixpath.relpath(target, posixpath.dirname(uri) or ".")

    return _LINK.sub(to_page, markdown)
