"""Scores kept by content: a picture that was scored once is not scored again."""

import os
import sqlite3
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from threading import Lock

from maskspot.errors import DataError, ImageError, fail
from maskspot.inputs import Item
from maskspot.results import Score

_LARGEST = 2**28  # bytes of a file that is read whole, for its hash
_OURS = int.from_bytes(b"mask")
_TABLE = """
CREATE TABLE IF NOT EXISTS scores (
    model TEXT, content BLOB, probability REAL, width INTEGER, height INTEGER, format TEXT,
    PRIMARY KEY (model, content)
) WITHOUT ROWID
"""
_GET = "SELECT probability, width, height, format FROM scores WHERE model = ? AND content = ?"
_PUT = "INSERT OR REPLACE INTO scores VALUES (?, ?, ?, ?, ?, ?)"
_Work = Callable[[list[Item]], list[Score]]


class Cache:
    """A file of scores by the SHA-256 of an image's bytes; several processes may share it."""

    def __init__(self, file: Path, model: str) -> None:
        """Open a cache, or make one.

        Args:
            file: of the cache.
            model: what decides on a score, apart from the content: other models' are not seen.

        Raises:
            DataError: the file is something else.
        """
        self.file, self.model = file, model
        self._lock = Lock()
        self._pending: dict[bytes, Future[Score]] = {}
        with self._told():
            self._rows = sqlite3.connect(file, timeout=60, check_same_thread=False)
            try:
                self._make()
            except BaseException:
                self._rows.close()
                raise
        # A kill or a power cut harms nothing, and no row waits for the disk. Where another has
        # the file at this moment, it stays as it is until the next time.
        with suppress(sqlite3.OperationalError):
            self._rows.execute("PRAGMA journal_mode = WAL")
        self._rows.execute("PRAGMA synchronous = NORMAL")

    def _make(self) -> None:
        """Make the table, if it is not there."""
        self._rows.isolation_level = None
        self._rows.execute("BEGIN IMMEDIATE")  # others may be making it, too
        if self._number("PRAGMA application_id") != _OURS:
            if self._number("SELECT count(*) FROM sqlite_master"):
                raise sqlite3.DatabaseError("not a cache of maskspot")
            self._rows.execute(f"PRAGMA application_id = {_OURS}")
        self._rows.execute(_TABLE)
        self._rows.execute("COMMIT")

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise DataError(f"--cache: {self.file}: {error}; name another file") from None

    def _number(self, question: str) -> int:
        return int(self._rows.execute(question).fetchone()[0])

    def close(self) -> None:
        """Close the file."""
        self._rows.close()

    def remember(self, work: _Work) -> _Work:
        """Return what does the work of `work`, but on no content twice."""

        def remembering(batch: list[Item]) -> list[Score]:
            read = [_read(item) for item in batch]
            claims: list[tuple[Future[Score], bool]] = []
            try:
                claims.extend(self._claim(key) for key, _ in read)
                mine = [at for at, (_, is_new) in enumerate(claims) if is_new]
                scores = dict(zip(mine, work([read[at][1] for at in mine]), strict=True))
                for at, score in scores.items():
                    self._keep(read[at][0], score)
                    claims[at][0].set_result(score)
            except BaseException as error:
                for future, is_new in claims:
                    if is_new and not future.done():
                        future.set_exception(error)  # or who waits for it would for ever
                raise
            # Only now, when nobody waits for us, do we wait for others.
            found = [
                scores.get(at) or replace(future.result(), milliseconds=None)
                for at, (future, _) in enumerate(claims)
            ]
            return [
                replace(each, source=item.name) for each, item in zip(found, batch, strict=True)
            ]

        return remembering

    def _claim(self, key: bytes | None) -> tuple[Future[Score], bool]:
        """Return what will hold a content's score, and whether it is the caller's to make."""
        future: Future[Score] = Future()
        if key is None:
            return future, True
        with self._lock:
            if key in self._pending:
                return self._pending[key], False
            with self._told():
                row = self._rows.execute(_GET, (self.model, key)).fetchone()
            if row is None:
                self._pending[key] = future
            else:
                future.set_result(Score("", row[0], None, "ok", *row[1:]))
            return future, row is None

    def _keep(self, key: bytes | None, score: Score) -> None:
        if key is None:
            return
        with self._lock:
            if score.error is None:
                row = (score.probability, score.width, score.height, score.format)
                with self._told():
                    self._rows.execute(_PUT, (self.model, key, *row))
            del self._pending[key]


def _read(item: Item) -> tuple[bytes | None, Item]:
    """Return the SHA-256 of an item's bytes, and the item as it was read; no hash without bytes."""
    try:
        image = item.load()
        content = _content(image)
    except (OSError, ImageError) as error:
        return None, replace(item, load=partial(fail, error))
    if content is None:
        return None, replace(item, load=lambda: image)
    return sha256(content).digest(), replace(item, load=lambda: content)


def _content(image: object) -> bytes | None:
    if isinstance(image, str | os.PathLike):
        facts = os.stat(image)
        if not stat.S_ISREG(facts.st_mode) or facts.st_size > _LARGEST:
            return None
        return Path(image).read_bytes()
    return bytes(image) if isinstance(image, bytes | bytearray) else None
