"""A run of `predict` as an object: what is scored, by which model, and where the results go."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskspot.arguments import make_paths
from maskspot.errors import DataError, UsageError
from maskspot.inputs.selection import Selection
from maskspot.model.loading import LoadOptions
from maskspot.outputs.destination import Destination
from maskspot.outputs.form import Form, FormOptions
from maskspot.progress import SILENT, Progress, Total
from maskspot.scoring.workers import Workers

if TYPE_CHECKING:
    from PIL.Image import Image

    from maskspot.inputs.items import Item
    from maskspot.model.predictor import Predictor, Watch
    from maskspot.model.score import Score
    from maskspot.outputs.conflicts import OutputFiles
    from maskspot.outputs.journal import Journal
    from maskspot.outputs.writing import Counts, Show
    from maskspot.reporting.predictions import PredictionReport
    from maskspot.scoring.pipeline import Scorer


@dataclass(frozen=True)
class PredictJob:
    """A run of `predict`.

    Attributes:
        selection: the images.
        load: the model, and how it is loaded.
        form: what is written of each score.
        destination: where it is written.
        workers: the threads and processes that score.
        cache: file that keeps scores by content, so that equal images are scored once.
    """

    selection: Selection
    load: LoadOptions = LoadOptions()
    form: FormOptions = FormOptions()
    destination: Destination = Destination()
    workers: Workers = Workers()
    cache: Path | None = None

    def __post_init__(self) -> None:
        make_paths(self, "cache")

    @property
    def streams(self) -> bool:
        """Whether rows are written as they come, and not when all images are scored."""
        to, form = self.destination, self.form
        return not (to.path or form.sample or to.sort or form.on_error == "fail")

    def run(
        self,
        progress: Progress = SILENT,
        watch: "Watch | None" = None,
        show: "Show | None" = None,
    ) -> "Counts":
        """Score the images and write the results; what is finished survives a stop.

        Args:
            progress: is told how far it is, and which images fail.
            watch: called from several threads with each image that was scored, and its score.
            show: called with each score, in the order of the output, in place of writing it to
                standard output.

        Raises:
            UsageError: arguments that exclude one another, or are invalid.
            DataError: an input is missing, or nothing could be scored.
            ImageError: an image failed, and `on_error` is `fail`.
            ModelFileError: the model cannot be loaded, or fails.
            OSError: an output cannot be written.
        """
        loading = self.load.start()
        self._check()
        files = self._files()
        form = self.form.form(self.destination.path)
        passed = Counter[str]()
        items = self._items(form, files, passed)
        predictor = loading.result()
        _warn_of_two_runtimes(progress)
        form = replace(form, model=predictor.id)
        run = _Run(self, predictor, form, progress)
        return replace(
            run.score(items, watch, show),
            passed=dict(passed),
            model=predictor.info.name,
            device=predictor.device,
        )

    def _check(self) -> None:
        """Refuse arguments that exclude one another."""
        to = self.destination
        if self.form.sample and to.sort:
            raise UsageError(
                "a submission has the rows and the order of its `sample`",
                argument="sort" if to.top is None else "top",
            )
        if to.report:
            from maskspot.outputs.conflicts import check_report

            check_report(to.report)
        processes = (self.workers.processes or 1) > 1
        for name, given in (("cache", self.cache), ("processes", processes)):
            if given and (to.heatmaps or to.report):
                raise UsageError(
                    "provides no pictures for `heatmaps` or `report`; leave it out", argument=name
                )

    def _files(self) -> "OutputFiles":
        """Return the files to write, none of which is an input."""
        from maskspot.outputs.conflicts import OutputFiles

        to, selection = self.destination, self.selection
        files = OutputFiles(
            {"path": to.path, "report": to.report, "cache": self.cache}, {"heatmaps": to.heatmaps}
        )
        files.check([self.form.sample, self.load.model, selection.listing, *selection.images])
        return files

    def _items(self, form: Form, files: "OutputFiles", passed: Counter[str]) -> "Iterable[Item]":
        items = files.check_items(self.selection.items(passed))
        if form.sample is None or self.form.sample is None:
            return items
        from maskspot.inputs.names import match_items

        fill = form.on_error.kind == "fill"
        return match_items(form.sample.names, items, self.form.sample, fill=fill)


class _Run:
    """A job under way: its model is loaded."""

    def __init__(
        self, job: PredictJob, predictor: "Predictor", form: Form, progress: Progress
    ) -> None:
        self._job, self._predictor, self._form = job, predictor, form
        self._to, self._progress = job.destination, progress
        self._report = _report(self._to.report, form.threshold)
        self._made_by: dict[str, Any] = {
            "model": predictor.id,
            "device": predictor.device,
            "draft": predictor.draft,
            "prior": predictor.prior,
            "max_pixels": predictor.max_pixels,
        }

    def score(
        self, items: "Iterable[Item]", watch: "Watch | None", show: "Show | None"
    ) -> "Counts":
        from maskspot.outputs.writing import write_scores
        from maskspot.scoring.pipeline import resumed, score

        to, form, predictor = self._to, self._form, self._predictor
        with ExitStack() as stack:
            journal = None if self._job.streams else stack.enter_context(self._journal())
            finished = journal.finished() if journal else ()
            total = len(form.sample.names) if form.sample else self._job.selection.count
            scores = score(
                self._scorer(stack),
                resumed(items, finished, rescore=bool(to.report)),  # it shows all images
                threads=self._job.workers.threads,
                cache=stack.enter_context(self._cache()) if self._job.cache else None,
                heatmap=bool(to.heatmaps or (to.report and predictor.has_heatmap)),
                watch=_watch_all(self._watchers(watch)),
            )
            scores = _told(scores, total, self._progress)
            scores = self._report.count(scores) if self._report else scores
            if journal is None:
                counts = write_scores(scores, form, None, show)
            else:
                counts = self._write_whole(scores, journal, show)
        self._write_report(counts)
        return counts

    def _journal(self) -> Any:
        from maskspot.outputs.journal import Journal

        if self._to.path is None:
            return Journal.temporary()
        return Journal.open(self._to.path, self._made_by, self._to.resume)

    def _cache(self) -> Any:
        from maskspot.scoring.cache import Cache

        assert self._job.cache
        return closing(Cache(self._job.cache, json.dumps(self._made_by)))

    def _scorer(self, stack: ExitStack) -> "Scorer":
        """Return the predictor, or processes that have one each where they are worth it."""
        from maskspot.model.providers import processes_for

        workers, predictor = self._job.workers, self._predictor
        threads = workers.threads or predictor.threads
        count = min(workers.processes or processes_for(predictor.device, threads), threads)
        if count == 1:
            return predictor
        from maskspot.scoring.processes import PATIENCE, Processes

        patience = 0 if workers.processes else PATIENCE
        return stack.enter_context(Processes(predictor, count, threads, patience))

    def _watchers(self, watch: "Watch | None") -> "Iterator[Watch]":
        if self._report:
            yield self._report.watch
        if self._to.heatmaps:
            from maskspot.model.heatmaps import Overlays

            yield Overlays(self._to.heatmaps).save
        if watch:
            yield watch

    def _write_whole(
        self, scores: "Iterable[Score]", journal: "Journal", show: "Show | None"
    ) -> "Counts":
        """Keep each score in the journal, and write the output when all are finished."""
        from maskspot.outputs.writing import sorted_scores, write_scores

        to, masks = self._to, 0
        try:
            for each in scores:
                journal.write(each)
                masks += self._form.is_mask(each)
            if to.path and journal.failed == journal.count:
                count = journal.count
                journal.remove()  # there is nothing in it to go on with
                raise DataError(
                    f"{to.path}: nothing written: none of {count} images could be scored"
                )
            self._form.on_error.check(journal.failed, journal.count)
            rows = sorted_scores(journal, to.top) if to.sort else journal.rows()
            counts = write_scores(rows, self._form, to.path, show)
        except BaseException:
            if to.path and journal.count and journal.path_for(to.path).exists():
                self._progress.failed(
                    str(to.path), "finished rows are kept; run again with `resume=True` to go on"
                )
            raise
        # Of all images, not only of those that `top` leaves.
        scored = journal.count - journal.failed
        counts = replace(counts, scored=scored, failed=journal.failed, masks=masks)
        journal.remove()
        return counts

    def _write_report(self, counts: "Counts") -> None:
        if self._report is None or self._to.report is None:
            return
        if not counts.scored:
            raise DataError(f"{self._to.report}: nothing written: no image could be scored")
        from maskspot.model.shipped import DEFAULT
        from maskspot.reporting.page import write_page

        model = self._job.load.model
        page = self._report.page(DEFAULT if model is None else str(model))
        write_page(page, self._to.report)


def _report(file: Path | None, threshold: float | None) -> "PredictionReport | None":
    if file is None:
        return None
    from maskspot.reporting.predictions import PredictionReport

    return PredictionReport(0.5 if threshold is None else threshold)


def _watch_all(watchers: "Iterable[Watch]") -> "Watch | None":
    every = list(watchers)
    if not every:
        return None

    def watch(image: "Image", score: "Score") -> None:
        for each in every:
            each(image, score)

    return watch


def _told(scores: "Iterable[Score]", total: Total, progress: Progress) -> "Iterator[Score]":
    """Pass scores on, and report each; the step ends with the last, before rows are shown."""
    with progress.step("scoring", "images", total) as step:
        for done, each in enumerate(scores, 1):
            if each.error is not None:
                progress.failed(each.source, each.error)
            step.update(done)
            yield each


def _warn_of_two_runtimes(progress: Progress) -> None:
    from maskspot.model.providers import installed_runtimes, two_runtimes

    runtimes = list(installed_runtimes())
    if len(runtimes) > 1:
        progress.warn(two_runtimes(runtimes))
