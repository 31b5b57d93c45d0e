"""Finished scores, kept beside the output, which survive a kill."""

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import fields
from hashlib import sha256
from operator import attrgetter
from pathlib import Path
from typing import IO, Any

from maskspot.errors import DataError, UsageError
from maskspot.files import check_target, is_stream, locked, open_own, sync
from maskspot.model.score import Score, is_sound

_COLUMNS = [field.name for field in fields(Score) if field.name != "heatmap"]
_values = attrgetter(*_COLUMNS)
# Text round-trips exactly, with the lone surrogates of names that are not Unicode.
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_LONGEST = 230
"""Bytes of an output's name that leave room for the additions of the journal's within 255."""


class Journal:
    """An append-only file of scores, in the order of the inputs.

    The first line says what decided the scores, each other line is a `Score`; all are JSON. A
    written score survives the process at once, and the machine after a second.

    Attributes:
        count: number of scores written, with those of a stopped run.
        failed: number of them that have an error.
    """

    def __init__(
        self, file: IO[bytes], path: Path | None = None, old: IO[bytes] | None = None
    ) -> None:
        self.count = 0
        self.failed = 0
        self._file = file
        self._path = path
        self._old = old  # until this one takes its place
        self._to_take: int | None = None
        self._is_read = False
        self._synced = time.monotonic()

    @staticmethod
    def path_for(output: Path) -> Path:
        """Return the journal of an output: `.NAME.journal` beside it."""
        output = Path(os.path.realpath(output))
        raw = os.fsencode(output.name)
        name = output.name if len(raw) <= _LONGEST else sha256(raw).hexdigest()
        return output.with_name(f".{name}.journal")

    @classmethod
    @contextmanager
    def open(
        cls, output: Path, header: Mapping[str, Any], resume: bool | None
    ) -> Iterator["Journal"]:
        """Open the journal of an output; it stays unless `remove` is called or it is empty.

        The journal of a pipe or a device is temporary.

        Args:
            output: the file that the scores are for.
            header: what decided the scores (model, options): names and JSON values.
            resume: take over the scores of a stopped run, which `finished` yields; False drops
                them, None refuses to choose.

        Raises:
            UsageError: a stopped run left one and `resume` is None, or its header differs.
            DataError: its header is damaged, another process is writing it, or it is a link.
            OSError: the folder is missing or not writable.
        """
        if is_stream(output):
            with cls.temporary() as journal:
                yield journal
            return
        check_target(output)
        path = cls.path_for(output)
        for each in filter(os.path.lexists, (path, _beside(path))):
            with suppress(FileNotFoundError):
                open_own(each, create=False).close()  # refuse a link before anything is created
        made_with = json.loads(_encode({"journal": 1, "columns": _COLUMNS, **header}))
        with ExitStack() as stack:
            old = stack.enter_context(_held(path, output))
            taking = resume is not False and _has_scores(old)
            if taking and resume is None:
                count = sum(1 for _ in _lines(old)) - 1
                raise UsageError(
                    f"{output}: a stopped run left {count} finished row{'s' * (count > 1)}; "
                    "`resume=True` goes on with them, `resume=False` starts over"
                )
            if taking:
                _check_header(old, made_with, output)
            file = stack.enter_context(_held(_beside(path), output))
            file.truncate(0)
            file.seek(0)
            journal = cls(file, path, old)
            try:
                journal._put(made_with)
                if not taking:
                    journal._replace()
                yield journal
            finally:
                journal._close()

    @classmethod
    @contextmanager
    def temporary(cls) -> Iterator["Journal"]:
        """Open a journal without a name, which ends with the process."""
        from tempfile import TemporaryFile

        with TemporaryFile("a+b") as file:
            journal = cls(file)
            journal._put({})
            yield journal

    def finished(self) -> Iterator[Score]:
        """Yield the scores of the stopped run, while new ones go to a file beside.

        For each of them a score must be written, the same or a new one. After the last, the new
        file replaces the old one; a kill before that leaves the old one unchanged.

        Raises:
            DataError: a line is damaged, apart from an unfinished last one.
        """
        if self._old is None or self._path is None:
            return
        count = 0
        for _, score in _scores(self._old, self._path):
            count += 1
            yield score
        self._to_take = count
        if self.count >= count:
            self._replace()

    def write(self, score: Score) -> None:
        """Append a score, and pass it to the operating system.

        Raises:
            OSError: it cannot be written, as the disk is full.
        """
        self._put(_values(score))
        self.count += 1
        self.failed += score.error is not None
        if self._old is not None and self._to_take is not None and self.count >= self._to_take:
            self._replace()

    def rows(self) -> Iterator[Score]:
        """Yield all scores written so far, in order."""
        return (score for _, score in self.places())

    def places(self) -> Iterator[tuple[int, Score]]:
        """Yield all scores written so far, each with its position in the file, for `at`."""
        self._is_read = True
        return _scores(self._file, self._path or Path("journal"))

    def at(self, place: int) -> Score:
        """Return the score at a position."""
        self._is_read = True
        self._file.seek(place)
        return _score(self._file.readline())

    def remove(self) -> None:
        """Remove the journal, as the output is complete; it can no longer be used."""
        if self._path is not None:
            if self._old is not None:
                self._replace()
            self._file.close()
            self._path.unlink(missing_ok=True)
            self._path = None

    def _put(self, value: object) -> None:
        line = _encode(value).encode("utf-8", "surrogatepass") + b"\n"
        try:
            if self._is_read:
                self._file.seek(0, os.SEEK_END)  # else Python loses its position
            self._file.write(line)
            self._file.flush()
            now = time.monotonic()
            if self._path is not None and now - self._synced >= 1:
                sync(self._file.fileno())
                self._synced = now
        except OSError as error:
            where = self._path or "temporary file"
            raise OSError(error.errno, error.strerror, str(where)) from None

    def _replace(self) -> None:
        """Replace the old file by the new one; Windows cannot move an open file."""
        assert self._path is not None
        assert self._old is not None
        try:
            sync(self._file.fileno())
            self._file.close()
            self._old.close()
            _beside(self._path).replace(self._path)
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self._path)) from None
        self._old = None
        self._file = open_own(self._path)

    def _close(self) -> None:
        with suppress(OSError):  # a full disk, which `write` has reported
            self._file.close()
        if self._path is None:  # removed
            return
        if self._old is not None:
            _beside(self._path).unlink(missing_ok=True)
        elif not self.count:
            self._path.unlink(missing_ok=True)


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.new")


