"""Tables in S3, where nothing can be renamed: what is written aside is copied, object by object, inside S3.

Before the first copy, a list of all of them is written beside what they copy, `.staging-TABLE/publish.json`. A job
that dies before that has changed nothing; of one that dies later the next job copies the rest, whatever it is then
to load itself. S3 has no way to put many objects in place at once. Each file takes the place of its older one at once,
so of a sample, which has one file, readers see the older rows or the newer ones, never both; until all copies are made
and what is left of the older table is deleted (seconds for thousands of objects) they may see the one of some samples
and the other of others. `_load.json` counts no rows in between and is written anew behind the table's
files: where it does not count their rows, the table is not whole.
"""

import json
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from genomicslake import lease, s3
from genomicslake.errors import LakeError
from genomicslake.publish import LOAD, MANIFEST, Table, each

NOTHING = "Nothing was published."


class S3Table(Table):
    """A table under a key prefix of a bucket."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        if not self._parent:
            raise LakeError("a bucket is no table", where=path, todo="Pass a folder in it: s3://BUCKET/tables/NAME.")
        self._manifest = f"{self.aside}/{MANIFEST}"
        self._standing = NOTHING
        self._lease: lease.Lease | None = None

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other jobs away from the table, wherever they run. Raises LakeError where one is at work on it; the lock
        of one that died is waited for and taken over (see lease).
        """
        with lease.held(f"{self._parent}/.lock-{self.name}", self.path) as self._lease:
            yield
        self._lease = None

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
        self._check_lease()
        s3.delete(s3.listed(self.aside))  # of jobs that are dead
        place, load = self.system.get_file_info([self.inside, f"{self.inside}/{LOAD}"])
        if not load.is_file and (place.is_file or any(not path.endswith("/") for path in s3.listed(self.inside))):
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
        """Take away what this job wrote aside, unless it is needed to complete the publication. What others wrote is
        not its own to delete: it may have lost its lock.
        """
        if not self.system.get_file_info(self._manifest).is_file:
            s3.delete(s3.listed(self._staging))

    def written(self) -> list[str]:
        """The paths of the Parquet files written aside; nothing else is copied."""
        return [f"s3://{path}" for path in self._files(self._data)]

    def publish(self, load: dict[str, Any], kept: Collection[str] = ()) -> None:
        """Write down what is to be copied where, then copy it."""
        self._check_lease()
        stay = [path.removeprefix("s3://") for path in kept]
        places = self._places(self.inside, stay)
        manifest = {"load": load, "table": places, "kept": stay, "records": self._record(load)}
        self._write(self._manifest, manifest)
        self._complete(manifest)

    def _complete(self, manifest: dict[str, Any]) -> None:
        """Do what a manifest says, the whole of it: what was done before is done again."""
        self._standing = "The table is published in part: run the job again, it goes on from there."
        table, records = manifest["table"], manifest["records"]
        gone = {*table, *records} - set(s3.listed(self.aside))
        if gone:
            raise LakeError(
                f"{len(gone)} of the objects that are to be published are gone",
                where=f"s3://{self.aside}",
                todo="Delete what is left there and run the job again: it makes the table anew.",
            )
        self._check_lease()
        self._write(f"{self.inside}/{LOAD}", manifest["load"] | {"rows": None})  # of a mixture no record is right
        self._copy(table)
        self._check_lease()
        s3.delete(set(s3.listed(self.inside)) - {*table.values(), *manifest["kept"], f"{self.inside}/{LOAD}"})
        self._write(f"{self.inside}/{LOAD}", manifest["load"])
        self._copy(records)
        s3.delete([self._manifest])
        self._standing = "The table was published before that."

    def _check_lease(self) -> None:
        if self._lease:
            self._lease.check()

    def _copy(self, copies: dict[str, str]) -> None:
        def copy(one: tuple[str, str]) -> None:
            self._check_lease()
            self.system.copy_file(*one)

        each(copy, copies.items())

    def _write(self, path: str, content: Any) -> None:
        text = json.dumps(content, indent=1)
        with self.system.open_output_stream(path) as file:
            file.write(text.encode())

    @property
    def standing(self) -> str:
        """What has become of the table so far, to be told with a failure."""
        return self._standing
