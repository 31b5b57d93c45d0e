"""The documentation site: generated pages are up to date, and every page is in its contents."""

import re
import sys
import tomllib
from dataclasses import fields
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

import pytest

from maskspot.cli import COMMANDS
from maskspot.training.presets import PRESETS
from maskspot.training.settings import Settings

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"


@pytest.fixture
def generate(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module that writes generated pages."""
    pytest.importorskip("packaging")
    monkeypatch.syspath_prepend(DOCS)
    monkeypatch.delitem(sys.modules, "generate", raising=False)
    return import_module("generate")


def test_the_reference_of_the_command_line_is_what_help_says(generate: Any) -> None:
    if metadata.version("typer") < "0.25":
        pytest.skip("earlier versions of Typer format the page differently")
    assert (DOCS / "cli.md").read_text("utf-8") == generate.cli(), "run docs/generate.py"


def test_the_reference_of_settings_is_what_their_fields_say(generate: Any) -> None:
    assert (DOCS / "settings.md").read_text("utf-8") == generate.settings(), "run docs/generate.py"


def test_the_reference_of_settings_has_the_values_of_every_preset() -> None:
    text = (DOCS / "settings.md").read_text("utf-8")
    rows = re.findall(r"^\| `(\w+)` \| .*? \| (.*?) \| (.*?) \| .+ \|$", text, re.MULTILINE)
    assert [name for name, *_ in rows] == [spec.name for spec in fields(Settings)]
    for name, *values in rows:
        for preset, value in zip(("default", "seed"), values, strict=True):
            actual = getattr(PRESETS[preset], name)
            actual = str(actual).lower() if isinstance(actual, bool | None) else str(actual)
            assert value == actual, (name, preset)


def test_the_reference_names_every_command() -> None:
    headings = re.findall(r"^## `maskspot (\w+)`$", (DOCS / "cli.md").read_text("utf-8"), re.M)
    assert headings == list(COMMANDS)


def test_every_package_that_an_install_asks_for_has_its_licence_listed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = {k: v for k, v in project["optional-dependencies"].items() if k not in ("dev", "docs")}
    asked = {
        re.split(r"[^\w-]", line)[0].lower()
        for line in (*project["dependencies"], *(line for each in extras.values() for line in each))
    }
    rows = re.findall(
        r"^\| `[^|]+` \| ([^|]+) \| ([^|]+) \|$", (DOCS / "licences.md").read_text("utf-8"), re.M
    )
    assert asked - {"maskspot"} <= {name for name, _ in rows}
    assert all(licence.strip() for _, licence in rows)


def test_the_packages_that_a_package_needs_are_found_indirectly_too(generate: Any) -> None:
    assert {"typer", "rich", "pillow", "numpy", "markdown-it-py"} <= generate.needed("maskspot")
    assert "starlette" not in generate.needed("maskspot")
    assert {"starlette", "uvicorn"} <= generate.needed("maskspot", "serve")
    assert generate.licence("typer").startswith("MIT")


def test_everything_that_the_python_page_names_exists() -> None:
    names = re.findall(r"^::: ([\w.]+)$", (DOCS / "api.md").read_text("utf-8"), re.M)
    assert len(names) == len(set(names)) > 10
    for name in names:
        module, _, last = name.rpartition(".")
        try:
            found = import_module(name)
        except ModuleNotFoundError:
            found = getattr(import_module(module), last)
        assert found.__doc__, name


def test_every_page_is_in_the_sites_contents_once() -> None:
    named = re.findall(r"^ +- .*: ([\w/-]+\.md)$", (ROOT / "mkdocs.yml").read_text("utf-8"), re.M)
    hooks = (DOCS / "hooks.py").read_text("utf-8")
    elsewhere = dict(re.findall(r'^ +"([\w./]+\.md)": "([\w./]+\.md)",$', hooks, re.M))
    assert all((ROOT / path).is_file() for path in elsewhere)
    assert sorted(named) == sorted(
        [*(each.name for each in DOCS.glob("*.md")), *elsewhere.values()]
    )


def test_every_section_of_the_settings_begins_at_one_that_exists(generate: Any) -> None:
    names = [spec.name for spec in fields(Settings)]
    assert names[0] in generate.SECTIONS
    assert set(generate.SECTIONS) <= set(names)


def test_contributing_names_every_session_of_nox() -> None:
    sessions = re.findall(
        r"^@nox.session\ndef (\w+)", (ROOT / "noxfile.py").read_text("utf-8"), re.M
    )
    page = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    assert re.findall(r"^\| `nox -s (\w+)` \|", page, re.M) == sessions


def test_every_file_that_the_map_names_exists() -> None:
    page = (DOCS / "map.md").read_text("utf-8")
    files = re.findall(r"`([\w/.]+\.(?:py|yml|toml))`", page)
    assert len(files) > 40
    roots = (ROOT, ROOT / "src" / "maskspot")
    assert [file for file in files if not any((root / file).is_file() for root in roots)] == []


def test_every_test_that_the_security_page_names_exists() -> None:
    page = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    files = (ROOT / "tests").rglob("*.py")
    tests = {f.relative_to(ROOT / "tests").as_posix(): f.read_text("utf-8") for f in files}
    named = re.findall(r"`([a-z/]*test_\w+\.py)(?:::(test_\w+))?", page)
    assert len(named) > 20
    assert [each for each in named if f"def {each[1]}" * bool(each[1]) not in tests[each[0]]] == []
    parts = re.findall(r"`…(\w+)…`", page)
    assert [part for part in parts if not any(part in text for text in tests.values())] == []
