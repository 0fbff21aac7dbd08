"""Spark and Hail, started once a process: on Glue and EMR with what stands there, elsewhere on this machine's cores.

Where spark-submit started the JVM, as on Glue, it is told there of Hail's jar (Glue: --extra-jars) and of this
package (--extra-py-files), for the driver and the executors.
"""

import logging
import os
import sys
import tempfile
import threading
import time
import warnings
from contextlib import suppress
from pathlib import Path

from pyspark import SparkConf, SparkContext
from pyspark.sql import SparkSession

from genomicslake import references

LOCAL = {
    "spark.driver.memory": "3g",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
}
ALONE = {  # without Hail, Spark's JVM only hands on what Python's tasks make
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC "
    "-Xms64m -XX:MinHeapFreeRatio=20 -XX:MaxHeapFreeRatio=40",  # as much memory as that takes, not as there is
}
HAIL = {  # what Hail sets where it makes the context itself
    "spark.serializer": "org.apache.spark.serializer.KryoSerializer",
    "spark.kryo.registrator": "is.hail.kryo.HailKryoRegistrator",
    "spark.kryoserializer.buffer.max": "1g",
    "spark.driver.maxResultSize": "0",
}
EVERYWHERE = {
    "spark.sql.parquet.compression.codec": "zstd",
    "spark.hadoop.mapreduce.fileoutputcommitter.marksuccessfuljobs": "false",
    # Spark would drop the count of rows from a plan that turns out to have none
    "spark.sql.adaptive.optimizer.excludedRules": "org.apache.spark.sql.execution.adaptive.AQEPropagateEmptyRelation",
}


def spark(further: dict[str, str] = ALONE) -> SparkSession:
    """Spark alone, which Hail may join later; `further` has settings for a JVM that is started on this machine."""
    conf = _settings(further)
    is_there = SparkContext._active_spark_context is not None
    session = SparkSession.builder.config(map=conf).getOrCreate()
    if is_there:  # of what was started without these; to set them takes half a second
        of_hadoop = session.sparkContext._jsc.hadoopConfiguration()
        for name, value in EVERYWHERE.items():
            if name.startswith("spark.hadoop."):
                of_hadoop.set(name.removeprefix("spark.hadoop."), value)
            else:
                session.conf.set(name, value)
    return session


def begin() -> None:
    """Let the JVM of `spark` start on this machine while something else is done; who comes too early waits for it, and
    is told if it does not start.
    """
    if "PYSPARK_GATEWAY_PORT" in os.environ:
        return
    conf = SparkConf().setAll(list(_settings(ALONE).items()))

    def start() -> None:
        with suppress(Exception):
            SparkContext._ensure_initialized(conf=conf)

    threading.Thread(target=start).start()


def _settings(further: dict[str, str]) -> dict[str, str]:
    logging.getLogger("py4j").setLevel(logging.ERROR)
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    conf = HAIL | EVERYWHERE
    if "PYSPARK_GATEWAY_PORT" in os.environ:  # spark-submit, so Glue and EMR, started the JVM
        return conf
    os.environ.setdefault("SPARK_LOCAL_IP", LOCAL["spark.driver.host"])
    package, paths = str(Path(__file__).resolve().parents[1]), os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if package not in paths:
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [package, *paths]))
    return conf | LOCAL | further | {"spark.driver.extraClassPath": str(references.hails_jar())}


def start() -> SparkSession:
    """Spark and Hail, whose log goes to a file in the folder for temporary files."""
    import hail as hl  # takes two seconds

    warnings.filterwarnings("ignore", message="Hail was built and tested with Java 11")
    warnings.filterwarnings("ignore", message="Hail requires additional configuration")
    log = Path(tempfile.gettempdir()) / f"hail-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"
    session = spark({})
    hl.init(sc=session.sparkContext, quiet=True, log=str(log), show_progress=False, idempotent=True)
    return session
