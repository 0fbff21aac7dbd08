"""S3 as Spark and Hail read and write it in the rehearsal, compiled by the Scala that comes with PySpark."""

import hashlib
import subprocess
import tempfile
from pathlib import Path

from setup.errors import SetupError

# What spark-submit is told, beside the jar on the driver's class path
SETTINGS = {
    "spark.hadoop.fs.s3.impl": "genomicslake.rehearsal.S3FileSystem",
    "spark.sql.sources.commitProtocolClass": "genomicslake.rehearsal.S3CommitProtocol",
}


def jar(java_home: Path, pyspark_home: Path, folder: Path) -> Path:
    """The jar that has those classes, in `folder`; compiled once for each content of their source and each PySpark.

    Raises SetupError with the compiler's words.
    """
    sources = sorted(Path(__file__).parent.glob("*.scala"))
    jars = pyspark_home / "jars"
    content = b"".join(path.read_bytes() for path in sources)
    versions = "\n".join(sorted(path.name for path in jars.iterdir()))
    made = folder / f"s3-{hashlib.sha256(content + versions.encode()).hexdigest()[:16]}.jar"
    if made.exists():
        return made
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as aside:
        compiled = Path(aside) / made.name
        java = [str(java_home / "bin" / "java"), "-XX:TieredStopAtLevel=1", "-cp", str(jars / "*")]
        compiler = ["scala.tools.nsc.Main", "-usejavacp", "-nowarn", "-d", str(compiled), *map(str, sources)]
        ran = subprocess.run([*java, *compiler], capture_output=True, text=True, check=False)
        if ran.returncode:
            raise SetupError(
                f"setup/rehearsal/spark does not compile with the Scala in {jars}:\n{ran.stdout}{ran.stderr}"
            )
        compiled.replace(made)
    return made
