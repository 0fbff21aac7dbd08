"""Hail and Spark, started once a process: on Glue and EMR with what stands there, elsewhere on this machine's cores.

Where spark-submit started the JVM, as on Glue, it is told there of Hail's jar (Glue: --extra-jars) and of this
package (--extra-py-files), for the driver and the executors.
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


def start() -> SparkSession:
    """The session. Hail's log goes to a file in the folder for temporary files."""
    warnings.filterwarnings("ignore", message="Hail was built and tested with Java 11")
    warnings.filterwarnings("ignore", message="Hail requires additional configuration")
    logging.getLogger("py4j").setLevel(logging.ERROR)
    log = Path(tempfile.gettempdir()) / f"hail-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    managed = "PYSPARK_GATEWAY_PORT" in os.environ  # spark-submit, so Glue and EMR, started the JVM
    context = None
    if managed:  # by itself Hail would put its jar in the place of the executors' class path, which has Glue's own
        context = SparkSession.builder.config(map=HAIL | EVERYWHERE).getOrCreate().sparkContext
    else:
        package = str(Path(__file__).resolve().parents[1])
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH", "")]))
    hl.init(
        sc=context,
        quiet=True,
        log=str(log),
        show_progress=False,
        idempotent=True,
        spark_conf=None if managed else LOCAL | EVERYWHERE,
    )
    session = SparkSession.builder.getOrCreate()
    of_hadoop = session.sparkContext._jsc.hadoopConfiguration()
    for name, value in EVERYWHERE.items():  # of a context that was there already, too
        if name.startswith("spark.hadoop."):
            of_hadoop.set(name.removeprefix("spark.hadoop."), value)
        else:
            session.conf.set(name, value)
    return session
