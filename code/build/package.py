"""A Python package as a zip that Spark and Glue put on the path: `python package.py FOLDER ZIP`.

The same files give the same bytes.
"""

import sys
import zipfile
from pathlib import Path


def zip_package(folder: Path, target: Path) -> None:
    """Write the package's `.py` files under its name."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as zipped:
        for path in sorted(folder.rglob("*.py")):
            zipped.writestr(zipfile.ZipInfo(str(path.relative_to(folder.parent))), path.read_bytes())


if __name__ == "__main__":
    zip_package(Path(sys.argv[1]), Path(sys.argv[2]))
