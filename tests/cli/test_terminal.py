"""What a person sees of `predict` on a terminal: a line for each image, and no bar among them."""

import re
import sys
from pathlib import Path

import pytest

from maskspot import Score
from maskspot.cli.console import complain, warn
from maskspot.cli.tables.scores import ScoreLines, shortened
from maskspot.model.score import percentage
from tests.helpers import on_terminal

ESCAPE = "\x1b"


@pytest.fixture
def mixed(pictures: Path) -> Path:
    """Four pictures, one of them damaged, one with a long name."""
    for name in "ef":
        (pictures / f"{name}.jpg").unlink()
    (pictures / "b.jpg").write_bytes(b"no image")
    (pictures / "d.jpg").rename(pictures / f"d{'_' * 80}.jpg")
    return pictures


def test_a_terminal_shows_an_aligned_line_for_each_image_and_a_summary(mixed: Path) -> None:
    text = on_terminal("predict", mixed, "-m", "fast", NO_COLOR="1")
    assert ESCAPE not in text
    *lines, summary = text.splitlines()
    assert [line[0] for line in lines if line[0] != " "] == ["a", "b", "c", "d"]
    scored = [line for line in lines if line.endswith(" %")]
    assert len(scored) == 3
    assert all(re.search(r"  (mask|no mask|unsure) +[<>]?\d+\.\d %$", line) for line in scored)
    assert "  failed   not an image" in text
    assert max(map(len, lines)) <= 80
    assert re.match(r"d_+…_+\.jpg  ", lines[-1])
    assert re.fullmatch(r"3 images scored in .* with model 'fast' on cpu: .*; 1 failed", summary)


@pytest.mark.parametrize(
    ("environment", "coloured"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False), ({"NO_COLOR": ""}, True)],
)
def test_colours_are_for_terminals_that_want_them(
    pictures: Path, environment: dict[str, str], coloured: bool
) -> None:
    text = on_terminal("predict", pictures / "a.jpg", "-m", "fast", **environment)
    assert (ESCAPE in text) == coloured
    text = on_terminal("predict", pictures / "none.jpg", **environment)
    assert text.startswith(f"{ESCAPE}[31m{ESCAPE}[1merror:{ESCAPE}[0m " if coloured else "error: ")


def test_a_format_on_a_terminal_gives_the_data_without_a_bar(mixed: Path) -> None:
    text = on_terminal("predict", mixed, "-m", "fast", "--format", "csv")
    assert ESCAPE not in text
    rows = [line for line in text.splitlines() if "," in line and not line.startswith("b.jpg:")]
    assert rows[0] == "image,target"
    assert [row.partition(",")[0][:1] for row in rows[1:5]] == ["a", "b", "c", "d"]
    assert "b.jpg: not an image" in text


def test_sorted_lines_come_after_the_bar_is_gone(pictures: Path) -> None:
    text = on_terminal("predict", pictures, "-m", "fast", "--sort")
    rows = text.rpartition(f"{ESCAPE}[2K")[2]
    assert len(re.findall(r"\w\.jpg .* %", rows)) == 6
    assert "images scored in" in rows


def test_quiet_leaves_the_lines_only(pictures: Path) -> None:
    text = on_terminal("predict", pictures / "a.jpg", "-q", "-m", "fast")
    assert len(text.splitlines()) == 1


@pytest.mark.parametrize(
    ("probability", "threshold", "verdict"),
    [
        *[(0.81, None, "mask"), (0.8, None, "unsure"), (0.2, None, "unsure")],
        *[(0.19, None, "no mask"), (0.3, 0.3, "mask"), (0.5, 0.7, "no mask")],
    ],
)
def test_the_middle_is_unsure_unless_a_threshold_decides(
    probability: float,
    threshold: float | None,
    verdict: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    ScoreLines(threshold).show(Score("a.jpg", probability))
    assert re.split(r"  +", capsys.readouterr().out)[1] == verdict


def test_only_certainty_is_shown_as_certainty() -> None:
    shown = {0: "0.0 %", 1e-5: "<0.1 %", 0.985: "98.5 %", 0.99999: ">99.9 %", 1: "100.0 %"}
    assert {each: percentage(each) for each in shown} == shown


@pytest.mark.parametrize("name", ["a" * 50 + ".jpg", "面" * 30 + ".jpg", "e\u0301" * 60, "a.jpg"])
@pytest.mark.parametrize("width", [12, 13, 30])
def test_a_long_name_keeps_both_ends_and_fits(name: str, width: int) -> None:
    from rich.cells import cell_len

    short = shortened(name, width)
    assert cell_len(short) <= width
    assert short == name or (short[:2] == name[:2] and short[-4:] == name[-4:])


def test_a_name_cannot_command_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    ScoreLines().show(Score("\x1b]0;evil\x07.jpg", error="\x1b[2J"))
    assert capsys.readouterr().out.replace("\n", "").isprintable()


def test_without_a_terminal_errors_and_warnings_are_plain(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert not sys.stderr.isatty()
    complain("bad")
    warn("odd")
    assert capsys.readouterr().err == "error: bad\nwarning: odd\n"
