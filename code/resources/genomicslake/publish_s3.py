"""Tables in S3, where nothing can be renamed: what is written aside is copied, object by object, inside S3.

Before the first copy, a list of all of them is written beside what they copy, `.staging-TABLE/publish.json`. A job
that dies before that has changed nothing; of one that dies later the next job copies the rest, whatever it is then
to load itself. Until the copies are made and the older objects deleted (seconds for thousands of objects) readers
see rows of both tables, before that the older one, after it the newer one. `_load.json` is written behind the
table's files: where it does not count their rows, the table is not whole.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from genomicslake import s3
from genomicslake.errors import LakeError
from genomicslake.publish import LOAD, Table, each

MANIFEST = "publish.json"
NOTHING = "Nothing was published."


class S3Table(Table):
    """A table under a key prefix of a bucket."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        if not self._parent:
            raise LakeError("a bucket is no table", where=path, todo="Pass a folder in it: s3://BUCKET/tables/NAME.")
        self._manifest = f"{self._aside}/{MANIFEST}"
        self._standing = NOTHING

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Nothing: on Glue a job's MaxConcurrentRuns of 1 is what keeps two runs apart. S3 has no locks that end with
        their owner.
        """
        yield

    def prepare(self) -> str | None:
        """Complete the publication that a job began before it died, or take away what it wrote before that; the run
        that was completed, if any.
        """
        run = None
        if self.system.get_file_info(self._manifest).is_file:
            with self.system.open_input_stream(self._manifest) as file:
                manifest = json.loads(file.read())
            self._complete(manifest)
            self._standing = NOTHING  # of this job's own
            run = str(manifest["load"]["run_id"])
        self.discard()
        place, load = self.system.get_file_info([self._inside, f"{self._inside}/{LOAD}"])
        if not load.is_file and (place.is_file or any(not path.endswith("/") for path in s3.listed(self._inside))):
            raise LakeError(
                "there is something that is no table of this lake",
                where=self.path,
                todo="Pass another --output_path, or move it away.",
            )
        return run

    def folder(self, name: str) -> str:
        """A folder aside; S3 has none before there is something in it."""
        return f"{self.staging}/{name}"

    def discard(self) -> None:
        """Take away what was written aside, unless it is needed to complete the publication."""
        if not self.system.get_file_info(self._manifest).is_file:
            s3.delete(s3.listed(self._aside))

    def rows_written(self) -> int:
        """The rows in the Parquet files written aside, by their footers; nothing else is copied."""
        return self._count(self._files(self._data))

    def publish(self, load: dict[str, Any]) -> None:
        """Write down what is to be copied where, then copy it."""
        data = {path: self._inside + path.removeprefix(self._data) for path in self._files(self._data)}
        manifest = {"load": load, "table": data, "records": self._record(load)}
        self._write(self._manifest, manifest)
        self._complete(manifest)

    def _complete(self, manifest: dict[str, Any]) -> None:
        """Do what a manifest says, the whole of it: what was done before is done again."""
        self._standing = "The table is published in part: run the job again, it goes on from there."
        table, records = manifest["table"], manifest["records"]
        gone = {*table, *records} - set(s3.listed(self._aside))
        if gone:
            raise LakeError(
                f"{len(gone)} of the objects that are to be published are gone",
                where=f"s3://{self._aside}",
                todo="Delete what is left there and run the job again: it makes the table anew.",
            )
        self._copy(table)
        s3.delete(set(s3.listed(self._inside)) - {*table.values(), f"{self._inside}/{LOAD}"})
        self._write(f"{self._inside}/{LOAD}", manifest["load"])
        self._copy(records)
        s3.delete([self._manifest])
        self._standing = "The table was published before that."

    def _copy(self, copies: dict[str, str]) -> None:
        each(lambda copy: self.system.copy_file(*copy), copies.items())

    def _write(self, path: str, content: Any) -> None:
        text = json.dumps(content, indent=1)
        with self.system.open_output_stream(path) as file:
            file.write(text.encode())

    @property
    def standing(self) -> str:
        """What has become of the table so far, to be told with a failure."""
        return self._standing
