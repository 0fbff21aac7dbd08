"""Who reads or writes what is encrypted needs its key, too: S3's objects and the data catalog, as those services ask
KMS with the caller's rights. Nothing is encrypted in a rehearsal, but who may not use the key is refused.
"""

from collections.abc import Iterator
from typing import Any

from setup.rehearsal import catalog_settings, extend

_READS = {"s3:GetObject", "s3:GetObjectVersion"}
_CATALOG_READS = ("Get", "BatchGet", "Search")
_OF_METADATA = ("Database", "Databases", "Table", "Tables", "Partition", "Partitions")


def install() -> None:
    """Ask for the key wherever it is needed."""
    extend.add_check(_of_objects)
    extend.add_check(_of_catalog)


def _of_objects(action: str, resource: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    bucket, _, key = resource.removeprefix("arn:aws:s3:::").partition("/")
    needed: tuple[str, ...] = ()
    if action in _READS:
        encryption, needed = extend.object_encryption(bucket, key), ("kms:Decrypt",)
    elif action == "s3:PutObject":
        # a multipart upload is decrypted, too, when it is put together
        encryption, needed = extend.bucket_encryption(bucket), ("kms:GenerateDataKey", "kms:Decrypt")
    for kms_action in needed if needed and encryption else ():
        yield kms_action, encryption, {"kms:ViaService": f"s3.{extend.REGION}.amazonaws.com"}


def _of_catalog(action: str, _: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    service, _, operation = action.partition(":")
    key = catalog_settings.key()
    if service != "glue" or not key or not operation.endswith(_OF_METADATA):
        return
    reads = operation.startswith(_CATALOG_READS)
    for kms_action in ("kms:Decrypt",) if reads else ("kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey"):
        yield kms_action, key, {"kms:ViaService": f"glue.{extend.REGION}.amazonaws.com"}
