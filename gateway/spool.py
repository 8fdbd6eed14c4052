"""
A list of what is still to be done that outlives the process: lines of JSON in a file that only grows.

What is written survives the process at once, because the kernel has it, and the machine's end from the next `sync` on.
"""

import fcntl
import logging
import os
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

log = logging.getLogger(__name__)

COMPACT_BYTES = 16 * 1024 * 1024
"""From this size on a file is written anew, with what is still to be done."""

Item = Mapping[str, Any]


class Spool:
    """
    One file of a folder, locked for as long as the process lives: a file that can be locked is of a process that died.

    Not shared: one loop calls all but `sync`. Raises `OSError` where the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self.pending: dict[str, Item] = {}
        self._size = 0
        self._file = self._new()
        for path in sorted(folder.glob("*.jsonl")):
            self._adopt(path)

    def add(self, id: str, item: Item) -> None:
        self.pending[id] = item
        self._write({"id": id, "item": item})

    def done(self, id: str) -> None:
        if self.pending.pop(id, None) is None:
            return
        if not self.pending:
            os.ftruncate(self._file, 0)
            self._size = 0
        elif self._size > COMPACT_BYTES:
            self._compact()
        else:
            self._write({"done": id})

    def sync(self) -> None:
        """Until it returns, what was added before may be lost with the machine. Blocks: for a thread."""
        os.fsync(self._file)

    def close(self) -> None:
        """Give the file up; another process will find what is left."""
        if not self.pending:
            self._path.unlink(missing_ok=True)
        os.close(self._file)

    def _new(self) -> int:
        self._path = self._folder / f"{secrets.token_hex(8)}.jsonl"
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._size = 0
        return file

    def _write(self, line: Item) -> None:
        data = orjson.dumps(line) + b"\n"
        self._size += os.write(self._file, data)

    def _adopt(self, path: Path) -> None:
        """Take over what a dead process has left, and remove its file once ours holds it."""
        if path == self._path:
            return
        try:
            file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return  # another process was faster
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return
        try:
            for id, item in _read(path):
                self.add(id, item)
            os.fsync(self._file)
            path.unlink(missing_ok=True)
        finally:
            os.close(file)

    def _compact(self) -> None:
        """Write what is pending into a new file before the old one goes: a crash between leaves both."""
        old, path = self._file, self._path
        self._file = self._new()
        for id, item in self.pending.items():
            self._write({"id": id, "item": item})
        os.fsync(self._file)
        path.unlink(missing_ok=True)
        os.close(old)


def _read(path: Path) -> Iterator[tuple[str, Item]]:
    """What is not done. A last line that is cut was never whole; any other that cannot be read is told and left out."""
    pending: dict[str, Item] = {}
    for line in path.read_bytes().splitlines():
        try:
            told = orjson.loads(line)
            if "done" in told:
                pending.pop(told["done"], None)
            else:
                pending[told["id"]] = told["item"]
        except (orjson.JSONDecodeError, KeyError, TypeError):
            log.warning("a line of a spool cannot be read and is left out: %d bytes", len(line))
    yield from pending.items()
