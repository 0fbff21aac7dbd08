"""The jobs' libraries out of hash-pinned packages: `hail-all-spark.jar`, and `jobs.gluewheels.zip`, a zip of wheels.

    python libraries.py REQUIREMENTS FOLDER [HAIL_WHEEL]

HAIL_WHEEL, where it exists, stands in for the package that the requirements name.
"""

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

JAR = "hail/backend/hail-all-spark.jar"


def make(requirements: Path, folder: Path, own_hail: Path | None = None) -> None:
    """Write both files into `folder`. The same packages give the same bytes.

    Raises subprocess.CalledProcessError where pip can't have them, with the hashes that are asked for.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as downloads:
        download = ["download", "--quiet", "--no-deps", "--only-binary=:all:", "--require-hashes", "--dest", downloads]
        subprocess.run([sys.executable, "-m", "pip", *download, "--requirement", str(requirements)], check=True)
        wheels = sorted(Path(downloads).glob("*.whl"))
        hail = own_hail or next(wheel for wheel in wheels if wheel.name.startswith("hail-"))
        wheels = [hail if wheel.name.startswith("hail-") else wheel for wheel in wheels]
        with zipfile.ZipFile(hail) as package:
            (folder / "hail-all-spark.jar").write_bytes(package.read(JAR))
        with zipfile.ZipFile(folder / "jobs.gluewheels.zip", "w", zipfile.ZIP_STORED) as zipped:
            # the layout that Glue documents: a folder with the wheels and what to install of them
            named = "".join(f"{'=='.join(wheel.name.split('-')[:2])}\n" for wheel in wheels)
            zipped.writestr(zipfile.ZipInfo("wheels/requirements.txt"), named)
            for wheel in wheels:
                zipped.writestr(zipfile.ZipInfo(f"wheels/{wheel.name}"), wheel.read_bytes())
    print(f"{len(wheels)} wheels; Hail from {hail.name}")


if __name__ == "__main__":
    built = [Path(argument) for argument in sys.argv[3:] if Path(argument).is_file()]
    try:
        make(Path(sys.argv[1]), Path(sys.argv[2]), built[0] if built else None)
    except subprocess.CalledProcessError:
        sys.exit(f"error: pip could not have the packages of {sys.argv[1]}, with these hashes; it says why above")
