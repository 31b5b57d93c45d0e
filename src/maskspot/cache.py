"""Scores kept by content: a picture that was scored once is not scored again."""

import sqlite3
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import cast

from maskspot.errors import DataError, ImageError
from maskspot.inputs import Item
from maskspot.results import Score

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
        try:
            self._rows = sqlite3.connect(file, timeout=60, check_same_thread=False)
            self._rows.isolation_level = None
            if self._number("PRAGMA application_id") != _OURS:
                if self._number("SELECT count(*) FROM sqlite_master"):
                    raise sqlite3.DatabaseError("not a cache of maskspot; name another file")
                self._rows.execute(f"PRAGMA application_id = {_OURS}")
            self._rows.execute("PRAGMA journal_mode = WAL")  # a kill or a power cut harms nothing,
            self._rows.execute("PRAGMA synchronous = NORMAL")  # and no row waits for the disk
            self._rows.execute(_TABLE)
        except sqlite3.Error as error:
            raise DataError(f"--cache: {file}: {error}") from None

    def _number(self, question: str) -> int:
        return int(self._rows.execute(question).fetchone()[0])

    def close(self) -> None:
        """Close the file."""
        self._rows.close()

    def remember(self, work: _Work) -> _Work:
        """Return what does the work of `work`, but on no content twice."""

        def remembering(batch: list[Item]) -> list[Score]:
            read = [_read(item) for item in batch]
            claims = [self._claim(key) for key, _ in read]
            mine = [at for at, (_, is_new) in enumerate(claims) if is_new]
            try:
                scores = work([read[at][1] for at in mine])
            except BaseException as error:
                for at in mine:
                    claims[at][0].set_exception(error)
                raise
            for at, score in zip(mine, scores, strict=True):
                self._keep(read[at][0], score)
                claims[at][0].set_result(score)
            # Only now, when nobody waits for us, do we wait for others.
            found = [replace(future.result(), milliseconds=None) for future, _ in claims]
            for at, score in zip(mine, scores, strict=True):
                found[at] = score
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
                self._rows.execute(_PUT, (self.model, key, *row))
            del self._pending[key]


def _read(item: Item) -> tuple[bytes | None, Item]:
    """Return the SHA-256 of an item's bytes, and the item with these; no hash if there are none."""
    try:
        image = item.load()
        content = image if isinstance(image, bytes) else Path(cast("Path", image)).read_bytes()
    except (OSError, ImageError):
        return None, item  # the predictor says what is wrong
    return sha256(content).digest(), replace(item, load=lambda: content)
