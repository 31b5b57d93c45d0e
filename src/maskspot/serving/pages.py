"""The two pages: HTML that loads nothing else, and a policy that forbids it to."""

import base64
import hashlib
import json
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from typing import Any

_OWN = "img-src blob: data:; media-src blob:; connect-src 'self'"
_REST = "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


@dataclass(frozen=True)
class ProtectedPage:
    """A page and its security policy.

    Attributes:
        html: the HTML of the page.
        policy: value of the header Content-Security-Policy.
    """

    html: str
    policy: str


def front_page() -> ProtectedPage:
    """Return the page to drop pictures on."""
    return _page(_file("page.html"), _file("page.js"))


def docs_page(document: dict[str, Any]) -> ProtectedPage:
    """Return an OpenAPI document as a page."""
    parts = [
        _operation(method.upper(), path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    parts.append("<h2>Schemas</h2>")
    for name, schema in document["components"]["schemas"].items():
        parts.append(f'<h3 id="{escape(name)}">{escape(name)}</h3>{_pre(schema)}')
    info = document["info"]
    html = _file("docs.html").replace("<!-- operations -->", "\n".join(parts))
    return _page(html.replace("<!-- version -->", escape(info["version"])))


def _page(html: str, script: str = "") -> ProtectedPage:
    style = _file("page.css")
    html = html.replace("<!-- style -->", f"<style>{style}</style>")
    html = html.replace("<!-- script -->", f"<script>{script}</script>")
    may = [f"style-src '{_hash(style)}'", f"script-src '{_hash(script)}'" if script else ""]
    return ProtectedPage(html, "; ".join(["default-src 'none'", _OWN, *filter(None, may), _REST]))


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    """Return the section of an operation."""
    rows = "".join(
        f"<tr><th scope=row>{code}</th><td class=words>{escape(answer['description'])}"
        f"{_kind(answer)}</td></tr>"
        for code, answer in operation["responses"].items()
    )
    body = operation.get("requestBody", {}).get("content", {})
    bodies = "".join(
        f"<h3>Body: <code>{escape(kind)}</code></h3>{_pre(content['schema'])}"
        for kind, content in body.items()
    )
    queries = "".join(
        f"<p><code>?{escape(each['name'])}=</code> {escape(each['description'])}</p>"
        for each in operation.get("parameters", [])
    )
    title = f"<h2><code>{method} {escape(path)}</code></h2>"
    words = f"<p>{escape(operation['summary'])}. {escape(operation.get('description', ''))}</p>"
    return f"<section>{title}{words}{queries}{bodies}<table>{rows}</table></section>"


def _kind(answer: dict[str, Any]) -> str:
    """Return a link to the schema of an answer, if it has one."""
    content = answer.get("content", {}).get("application/json", {})
    name = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
    return f': <a href="#{escape(name)}">{escape(name)}</a>' if name else ""


def _pre(schema: dict[str, Any]) -> str:
    return f"<pre tabindex=0>{escape(json.dumps(schema, indent=2))}</pre>"


def _file(name: str) -> str:
    return files("maskspot.serving").joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