@contextmanager
def _held(path: Path, output: Path) -> Iterator[IO[bytes]]:
    """Open or create a file that no other process of maskspot may use."""
    try:
        file = open_own(path)
    except OSError as error:  # about a name that the user does not know
        raise OSError(error.errno, error.strerror, str(output.parent)) from None
    with file, ExitStack() as stack:
        try:
            locks = stack.enter_context(locked(path))
            # Who held it may have removed or replaced it since it was opened. Mounts without
            # locks may not number their files either.
            held = not locks or os.path.samestat(os.fstat(file.fileno()), path.stat())
        except (DataError, FileNotFoundError):
            held = False
        if not held:
            raise DataError(f"{output}: another process of maskspot is writing it; wait for it")
        yield file


def _has_scores(file: IO[bytes]) -> bool:
    lines = _lines(file)
    return next(lines, None) is not None and next(lines, None) is not None


def _check_header(file: IO[bytes], made_with: dict[str, Any], output: Path) -> None:
    _, line = next(_lines(file))
    try:
        was = json.loads(line.decode("utf-8", "surrogatepass"))
        keys = sorted({*was, *made_with})
        differing = [
            f"{key} {_word(was.get(key))}, not {_word(made_with.get(key))}"
            for key in keys
            if was.get(key) != made_with.get(key)
        ]
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise _damaged(Journal.path_for(output), 1) from None
    if differing:
        raise UsageError(
            f"{output}: the stopped run was made with {' and '.join(differing)}; "
            "`resume=False` starts over"
        )


def _word(value: object) -> str:
    return "none" if value is None else value if isinstance(value, str) else json.dumps(value)


def _scores(file: IO[bytes], path: Path) -> Iterator[tuple[int, Score]]:
    lines = _lines(file)
    next(lines, None)
    for number, (place, line) in enumerate(lines, 2):
        try:
            score = _score(line)
        except (ValueError, TypeError, RecursionError):
            raise _damaged(path, number) from None
        yield place, score


def _score(line: bytes) -> Score:
    values = json.loads(line.decode("utf-8", "surrogatepass"))
    if not isinstance(values, list) or len(values) != len(_COLUMNS) or not is_sound(values):
        raise ValueError
    return Score(*values)


def _damaged(path: Path, line: int) -> DataError:
    return DataError(f"{path}, line {line}: damaged; `resume=False` starts over")


def _lines(file: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield each complete line with its position; the file may be used in between.

    A last line without an end was interrupted by a kill.
    """
    place = 0
    while True:
        file.seek(place)
        lines = file.readlines(1 << 16)
        for line in lines:
            if not line.endswith(b"\n"):
                return
            yield place, line
            place += len(line)
        if not lines:
            return
