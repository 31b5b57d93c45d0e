"""`maskspot predict` on this machine."""

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskspot.cli.console import progress_bar, say, warn
from maskspot.cli.pictures import report_of, watching
from maskspot.errors import DataError
from maskspot.model.predictor import Predictor
from maskspot.model.providers import processes_for
from maskspot.outputs.form import Form
from maskspot.outputs.writing import Counts, sorted_scores, write_scores
from maskspot.scoring.pipeline import score

if TYPE_CHECKING:
    from rich.progress import Progress

    from maskspot.inputs.items import Item
    from maskspot.model.score import Score
    from maskspot.outputs.journal import Journal
    from maskspot.scoring.cache import Cache
    from maskspot.scoring.processes import Processes


def predict_locally(
    items: "Iterable[Item]",
    predictor: Predictor,
    form: Form,
    output: Path | None,
    *,
    model: str,
    count: int | Callable[[], int | None],
    sort: bool,
    top: int | None,
    heatmaps: Path | None,
    report: Path | None,
    resume: bool | None,
    cache: Path | None,
    threads: int | None,
    processes: int | None,
    passed: Counter[str],
    quiet: bool,
) -> int:
    """Score images and write what came of them; return the exit code.

    Args:
        items: the images.
        predictor: the model, loaded.
        form: of the output.
        output: a file, or None for standard output.
        model: the model's file, or a shipped model's name.
        count: of the images, or what counts them, for the progress bar.
        sort: most probable first.
        top: only so many.
        heatmaps: folder for pictures.
        report: HTML file.
        resume: go on with what a stopped run left, or drop it.
        cache: file of scores by content.
        threads: how many.
        processes: over which they are spread.
        passed: what was left out of folders and archives, by reason, once all items are drawn.
        quiet: only warnings and errors.
    """
    page = report_of(report, form.threshold)
    _warn_of_two_runtimes()
    form = replace(form, model=predictor.id)
    made_by: dict[str, Any] = {"model": predictor.id, "device": predictor.device}
    made_by |= {"draft": predictor.draft, "prior": predictor.prior}
    made_by["max_pixels"] = predictor.max_pixels
    # Where there is no file to go on with, and nothing to wait for, rows go out as they come.
    whole = bool(output or form.sample or sort or form.on_error.kind == "fail")
    with ExitStack() as stack:
        journal = stack.enter_context(_journal(output, made_by, resume)) if whole else None
        bar = stack.enter_context(progress_bar(quiet, "images"))
        scores = score(
            predictor,
            items,
            threads=threads,
            processes=_processes(predictor, processes, threads, stack),
            cache=stack.enter_context(_cache(cache, made_by)) if cache else None,
            finished=journal.finished() if journal else (),
            heatmap=bool(heatmaps or (report and predictor.has_heatmap)),
            watch=watching(heatmaps, page),
            again=bool(report),
        )
        scores = _shown(page.count(scores) if page else scores, bar, count)
        if journal:
            counts = _write_whole(scores, journal, form, output, sort, top)
        else:
            counts = write_scores(scores, form, None)
    if page and report:
        if not counts.scored:
            raise DataError(f"{report}: nothing written: none of the images could be scored")
        from maskspot.reporting.page import write_page

        write_page(page.page(model), report)
    if not quiet:
        _tell(counts, form, predictor, output, passed)
    return 1 if counts.failed else 0


def _warn_of_two_runtimes() -> None:
    from maskspot.model.providers import installed_runtimes, two_runtimes

    runtimes = list(installed_runtimes())
    if len(runtimes) > 1:
        warn(two_runtimes(runtimes))


def _journal(
    output: Path | None, made_by: Mapping[str, Any], resume: bool | None
) -> "AbstractContextManager[Journal]":
    from maskspot.outputs.journal import Journal

    return Journal.open(output, made_by, resume) if output else Journal.temporary()


def _processes(
    predictor: Predictor, asked: int | None, threads: int | None, stack: ExitStack
) -> "Processes | None":
    """Return processes to score in, where one alone is not enough."""
    threads = threads or predictor.threads
    count = min(asked or processes_for(predictor.device, threads), threads)
    if count == 1:
        return None
    from maskspot.scoring import processes

    patience = 0 if asked else processes.PATIENCE
    return stack.enter_context(processes.Processes(predictor, count, threads, patience))


@contextmanager
def _cache(file: Path, made_by: Mapping[str, Any]) -> "Iterator[Cache]":
    from maskspot.scoring.cache import Cache

    with closing(Cache(file, json.dumps(made_by))) as cache:
        yield cache


def _write_whole(
    scores: "Iterable[Score]",
    journal: "Journal",
    form: Form,
    output: Path | None,
    sort: bool,
    top: int | None,
) -> Counts:
    """Keep each score in the journal, and write the output when all are there."""
    try:
        for each in scores:
            journal.write(each)
        if output and journal.failed == journal.count:
            raise _nothing_scored(journal, output)
        form.on_error.check(journal.failed, journal.count)
        rows = sorted_scores(journal, top) if sort else journal.rows()
        counts = write_scores(rows, form, output)
        # Of all images, not only of those that --top leaves.
        counts = replace(counts, scored=journal.count - journal.failed, failed=journal.failed)
    except BaseException:
        if output and journal.count and journal.path_for(output).exists():
            say(f"{output}: what is finished is kept beside it; the same with --resume goes on")
        raise
    journal.remove()
    return counts


def _nothing_scored(journal: "Journal", output: Path) -> DataError:
    """Return the error for a run without any probability, which must not replace older ones."""
    count = journal.count
    journal.remove()  # there is nothing in it to go on with
    return DataError(f"{output}: nothing written: none of {count} images could be scored")


def _shown(
    scores: "Iterable[Score]", bar: "Progress | None", count: int | Callable[[], int | None]
) -> "Iterator[Score]":
    """Pass scores on: failures are told, the others counted where a person looks."""
    task = bar.add_task("scoring", total=None) if bar else None
    if bar and task is not None:
        # Counting a million files takes seconds, which scoring need not wait for.
        found = count if callable(count) else lambda: count
        threading.Thread(target=lambda: bar.update(task, total=found()), daemon=True).start()
    for each in scores:
        if each.error is not None:
            say(f"{each.source}: {each.error}")
        if bar and task is not None:
            bar.advance(task)
        yield each


def _tell(
    counts: Counts, form: Form, predictor: Predictor, output: Path | None, passed: Counter[str]
) -> None:
    """Say how it went, in one line."""
    above = f", {counts.above} at {form.threshold} or above" if form.threshold is not None else ""
    what = f"{counts.scored} of {counts.scored + counts.failed} images scored{above}"
    reasons = sorted(passed.items(), key=lambda each: (-each[1], each[0]))
    left_out = ", ".join(f"{count} {why}" for why, count in reasons)
    where = [output] if output else []
    more = [f"(passed over: {left_out})"] if left_out else []
    say(f"{what} by {predictor.info.name} on {predictor.device}", *where, *more)
