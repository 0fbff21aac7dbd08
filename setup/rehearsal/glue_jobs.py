"""Glue's Spark jobs, which really run: the deployed script, from S3, with the deployed arguments and the job's role.

Glue 5.x here is PySpark 3.5.6 of the main venv and a Python 3.11 that has nothing else but the job's zip of wheels;
spark-submit starts the script, as on Glue. One machine stands in for the workers: their type and number, metrics
and bookmarks are not executed.
"""

import contextlib
import hashlib
import os
import shlex
import shutil
import signal
import subprocess
import time
import uuid
import zipfile
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from setup.rehearsal import catalog_settings, extend, logs, spark
from setup.rehearsal.extend import Request, ServiceError

_VERSIONS = ("5.0", "5.1")
_RUNS = ("STARTING", "RUNNING", "STOPPING")
# Glue's own: taken here, or without a meaning on one machine. The script gets what is not named here.
_RESERVED = {
    "--additional-python-modules",
    "--conf",
    "--custom-logGroup-prefix",
    "--enable-metrics",
    "--extra-jars",
    "--extra-py-files",
    "--job-language",
    "--python-modules-installer-option",
}
_processes: dict[str, subprocess.Popen[bytes]] = {}


def install() -> None:
    """Put the operations in the place of those that pretend."""
    extend.add_operations("glue", {"StartJobRun": _start, "BatchStopJobRun": _stop})
    extend.at_stop(_kill_all)


def _start(request: Request) -> dict[str, Any]:
    name = request["JobName"]
    if name not in extend.JOBS:
        raise ServiceError("EntityNotFoundException", f"Failed to start job run due to missing metadata: {name}")
    job = extend.JOBS[name]
    if job["Command"].get("Name") != "glueetl" or job["GlueVersion"] not in _VERSIONS:
        what = f"{job['Command'].get('Name')} of Glue {job['GlueVersion']}"
        raise ServiceError("InvalidInputException", f"the rehearsal runs glueetl of Glue 5.0 and 5.1, not {what}")
    runs = extend.JOB_RUNS.setdefault(name, [])
    if any(run["JobRunState"] in _RUNS for run in runs):  # more than one at a time is not executed
        raise ServiceError("ConcurrentRunsExceededException", f"Concurrent runs exceeded for {name}")
    extend.check_trust(job["Role"], "glue.amazonaws.com", f"arn:aws:glue:{extend.REGION}:{extend.ACCOUNT}:job/{name}")
    now = time.time()
    run: dict[str, Any] = {
        "Id": f"jr_{uuid.uuid4().hex}",
        "Attempt": 0,
        "JobName": name,
        "StartedOn": now,
        "LastModifiedOn": now,
        "JobRunState": "STARTING",
        "Arguments": request.get("Arguments") or {},
        "ExecutionTime": 0,
        "Timeout": int(request.get("Timeout") or job["Timeout"]),
        "GlueVersion": job["GlueVersion"],
        "WorkerType": job["WorkerType"],
        "NumberOfWorkers": job["NumberOfWorkers"],
        "SecurityConfiguration": job["SecurityConfiguration"],
        "LogGroupName": _log_group(job),
    }
    runs.insert(0, run)  # newest first, as Glue lists them
    extend.in_background(_run, job, run)
    return {"JobRunId": run["Id"]}


def _stop(request: Request) -> dict[str, Any]:
    stopped, errors = [], []
    for run in extend.JOB_RUNS.get(request["JobName"], []):
        if run["Id"] in request["JobRunIds"]:
            answer = {"JobName": request["JobName"], "JobRunId": run["Id"]}
            if run["JobRunState"] in _RUNS:
                run["JobRunState"] = "STOPPING"
                _kill(run["Id"])
                stopped.append(answer)
            else:
                detail = {"ErrorCode": "JobRunNotRunning", "ErrorMessage": f"the run is {run['JobRunState']}"}
                errors.append(answer | {"ErrorDetail": detail})
    return {"SuccessfulSubmissions": stopped, "Errors": errors}


def _kill_all() -> None:
    for run in list(_processes):
        _kill(run)


