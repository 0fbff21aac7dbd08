"""The samples' folders in a table of layout by_sample, `sampleid=NAME`, as Hive and Spark name partitions."""

import re
from urllib.parse import unquote

PARTITION = "sampleid"
_ESCAPED = re.compile(r'[\x01-\x1f\x7f"#%\'*/:=?\\{\[\]^]')


def folder_of(sample: str) -> str:
    """The name of a sample's folder."""
    return f"{PARTITION}=" + _ESCAPED.sub(lambda found: f"%{ord(found[0]):02X}", sample)


def sample_of(path: str) -> str | None:
    """The sample in whose folder a file stands; None in a table without such folders."""
    folder = path.rsplit("/", 2)[-2]
    return unquote(folder.removeprefix(f"{PARTITION}=")) if folder.startswith(f"{PARTITION}=") else None
