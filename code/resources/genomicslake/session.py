"""Hail and Spark, started once a process: on Glue and EMR with what stands there, elsewhere on this machine's cores.

Where spark-submit started the JVM, as on Glue, it must have Hail's jar on its class path, KryoSerializer for
spark.serializer and Hail's registrator for spark.kryo.registrator; and it is spark-submit (Glue: --extra-py-files)
that gives this package to the executors.
"""

import logging
import os
import sys
import tempfile
import time
import warnings
from pathlib import Path

import hail as hl
from pyspark.sql import SparkSession

LOCAL = {
    "spark.driver.memory": "3g",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.ui.enabled": "false",
}
EVERYWHERE = {
    "spark.sql.parquet.compression.codec": "zstd",
    "spark.hadoop.mapreduce.fileoutputcommitter.marksuccessfuljobs": "false",
    # Spark would drop the count of rows from a plan that turns out to have none
    "spark.sql.adaptive.optimizer.excludedRules": "org.apache.spark.sql.execution.adaptive.AQEPropagateEmptyRelation",
}


def start() -> SparkSession:
    """The session. Hail's log goes to a file in the folder for temporary files."""
    warnings.filterwarnings("ignore", message="Hail was built and tested with Java 11")
    warnings.filterwarnings("ignore", message="Hail requires additional configuration")
    logging.getLogger("py4j").setLevel(logging.ERROR)
    log = Path(tempfile.gettempdir()) / f"hail-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    managed = "PYSPARK_GATEWAY_PORT" in os.environ  # spark-submit, so Glue and EMR, started the JVM
    if not managed:
        package = str(Path(__file__).resolve().parents[1])
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH", "")]))
    hl.init(
        quiet=True,
        log=str(log),
        show_progress=False,
        idempotent=True,
        spark_conf=EVERYWHERE if managed else LOCAL | EVERYWHERE,
    )
    session = SparkSession.builder.getOrCreate()
    of_hadoop = session.sparkContext._jsc.hadoopConfiguration()
    for name, value in EVERYWHERE.items():  # of a context that was there already, too
        if name.startswith("spark.hadoop."):
            of_hadoop.set(name.removeprefix("spark.hadoop."), value)
        else:
            session.conf.set(name, value)
    return session
