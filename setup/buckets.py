"""Buckets: emptied of every version, copied into."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
from botocore.config import Config

from setup.errors import SetupError
from setup.progress import Doing

TOGETHER = 16  # requests at a time
BATCH = 1000  # keys that one request deletes
# A page is told from the last key of the page before, which is deleted by then: what it lacks, the next pass finds.
PASSES = 4


def keys(client: Any, bucket: str, prefix: str) -> list[str]:
    """The keys under a prefix, sorted."""
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return sorted(one["Key"] for page in pages for one in page.get("Contents", []))


def empty(session: boto3.Session, bucket: str, doing: Doing) -> int:
    """Delete every version, delete marker and unfinished upload; how many. A bucket that is gone has none."""
    client = session.client("s3")
    deleted = 0
    try:
        for _ in range(PASSES):
            found = _delete_versions(client, bucket, doing)
            deleted += found
            if not found:
                break
        for page in client.get_paginator("list_multipart_uploads").paginate(Bucket=bucket):
            for upload in page.get("Uploads", []):
                client.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
    except client.exceptions.NoSuchBucket:
        return deleted
    return deleted


def _delete_versions(client: Any, bucket: str, doing: Doing) -> int:
    """Delete what one listing finds; how many."""
    deleted = 0
    for batch in _versions(client, bucket):
        told = client.delete_objects(Bucket=bucket, Delete={"Objects": batch, "Quiet": True})
        if errors := told.get("Errors"):
            first = errors[0]
            raise SetupError(f"s3://{bucket}/{first['Key']} can't be deleted: {first['Code']} {first['Message']}")
        deleted += len(batch)
        doing(f"{bucket}: {deleted:,} versions deleted")
    return deleted


def stop_logging(session: boto3.Session, bucket: str) -> None:
    """No more access logs of a bucket, so that those that come late don't fill the other again."""
    client = session.client("s3")
    try:
        client.put_bucket_logging(Bucket=bucket, BucketLoggingStatus={})
    except client.exceptions.NoSuchBucket:
        return


def copy(session: boto3.Session, pairs: list[tuple[str, str]], source: str, target: str, doing: Doing) -> None:
    """Copy objects, (key in `source`, key in `target`) each."""
    client = session.client("s3", config=Config(max_pool_connections=TOGETHER))

    def one(pair: tuple[str, str]) -> None:
        client.copy_object(Bucket=target, Key=pair[1], CopySource={"Bucket": source, "Key": pair[0]})

    with ThreadPoolExecutor(TOGETHER) as threads:
        for number, _ in enumerate(threads.map(one, pairs), 1):
            if number % 100 == 0:
                doing(f"{number} of {len(pairs)} objects copied")


def _versions(client: Any, bucket: str) -> Iterator[list[dict[str, str]]]:
    for page in client.get_paginator("list_object_versions").paginate(Bucket=bucket, MaxKeys=BATCH):
        found = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        if found:
            yield [{"Key": one["Key"], "VersionId": one["VersionId"]} for one in found]
