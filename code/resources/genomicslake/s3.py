"""What pyarrow leaves to do in S3: deleting many objects at once without a trace, and saying what S3's errors mean.

Paths are pyarrow's, BUCKET/KEY. pyarrow leaves an empty object in the place of each folder in which it deletes
(apache/arrow issue 36275), which crawlers would take for partitions; hence boto3.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Any

from genomicslake.errors import LakeError

BATCH = 1_000  # objects that one request deletes at most

_MEANINGS = {  # S3's codes as pyarrow, boto3, Spark and the file systems behind `s3://` write them
    "S3 denies access": (
        r"ACCESS_DENIED|Access ?Denied|Status Code: 403",
        "The role that runs the job needs s3:ListBucket on the bucket, s3:GetObject on the input, s3:PutObject and "
        "s3:DeleteObject on the table's folder and what stands beside it, and the use of the bucket's KMS key.",
    ),
    "there is no such bucket": (r"NO_SUCH_BUCKET|NoSuchBucket", "Check the name; buckets are not made by jobs."),
    "S3 does not accept the AWS credentials": (
        r"EXPIRED_TOKEN|ExpiredToken|RequestExpired|INVALID_ACCESS_KEY_ID|InvalidAccessKeyId|InvalidToken"
        r"|SIGNATURE_DOES_NOT_MATCH|SignatureDoesNotMatch|Unable to locate credentials|AWS_ACCESS_KEY_ID is not set"
        r"|UNKNOWN \(HTTP status 400\) during Head",  # whose answers have no text
        "Are they expired? Get new ones, and run the job again.",
    ),
    "S3 can't be reached": (
        r"AWS Error NETWORK_CONNECTION|Could not connect to the endpoint URL",
        "Is there a network, and a VPC endpoint for S3 where there is none? Run the job again.",
    ),
    "S3 failed": (
        r"INTERNAL_FAILURE|InternalError|SLOW_DOWN|SlowDown|SERVICE_UNAVAILABLE|ServiceUnavailable|Status Code: 50\d"
        r"|HTTP status 50\d",
        "It was asked more than once; its own failures pass: run the job again.",
    ),
    "this Spark can't read s3://": (
        r"""No FileSystem for scheme "s3\"""",
        "Run the job on Glue or EMR, or in a rehearsal (./setup.sh local); elsewhere pass local paths.",
    ),
}
_PLACE = re.compile(r"s3://([^\s:,;']+)|key '([^']+)' in bucket '([^']+)'|bucket '([^']+)'")
_WORDS = re.compile(r"(?: operation(?: \(.*?\))?|AccessDenied|ExpiredToken): (\S.*)")


def is_failure(error: Exception) -> bool:
    """Whether it is S3 that refused what pyarrow asked of it, rather than that what it gave is unreadable."""
    return "AWS Error" in str(error)


def explained(text: str, where: str, standing: str) -> LakeError | None:
    """What an error's text means, if it is one of S3's; `where` if it does not tell itself."""
    for what, (pattern, todo) in _MEANINGS.items():
        if not re.search(pattern, text):
            continue
        if place := _PLACE.search(text):
            uri, key, bucket, only = place.groups()
            where = f"s3://{uri or only or f'{bucket}/{key}'}"
        if (words := _WORDS.search(text)) and "No response body" not in words[1]:
            what += f" ({words[1].rstrip('. ')})"
        return LakeError(what, where=where, todo=f"{standing} {todo}")
    return None


def listed(folder: str) -> list[str]:
    """Every object under a folder, the empty ones that stand for folders too."""
    bucket, _, prefix = folder.partition("/")
    pages = _client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}/")
    return [f"{bucket}/{found['Key']}" for page in pages for found in page.get("Contents", ())]


def delete(paths: Iterable[str]) -> None:
    """Delete objects, a thousand a request. Raises OSError where S3 does not delete one."""
    keys: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        bucket, _, key = path.partition("/")
        keys[bucket].append(key)
    for bucket, all_ in keys.items():
        for start in range(0, len(all_), BATCH):
            _delete(bucket, [{"Key": key} for key in all_[start : start + BATCH]])


def purge(folder: str) -> int:
    """Delete the older versions of all objects under a folder, and of deleted ones all; how many there were."""
    bucket, _, prefix = folder.partition("/")
    pages = _client().get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=f"{prefix}/")
    purged = 0
    for page in pages:
        versions = [
            {"Key": version["Key"], "VersionId": version["VersionId"]}
            for kind in ("Versions", "DeleteMarkers")
            for version in page.get(kind, ())
            if kind == "DeleteMarkers" or not version["IsLatest"]
        ]
        for start in range(0, len(versions), BATCH):
            _delete(bucket, versions[start : start + BATCH])
        purged += len(versions)
    return purged


def _delete(bucket: str, objects: list[dict[str, str]]) -> None:
    answer = _client().delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True})
    for error in answer.get("Errors", ()):  # of single objects: the request itself went well
        what = f"When deleting key '{error['Key']}' in bucket '{bucket}'"
        raise OSError(f"{what}: {error['Code']}: {error.get('Message', 'no message')}")


def put_if(path: str, content: bytes, *, matches: str | None) -> str | None:
    """Write an object if it still has the ETag that `matches`, or, for None, if there is none; its new ETag.

    None where it isn't so. `content` is nobody else's: where an answer got lost, it tells that the object was written.
    Raises what boto3 does for everything else.
    """
    bucket, _, key = path.partition("/")
    condition = {"IfMatch": matches} if matches else {"IfNoneMatch": "*"}
    try:
        return str(_client().put_object(Bucket=bucket, Key=key, Body=content, **condition)["ETag"])
    except _client().exceptions.ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] not in (404, 409, 412):
            raise
    try:
        found = _client().get_object(Bucket=bucket, Key=key)
    except _client().exceptions.NoSuchKey:
        return None
    return str(found["ETag"]) if found["Body"].read() == content else None


def age(path: str) -> tuple[str, float] | None:
    """The ETag of an object and the seconds since it was written, by S3's clock; None where there is none."""
    bucket, _, key = path.partition("/")
    try:
        found = _client().head_object(Bucket=bucket, Key=key)
    except _client().exceptions.ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
            return None
        raise
    now = parsedate_to_datetime(found["ResponseMetadata"]["HTTPHeaders"]["date"])
    return str(found["ETag"]), (now - found["LastModified"]).total_seconds()


@cache
def _client() -> Any:
    import boto3  # where there is no S3, it need not be installed

    return boto3.client("s3")
