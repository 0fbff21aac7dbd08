"""`./setup.sh publish`: the solution's files into a bucket, from which the root template can be launched."""

import io
import shutil
import subprocess
import urllib.parse
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
from botocore.config import Config

from setup import names
from setup.demonstration import Demonstration
from setup.errors import SetupError
from setup.progress import Doing

PREFIX = f"{names.TITLE}/v{names.VERSION}/"
TOGETHER = 16  # uploads at a time
_BUCKET = "solution-bucket"  # what stands in the template for what is filled in
_PREFIX = "solution-prefix/"


def publish(session: boto3.Session, bucket: str, prefix: str, made: Demonstration, doing: Doing) -> str:
    """Upload all of it, the template last; the template's URL. Raises SetupError."""
    if prefix and not prefix.endswith("/"):
        raise SetupError(f"--prefix {prefix} has to end with a slash.")
    client = session.client("s3", config=Config(max_pool_connections=TOGETHER))

    def upload(one: tuple[str, bytes | Path]) -> None:
        key, content = one
        body = content if isinstance(content, bytes) else content.read_bytes()
        client.put_object(Bucket=bucket, Key=prefix + key, Body=body)

    uploads = list(_files(made))
    with ThreadPoolExecutor(TOGETHER) as threads:
        for number, _ in enumerate(threads.map(upload, uploads), 1):
            if number % 100 == 0:
                doing(f"{number} of {len(uploads)} files")
    client.put_object(Bucket=bucket, Key=prefix + names.TEMPLATE, Body=template(bucket, prefix).encode())
    return f"{client.meta.endpoint_url.rstrip('/')}/{bucket}/{prefix}{names.TEMPLATE}"


def publish_to_folder(folder: Path, made: Demonstration) -> None:
    """Write all of it into an empty folder, for taskcat or another tool to upload; the template has no place filled in.

    Raises SetupError where the folder has something else in it.
    """
    if folder.exists() and not (folder / "solution.zip").exists() and any(folder.iterdir()):
        raise SetupError(f"{folder} has other files in it. Choose another --folder.")
    shutil.rmtree(folder, ignore_errors=True)
    template = (names.ROOT / "templates" / "setup_cfn.yml").read_bytes()
    for key, content in (*_files(made), (names.TEMPLATE, template)):
        path = folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.read_bytes())


def console_link(region: str, url: str) -> str:
    """Launch Solution: the console's form for a new stack, with the template."""
    query = urllib.parse.urlencode({"templateURL": url, "stackName": "GenomicsAnalysis-Setup"})
    return f"https://{region}.console.aws.amazon.com/cloudformation/home?region={region}#/stacks/create/review?{query}"


def template(bucket: str, prefix: str) -> str:
    """The root template with the place where the solution's files are."""
    text = (names.ROOT / "templates" / "setup_cfn.yml").read_text(encoding="utf-8")
    for placeholder in (_BUCKET, _PREFIX):
        if text.count(f"Default: {placeholder}\n") != 1:
            raise SetupError(f"templates/setup_cfn.yml has no parameter with Default: {placeholder}")
    return text.replace(f"Default: {_BUCKET}\n", f"Default: {bucket}\n").replace(
        f"Default: {_PREFIX}\n", f"Default: '{prefix}'\n"
    )


def archive() -> bytes:
    """The solution's own files as a zip: what git tracks, or, outside git, what an archive held."""
    paths = sorted(_tracked())
    return zipped({path: (names.ROOT / path).read_bytes() for path in paths})


def zipped(files: dict[str, bytes]) -> bytes:
    """Files as a zip; the same files give the same bytes."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as target:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = (0o755 if content.startswith(b"#!") else 0o644) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            target.writestr(entry, content)
    return made.getvalue()


def _files(made: Demonstration) -> Iterator[tuple[str, bytes | Path]]:
    """All that is published but the template, by key."""
    trigger = names.ROOT / "setup" / "trigger" / "trigger.py"
    yield "solution.zip", archive()
    yield "trigger.zip", zipped({"trigger.py": trigger.read_bytes()})
    for key, path in _data(made):
        yield f"data/{key}", path


def _tracked() -> Iterator[str]:
    """The files that git tracks or would, that are there; without git, all but what is hidden or made."""
    command = ["git", "-C", str(names.ROOT), "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    done = subprocess.run(command, capture_output=True)
    if done.returncode == 0:
        listed = [path for path in done.stdout.decode().split("\0") if path]
    else:
        found = (path.relative_to(names.ROOT) for path in names.ROOT.rglob("*"))
        listed = [path.as_posix() for path in found if path.parts[0] != "build" and not path.parts[0].startswith(".")]
    for path in listed:
        if (names.ROOT / path).is_file() and "__pycache__" not in path and not path.startswith("tests/"):
            yield path


def _data(made: Demonstration) -> Iterator[tuple[str, Path]]:
    """The demonstration's files, by the keys that they get in the lake."""
    for folder, path in (
        ("variants", made.sources.cohort),
        ("variants", made.sources.individual),
        ("annotation", made.sources.clinvar),
    ):
        yield f"source/{folder}/{path.name}", path
    for name in names.TABLES:
        for path in sorted((made.tables / name).rglob("*")):
            if path.is_file():
                yield f"tables/{path.relative_to(made.tables).as_posix()}", path
    for path in sorted((made.tables / "loads").glob("*.parquet")):
        yield f"tables/loads/{path.name}", path
