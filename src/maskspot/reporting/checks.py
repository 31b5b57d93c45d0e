"""The report of `check`: each problem of a data set with its images."""

from contextlib import suppress
from pathlib import Path

from maskspot.checking.check import DataCheck
from maskspot.checking.problems import FATAL, KINDS, Problem
from maskspot.cpus import usable_cpus
from maskspot.errors import ImageError
from maskspot.images import open_rgb
from maskspot.parallel import map_in_order
from maskspot.progress import SILENT, Progress
from maskspot.reporting.album import LIMIT, thumbnail
from maskspot.reporting.page import Card, Group, ReportPage, Table


def check_page(found: DataCheck, progress: Progress = SILENT) -> ReportPage:
    """Return the report of a check.

    Args:
        found: what `check` returned.
        progress: told how many pictures are made.
    """
    sound = "Nothing makes training stop." if found.sound else "Training would stop or go wrong."
    more = "" if found.labels_checked else " Labels need out-of-fold probabilities to be checked."
    return ReportPage(
        title=f"Is {found.folder.absolute().name} sound?",
        lead=sound + more,
        facts=[
            (
                "labelled images",
                f"{found.with_mask + found.without_mask:,}",
                f"{found.with_mask:,} with a mask",
            ),
            ("to test on", f"{found.test:,}", ""),
            ("problems and doubts", f"{len(found.problems):,}", ""),
        ],
        groups=[Group(kind, kind, count) for kind, count in found.counts.items()],
        cards=_cards(found, progress),
        tables=[_kinds(found.counts)] if found.counts else [],
    )


def _cards(found: DataCheck, progress: Progress) -> list[Card]:
    def card(problem: Problem) -> Card:
        names = [name for name in (problem.image, problem.other) if name]
        thumbnails = [_thumbnail(found.files[name]) for name in names if name in found.files]
        return Card(
            " = ".join(names) or "all images",
            problem.kind,
            [each for each in thumbnails if each],
            detail=": ".join(filter(None, [problem.kind, problem.detail])),
        )

    cards: list[Card] = []
    shown = found.problems[:LIMIT]
    with progress.step("making thumbnails", "problems", len(shown)) as step:
        for each in map_in_order(lambda batch: list(map(card, batch)), shown, usable_cpus(), 1):
            cards.append(each)
            step.update(len(cards))
    return cards


def _kinds(found: dict[str, int]) -> Table:
    rows = [
        (kind, f"{count:,}", "yes" if kind in FATAL else "no", KINDS[kind])
        for kind, count in found.items()
    ]
    return Table("Kinds", ("", "how many", "stops training", "what it is"), rows, words=True)


def _thumbnail(file: Path) -> bytes | None:
    with suppress(ImageError):
        return thumbnail(open_rgb(file))
    return None