def _kill(run: str) -> None:
    if process := _processes.get(run):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _log_group(job: dict[str, Any]) -> str:
    """What the names of both groups begin with, …/error and …/output as of Glue 5.0; a run's lines go to the latter."""
    group: str = job["DefaultArguments"].get("--custom-logGroup-prefix", "/aws-glue/jobs")
    return group


def _run(job: dict[str, Any], run: dict[str, Any]) -> None:
    state, message, lines = "FAILED", "", ["the run did not start"]
    try:
        lines, code = _execute(job, run)
        if run["JobRunState"] == "STOPPING":
            state = "STOPPED"
        elif code is None:
            state, message = "TIMEOUT", f"the run took longer than {run['Timeout']} minutes"
        elif code == 0:
            state = "SUCCEEDED"
        else:
            message = _error(lines) or f"exit code {code}"
    except Exception as error:  # the run has to end, and to say why
        message = str(error)
        lines = [message]
    _write_log(job, run, lines)
    now = time.time()
    run |= {"CompletedOn": now, "LastModifiedOn": now, "ExecutionTime": int(now - run["StartedOn"])}
    if message:
        run["ErrorMessage"] = message
    run["JobRunState"] = state
    detail = {"jobName": job["Name"], "jobRunId": run["Id"], "state": state, "message": message}
    extend.put_event("aws.glue", "Glue Job State Change", detail, [])


def _error(lines: list[str]) -> str:
    """What the script says of its end: its `error:` with what follows, or else the last line of a traceback."""
    starts = [number for number, line in enumerate(lines) if line.startswith("error: ")]
    if starts:
        return "SystemExit: " + "\n".join(lines[starts[-1] :])
    return next((line for line in reversed(lines) if line and not line.startswith(" ")), "")


def _write_log(job: dict[str, Any], run: dict[str, Any], lines: list[str]) -> None:
    """With the job's role, for a role without that right leaves no log on Glue."""
    role, session = job["Role"], "GlueJobRunnerSession"
    try:
        key = catalog_settings.log_key(role, session, job["SecurityConfiguration"])
        logs.write(role, session, f"{run['LogGroupName']}/output", run["Id"], lines, key)
    except ClientError as error:
        run["ErrorMessage"] = f"no log: {error}"


def _execute(job: dict[str, Any], run: dict[str, Any]) -> tuple[list[str], int | None]:
    """The lines that the run wrote and its exit code; None for one that took too long."""
    folder = extend.HOME / "jobs" / run["Id"]
    folder.mkdir(parents=True)
    arguments = job["DefaultArguments"] | run["Arguments"]
    reader = extend.client("s3", job["Role"], "GlueJobRunnerSession")
    script = _fetched(reader, job["Command"]["ScriptLocation"], folder)
    jars = [_fetched(reader, place, folder) for place in _listed(arguments, "--extra-jars")]
    modules = [_fetched(reader, place, folder) for place in _listed(arguments, "--extra-py-files")]
    options = shlex.split(arguments.get("--python-modules-installer-option", ""))
    libraries = [_libraries(reader, place, options) for place in _listed(arguments, "--additional-python-modules")]
    pyspark = _pyspark()
    java_home = extend.JAVA_HOME
    jars.append(spark.jar(java_home, pyspark / "pyspark", extend.HOME / "runtimes"))
    command = [str(pyspark / "pyspark" / "bin" / "spark-submit"), "--master", "local[2]", "--driver-memory", "3g"]
    command += ["--driver-class-path", ":".join(map(str, jars))]
    own = {"spark.ui.enabled": "false", "spark.driver.host": "127.0.0.1"} | spark.SETTINGS
    for setting in [*(f"{key}={value}" for key, value in own.items()), *_settings(arguments.get("--conf", ""))]:
        command += ["--conf", setting]
    command += [str(script), "--JOB_ID", f"j_{job['Name']}", "--JOB_RUN_ID", run["Id"], "--JOB_NAME", job["Name"]]
    for key, value in arguments.items():
        if key not in _RESERVED:
            command += [key, value]
    environment = extend.role_environment(job["Role"], "GlueJobRunnerSession") | {
        "HOME": str(folder),
        "JAVA_HOME": str(java_home),
        "LANG": "C.UTF-8",
        "PATH": f"{java_home / 'bin'}:/usr/local/bin:/usr/bin:/bin",
        "PYSPARK_PYTHON": str(_python()),
        "PYTHONNOUSERSITE": "1",
        "PYTHONPATH": ":".join(map(str, [*modules, *libraries, pyspark])),
        "PYTHONUNBUFFERED": "1",
        "SPARK_HOME": str(pyspark / "pyspark"),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SSL_CERT_FILE": str(extend.CERTIFICATE),  # Arrow's S3 client
        "TMPDIR": str(folder),
    }
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        _processes[run["Id"]] = process
        run["JobRunState"] = "RUNNING"
        try:
            code: int | None = process.wait(run["Timeout"] * 60)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            _kill(run["Id"])
            process.wait()
            del _processes[run["Id"]]
    return log.read_text(encoding="utf-8", errors="replace").splitlines(), code


