"""A lock on a table in S3: an object that only one job can make, and that it renews until it is done.

Writes are conditional: a new object only where there is none, a renewal only of what this job wrote last. A job that
dies leaves its object behind; who waits for it takes it over once it has not been renewed for LEASE seconds. Times are
S3's own, for the clocks of machines differ.
"""

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from genomicslake import s3
from genomicslake.errors import LakeError

LEASE = 60  # seconds
RENEWED = 15  # seconds between renewals
LOOKED = 5  # seconds between looks at another job's lock


class Lease:
    """A lock that this job holds, until `lost` says otherwise."""

    def __init__(self, path: str, etag: str) -> None:
        self.lost = ""
        self._path, self._etag = path, etag
        self._renewed = time.monotonic()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._renew, daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raise LakeError where the lock is lost."""
        if not self.lost and time.monotonic() - self._renewed > LEASE:
            self.lost = f"it could not be renewed for {LEASE} seconds"
        if self.lost:
            raise LakeError(
                f"this job has lost its lock of the table ({self.lost})",
                where=f"s3://{self._path}",
                todo="Another job may be writing the table. Run this one again when no other is.",
            )

    def release(self) -> None:
        """Let the next job have the table."""
        self._done.set()
        self._thread.join()
        if not self.lost:
            with suppress(Exception):  # who may not delete leaves it behind: it is taken over when the lease is over
                s3.delete([self._path])

    def _renew(self) -> None:
        while not self._done.wait(RENEWED):
            with suppress(Exception):  # S3 may answer next time
                etag = s3.put_if(self._path, _name(), matches=self._etag)
                if not etag:
                    self.lost = "another job has taken it over"
                    return
                self._etag, self._renewed = etag, time.monotonic()


@contextmanager
def held(path: str, table: str, say: Callable[[str], None] = print) -> Iterator[Lease]:
    """Hold the lock `path` (BUCKET/KEY) of a table. Raises LakeError where another job does."""
    lease = Lease(path, _taken(path, table, say))
    try:
        yield lease
    finally:
        lease.release()


def _taken(path: str, table: str, say: Callable[[str], None]) -> str:
    """The ETag of the lock, once this job has it."""
    seen: str | None = None
    while True:
        if etag := s3.put_if(path, _name(), matches=None):
            return etag
        found = s3.age(path)
        if not found:
            continue  # it was just released
        etag, seconds = found
        if seen not in (None, etag):
            raise LakeError("another job is writing this table", where=table, todo="Run this one when it is done.")
        if seconds > LEASE:
            if taken := s3.put_if(path, _name(), matches=etag):
                return taken
            continue
        if not seen:
            say(f"another job has the lock of {table}; waiting up to {LEASE} seconds to see whether it is at work")
        seen = etag
        time.sleep(LOOKED)


def _name() -> bytes:
    return uuid.uuid4().hex.encode()
