"""What MkDocs is told besides `mkdocs.yml`: the pages that lie elsewhere in the repository.

The README is the first page, the shipped models' cards and the rest are pages of their own; links
between files that work in the repository are turned into links between pages.
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
"""Files of the repository that are pages, and the pages' names."""

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
