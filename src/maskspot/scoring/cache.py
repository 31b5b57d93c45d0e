"""A cache of scores by the content of images."""

import math
import os
import sqlite3
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Any

from maskspot.errors import DataError, ImageError, fail
from maskspot.files import check_target
from maskspot.inputs.items import Item
from maskspot.model.score import Score, is_sound

_PATIENCE, _PAUSE, _DEADLINE = 5.0, 0.05, 10.0
"""Seconds to wait for a cache that another process has locked, between two tries, and for one
query. SQLite does not react to Ctrl-C, so it must never wait or work for long by itself."""

_STEPS = 100_000  # instructions of SQLite between two checks of the time
_SIDE_FILES = ("-journal", "-wal", "-shm")
_LARGEST = 2**28  # bytes of a file that is read at once, for its hash
_BUSY = (5, 6)  # SQLITE_BUSY, SQLITE_LOCKED
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
    """A file of scores by the SHA-256 of the image's bytes; processes can share it."""

    def __init__(self, file: Path, model: str) -> None:
        """Open or create a cache.

        Args:
            file: of the cache.
            model: identifies what decides on a score besides the content; entries of others are
                ignored.

        Raises:
            DataError: the file is not a cache.
        """
        self.file, self.model = file, model
        self._lock = Lock()
        self._pending: dict[bytes, Future[Score]] = {}
        self._until = math.inf
        for path in (file, *(file.with_name(file.name + end) for end in _SIDE_FILES)):
            check_target(path)
        with self._told():
            self._rows = sqlite3.connect(file, timeout=0, check_same_thread=False)
            try:
                self._defend()
                self._make()
            except BaseException:
                self._rows.close()
                raise
        # Safe after a kill or a power cut, and no row waits for the disk. If another process
        # has locked the file right now, its mode stays until the next time.
        with suppress(sqlite3.OperationalError):
            self._rows.execute("PRAGMA journal_mode = WAL")
        self._rows.execute("PRAGMA synchronous = NORMAL")

    def _defend(self) -> None:
        """Run no code that the file contains, and no query for long."""
        self._rows.set_progress_handler(lambda: time.monotonic() > self._until, _STEPS)
        for setting in ("trusted_schema = OFF", "cell_size_check = ON", "mmap_size = 0"):
            self._rows.execute(f"PRAGMA {setting}")
        defensive = getattr(sqlite3, "SQLITE_DBCONFIG_DEFENSIVE", None)
        if defensive is not None:  # from Python 3.12 on
            self._rows.setconfig(defensive, True)  # type: ignore[attr-defined,unused-ignore]

    def _ask(self, words: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Return the rows of a query; a locked file is tried again for a while."""
        ends = time.monotonic() + _PATIENCE
        while True:
            self._until = time.monotonic() + _DEADLINE
            try:
                return self._rows.execute(words, values).fetchall()
            except sqlite3.OperationalError as error:
                busy = getattr(error, "sqlite_errorcode", 0) & 0xFF in _BUSY
                if not busy or time.monotonic() > ends:
                    raise
            time.sleep(_PAUSE)

    def _make(self) -> None:
        """Create the table if it does not exist."""
        self._rows.isolation_level = None
        self._ask("BEGIN IMMEDIATE")  # another process may be creating it
        if self._number("PRAGMA application_id") != _OURS:
            if self._number("SELECT count(*) FROM sqlite_master"):
                raise sqlite3.DatabaseError("not a cache of maskspot")
            self._rows.execute(f"PRAGMA application_id = {_OURS}")
        self._ask(_TABLE)
        # A view, a trigger or a computed column would run code of whoever made the file.
        found = self._ask("SELECT type, name, sql FROM sqlite_master")
        if [(kind, name, _squeezed(sql)) for kind, name, sql in found] != [
            ("table", "scores", _squeezed(_TABLE.replace("IF NOT EXISTS ", "")))
        ]:
            raise sqlite3.DatabaseError("not a cache of maskspot")
        self._ask("COMMIT")

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise DataError(f"{self.file}: {error}; name another file", argument="cache") from None

    def _number(self, question: str) -> int:
        return int(self._ask(question)[0][0])

    def close(self) -> None:
        """Close the file."""
        self._rows.close()

    def remember(self, work: _Work) -> _Work:
        """Return a function that does `work`, but never twice for the same content."""

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
                        future.set_exception(error)  # else others would wait for it forever
                raise
            # Wait for others only now, when nobody waits for this thread.
            found = [
                scores.get(at) or replace(future.result(), milliseconds=None)
                for at, (future, _) in enumerate(claims)
            ]
            return [
                replace(each, source=item.name) for each, item in zip(found, batch, strict=True)
            ]

        return remembering

    def _claim(self, key: bytes | None) -> tuple[Future[Score], bool]:
        """Return the future of a content's score, and whether the caller must compute it."""
        future: Future[Score] = Future()
        if key is None:
            return future, True
        with self._lock:
            if key in self._pending:
                return self._pending[key], False
            with self._told():
                rows = self._ask(_GET, (self.model, key))
            values = ["", rows[0][0], None, "ok", *rows[0][1:], None] if rows else []
            known = bool(rows) and is_sound(values)  # something else may have written to the file
            if known:
                future.set_result(Score(*values))
            else:
                self._pending[key] = future
            return future, not known

    def _keep(self, key: bytes | None, score: Score) -> None:
        if key is None:
            return
        with self._lock:
            if score.error is None:
                row = (score.probability, score.width, score.height, score.format)
                with self._told():
                    self._ask(_PUT, (self.model, key, *row))
            del self._pending[key]


def _squeezed(words: object) -> str:
    return " ".join(str(words).split())


def _read(item: Item) -> tuple[bytes | None, Item]:
    """Return the SHA-256 of an item's bytes, if it has any, and the item as it was read."""
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