def _listed(arguments: dict[str, str], name: str) -> list[str]:
    return [place.strip() for place in arguments.get(name, "").split(",") if place.strip()]


def _settings(conf: str) -> list[str]:
    """`a=b --conf c=d`, as Glue takes several."""
    return [setting.strip() for setting in conf.split("--conf") if setting.strip()]


def _fetched(reader: Any, place: str, folder: Path) -> Path:
    bucket, _, key = place.removeprefix("s3://").partition("/")
    target = folder / key.rpartition("/")[2]
    reader.download_file(bucket, key, str(target))
    return target


def _libraries(reader: Any, place: str, options: list[str]) -> Path:
    """The folder into which pip installed a zip of wheels, once for each content.

    Raises ServiceError with pip's words.
    """
    bucket, _, key = place.removeprefix("s3://").partition("/")
    if not key.endswith(".gluewheels.zip"):
        raise ServiceError("InvalidInputException", f"{place}: the rehearsal takes a zip of wheels, *.gluewheels.zip")
    etag = reader.head_object(Bucket=bucket, Key=key)["ETag"].strip('"')
    folder: Path = extend.HOME / "runtimes" / hashlib.sha256(repr((etag, options)).encode()).hexdigest()
    if folder.exists():
        return folder
    aside = extend.HOME / "runtimes" / uuid.uuid4().hex
    aside.mkdir(parents=True)
    with zipfile.ZipFile(_fetched(reader, place, aside)) as packed:
        packed.extractall(aside)
    wheels = aside / "wheels"
    pip = [str(extend.PYTHON), "-m", "pip", "install", "--quiet", "--no-compile", "--no-warn-conflicts"]
    pip += [
        "--disable-pip-version-check",
        "--find-links",
        str(wheels),
        "--requirement",
        str(wheels / "requirements.txt"),
    ]
    done = subprocess.run([*pip, *options, "--target", str(aside / "installed")], capture_output=True, text=True)
    if done.returncode:
        raise ServiceError("InvalidInputException", f"{place}: pip can't install it: {done.stderr.strip()[-1000:]}")
    with contextlib.suppress(OSError):  # another run was faster
        (aside / "installed").rename(folder)
    shutil.rmtree(aside)
    return folder


def _pyspark() -> Path:
    """A folder that has PySpark and Py4J of the main venv, and nothing else of it."""
    folder: Path = extend.HOME / "runtimes" / "pyspark"
    folder.mkdir(parents=True, exist_ok=True)
    found = subprocess.run(
        [str(extend.PYTHON), "-c", "import py4j, pyspark; print(py4j.__path__[0]); print(pyspark.__path__[0])"],
        capture_output=True,
        text=True,
        check=True,
    )
    for path in map(Path, found.stdout.split("\n")[:2]):
        with contextlib.suppress(FileExistsError):
            (folder / path.name).symlink_to(path)
    return folder


def _python() -> Path:
    """A Python 3.11 without a package."""
    folder: Path = extend.HOME / "runtimes" / "python"
    if not folder.exists():
        subprocess.run([str(extend.PYTHON), "-m", "venv", "--without-pip", str(folder)], check=True)
    return folder / "bin" / "python"
