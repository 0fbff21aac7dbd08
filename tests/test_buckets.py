"""Buckets emptied of every version, delete marker and unfinished upload."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import pytest
from botocore.config import Config

from setup import buckets

pytestmark = pytest.mark.usefixtures("emulator")

KEYS = [f"folder/{number:05}" for number in range(buckets.BATCH + 300)]  # more than a page of each


def left(client: Any, bucket: str) -> int:
    pages = client.get_paginator("list_object_versions").paginate(Bucket=bucket)
    return sum(len(page.get("Versions", [])) + len(page.get("DeleteMarkers", [])) for page in pages)


def test_every_version_goes() -> None:
    """Also those at the border of two pages, of keys with several versions."""
    client = boto3.client("s3", config=Config(max_pool_connections=8))
    client.create_bucket(Bucket="full")
    client.put_bucket_versioning(Bucket="full", VersioningConfiguration={"Status": "Enabled"})
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda key: client.put_object(Bucket="full", Key=key, Body=b""), KEYS))
        list(threads.map(lambda key: client.delete_object(Bucket="full", Key=key), KEYS[::2]))
        list(threads.map(lambda key: client.put_object(Bucket="full", Key=key, Body=b""), KEYS[::4]))
    client.create_multipart_upload(Bucket="full", Key="unfinished")
    there = left(client, "full")
    assert there == len(KEYS) + len(KEYS[::2]) + len(KEYS[::4])
    assert buckets.empty(boto3.Session(), "full", print) == there
    assert left(client, "full") == 0
    assert "Uploads" not in client.list_multipart_uploads(Bucket="full")


def test_a_bucket_that_is_gone_is_empty() -> None:
    assert buckets.empty(boto3.Session(), "never-was-there", print) == 0
