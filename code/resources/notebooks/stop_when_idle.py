"""Stop this notebook instance when nobody has used a kernel or a terminal for a while: `stop_when_idle.py MINUTES`.

An instance costs as long as it runs. Jupyter's own server says when each kernel was last active; a kernel that is busy
keeps the instance running.
"""

import json
import ssl
import sys
import time
import urllib.request
from datetime import datetime
from pathlib import Path
from typing import Any

import boto3

METADATA = Path("/opt/ml/metadata/resource-metadata.json")  # SageMaker writes the instance's name there
SERVER = "https://localhost:8443/api/"  # Jupyter's, with a certificate of its own


def idle_minutes(kernels: list[dict[str, Any]], terminals: list[dict[str, Any]], booted: float, now: float) -> float:
    """Minutes since anything was used; the instance's start counts as use, and a busy kernel is in use now."""
    if any(kernel["execution_state"] == "busy" for kernel in kernels):
        return 0
    told = [_timestamp(one["last_activity"]) for one in [*kernels, *terminals]]
    return (now - max([booted, *told])) / 60


def _timestamp(text: str) -> float:
    """Of Jupyter's ISO text; Python before 3.11 does not know its Z."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def _ask(path: str) -> list[dict[str, Any]]:
    unchecked = ssl.create_default_context()
    unchecked.check_hostname, unchecked.verify_mode = False, ssl.CERT_NONE  # it is this machine
    with urllib.request.urlopen(SERVER + path, context=unchecked, timeout=10) as answer:  # noqa: S310 - a constant
        found: list[dict[str, Any]] = json.load(answer)
    return found


def main(limit: float) -> None:
    """Look once, and stop the instance if it is time."""
    now = time.time()
    booted = now - float(Path("/proc/uptime").read_text().split()[0])
    idle = idle_minutes(_ask("kernels"), _ask("terminals"), booted, now)
    print(f"idle for {idle:.0f} of {limit:.0f} minutes")
    if idle >= limit:
        name = json.loads(METADATA.read_text())["ResourceName"]
        boto3.client("sagemaker").stop_notebook_instance(NotebookInstanceName=name)


if __name__ == "__main__":
    main(float(sys.argv[1]))
