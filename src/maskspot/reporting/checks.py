"""The report of `check`: a contact sheet of what may be wrong with a data set."""

from contextlib import suppress
from pathlib import Path

from maskspot.checking.check import Report, counts
from maskspot.checking.problems import FATAL, KINDS, Problem
from maskspot.cpus import usable_cpus
from maskspot.errors import ImageError
from maskspot.images import open_rgb
from maskspot.parallel import map_in_order
from maskspot.reporting.album import LIMIT, thumbnail
from maskspot.reporting.page import Card, Group, ReportPage, Table


def check_page(report: Report, folder: Path, with_oof: bool) -> ReportPage:
    """Return the report.

    Args:
        report: what `check` found.
        folder: of the data.
        with_oof: out-of-fold probabilities were given.
    """

    def card(problem: Problem) -> Card:
        names = [name for name in (problem.image, problem.other) if name]
        return Card(
            " = ".join(names) or "all images",
            problem.kind,
            [found for name in names if (found := _thumbnail(report.files.get(name)))],
            detail=": ".join(filter(None, [problem.kind, problem.detail])),
        )

    found = {kind: count for kind, count in counts(report).items() if count}
    images = report.with_mask + report.without_mask
    shown = report.problems[:LIMIT]
    sound = "Nothing that training trips over." if report.sound else "Training would trip over it."
    more = "" if with_oof else " Labels were not looked at: that takes out-of-fold probabilities."
    return ReportPage(
        title=f"Is {folder.absolute().name} sound?",
        lead=sound + more,
        facts=[
            ("labelled images", f"{images:,}", f"{report.with_mask:,} with a mask"),
            ("to test on", f"{report.test:,}", ""),
            ("problems and doubts", f"{len(report.problems):,}", ""),
        ],
        groups=[Group(kind, kind, count) for kind, count in found.items()],
        cards=list(
            map_in_order(lambda batch: [card(each) for each in batch], shown, usable_cpus(), 1)
        ),
        tables=[_kinds(found)] if found else [],
    )


def _kinds(found: dict[str, int]) -> Table:
    rows = [
        (kind, f"{count:,}", "yes" if kind in FATAL else "no", KINDS[kind])
        for kind, count in found.items()
    ]
    return Table("Kinds", ("", "how many", "stops training", "what it is"), rows, words=True)


def _thumbnail(file: Path | None) -> bytes | None:
    with suppress(ImageError):
        return thumbnail(open_rgb(file)) if file else None
    return None
