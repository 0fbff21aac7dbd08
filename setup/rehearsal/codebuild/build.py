"""One build: its phases in their order, with the rights of its project's role and nothing else."""

import copy
import logging
import os
import shutil
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import ClientError

from setup.rehearsal import extend
from setup.rehearsal.codebuild import buildspec, toolbox, variables
from setup.rehearsal.codebuild.buildspec import BuildSpec, BuildSpecError, Phase
from setup.rehearsal.codebuild.log import Log
from setup.rehearsal.codebuild.shells import CommandFailedError, Shell, StoppedError

_CONSOLE = "https://console.aws.amazon.com/cloudwatch/home"


class PhaseFailedError(Exception):
    """A phase failed; what its context says: a status code of CodeBuild's, and a message."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message = code, message


class Build:
    """A build that runs, and its `record`, as BatchGetBuilds shows it."""

    def __init__(self, record: dict[str, Any], project_arn: str) -> None:
        """Take on the rights of its role. Raises ServiceError where CodeBuild can't."""
        self.record = record
        self._lock = threading.Lock()  # of the record
        uuid = record["id"].split(":")[1]
        extend.check_trust(record["serviceRole"], "codebuild.amazonaws.com", project_arn)
        self._rights = extend.role_environment(record["serviceRole"], f"AWSCodeBuild-{uuid}")
        self._session = boto3.Session(
            self._rights["AWS_ACCESS_KEY_ID"],
            self._rights["AWS_SECRET_ACCESS_KEY"],
            self._rights["AWS_SESSION_TOKEN"],
            extend.REGION,
        )
        self._folder = extend.HOME / "builds" / uuid
        self._shell = Shell(self._folder / "shell", self._folder / "src")
        self._log = Log(self._client("logs"), record["logs"]["groupName"], record["logs"]["streamName"])
        self._ending = ""  # STOPPED or TIMED_OUT, once it is to end before its time
        self._succeeding = True

    def run(self) -> None:
        """Run it from its queue to its end; whatever happens is in the record, the log and the events."""
        self._announce()
        timer = threading.Timer(self.record["timeoutInMinutes"] * 60, self.end, ["TIMED_OUT"])
        timer.daemon = True
        timer.start()
        try:
            try:
                self._run()
            except PhaseFailedError:  # its phase says why
                self._succeeding = False
            with self._phase("FINALIZING"):
                self._log.close()
            status = "SUCCEEDED" if self._succeeding else "FAILED"
        except StoppedError:
            status = self._ending
        except Exception:
            logging.getLogger(__name__).exception("build %s", self.record["id"])
            status = "FAULT"
        finally:
            timer.cancel()
            self._log.abandon()
            shutil.rmtree(self._folder, ignore_errors=True)
            self._complete(status)
            self._announce()

    def end(self, status: str) -> None:
        """End it before its time, as STOPPED or TIMED_OUT."""
        self._ending = self._ending or status
        self._shell.stop()

    def snapshot(self) -> dict[str, Any]:
        """The record as it stands."""
        with self._lock:
            return copy.deepcopy(self.record)

    def _complete(self, status: str) -> None:
        now = time.time()
        with self._lock:
            self.record["phases"].append({"phaseType": "COMPLETED", "startTime": now})
            self.record |= {"currentPhase": "COMPLETED", "buildStatus": status, "buildComplete": True, "endTime": now}

    def _run(self) -> None:
        with self._phase("QUEUED"):
            pass
        with self._phase("PROVISIONING"):
            self._provision()
        with self._phase("DOWNLOAD_SOURCE"):
            spec = self._spec()
        for name in buildspec.PHASES:
            phase = spec.phases.get(name, Phase())
            succeeded = self._execute(name, phase)
            self._succeeding &= succeeded
            # only a failed BUILD lets the next phase follow, unless the phase says otherwise
            if not succeeded and phase.on_failure != "CONTINUE" and (name != "build" or phase.on_failure == "ABORT"):
                break
        if name == "post_build":
            with self._phase("UPLOAD_ARTIFACTS"):
                self._upload(spec)

    def _provision(self) -> None:
        for name in ("home", "src", "tmp"):
            (self._folder / name).mkdir(parents=True)
        try:
            self._log.open()
        except ClientError as error:
            build, role = self.record["arn"], self.record["serviceRole"]
            raise PhaseFailedError(
                "ACCESS_DENIED",
                f"Service role {role} does not allow AWS CodeBuild to create Amazon CloudWatch Logs log streams for "
                f"build {build}. Error message: {error.response['Error']['Message']}",
            ) from error
        self._log.tell(f"[Container] {_now()} Waiting for agent ping")

    def _spec(self) -> BuildSpec:
        """Bring the source, read its build spec, and get the shell ready for it."""
        source = self.record["source"]
        if source["type"] != "NO_SOURCE":
            self._download(source["location"])
        text = source.get("buildspec") or "buildspec.yml"
        if "\n" not in text:
            file = self._folder / "src" / text
            if not file.is_file():
                raise PhaseFailedError("YAML_FILE_ERROR", f"YAML file does not exist: {text}")
            text = file.read_text(encoding="utf-8")
        try:
            spec = buildspec.parse(text)
        except BuildSpecError as error:
            raise PhaseFailedError("YAML_FILE_ERROR", str(error)) from error
        try:
            given = variables.of(spec, self.record["environment"], self._client)
        except (ClientError, variables.VariableError) as error:
            raise PhaseFailedError("Decrypted Variables Error", str(error)) from error
        self._shell.name = spec.shell
        self._shell.environment = self._environment(spec) | given
        return spec

    def _download(self, location: str) -> None:
        bucket, _, key = location.partition("/")
        archive = self._folder / "source.zip"
        try:
            answer = self._client("s3").get_object(Bucket=bucket, Key=key)
            archive.write_bytes(answer["Body"].read())
        except ClientError as error:
            code, told = error.response["Error"]["Code"], error.response["Error"]["Message"]
            raise PhaseFailedError(
                "CLIENT_ERROR",
                f"{code}: {told} status code: {error.response['ResponseMetadata']['HTTPStatusCode']} "
                f"for primary source and source version arn:aws:s3:::{location}",
            ) from error
        try:
            unzip(archive, self._folder / "src")
        except zipfile.BadZipFile as error:
            raise PhaseFailedError("CLIENT_ERROR", f"the source s3://{location} is no zip: {error}") from error

    def _environment(self, spec: BuildSpec) -> dict[str, str]:
        record, source = self.record, self.record["source"]
        return {
            **toolbox.of_user(os.environ),
            **self._rights,
            "PATH": toolbox.path(self._folder, spec.runtimes),
            "HOME": str(self._folder / "home"),
            "TMPDIR": str(self._folder / "tmp"),
            "LANG": "C.UTF-8",
            "TZ": "UTC",
            "CODEBUILD_BUILD_ARN": record["arn"],
            "CODEBUILD_BUILD_ID": record["id"],
            "CODEBUILD_BUILD_IMAGE": record["environment"].get("image", ""),
            "CODEBUILD_BUILD_NUMBER": str(record["buildNumber"]),
            "CODEBUILD_BUILD_SUCCEEDING": "1",
            "CODEBUILD_INITIATOR": record["initiator"],
            "CODEBUILD_KMS_KEY_ID": record["encryptionKey"],
            "CODEBUILD_RESOLVED_SOURCE_VERSION": record.get("resolvedSourceVersion", ""),
            "CODEBUILD_SOURCE_REPO_URL": source.get("location", ""),
            "CODEBUILD_SOURCE_VERSION": record.get("sourceVersion", ""),
            "CODEBUILD_SRC_DIR": str(self._folder / "src"),
            "CODEBUILD_START_TIME": str(int(record["startTime"] * 1000)),
        }

    def _execute(self, name: str, phase: Phase) -> bool:
        """Run the commands of a phase; whether all of them succeeded."""
        self._shell.environment["CODEBUILD_BUILD_SUCCEEDING"] = str(int(self._succeeding))
        try:
            with self._phase(name.upper()):
                failures = []
                for commands in (phase.commands, phase.at_last):
                    try:
                        self._shell.run(commands, self._log.tell)
                    except CommandFailedError as error:
                        self._log.tell(f"[Container] {_now()} {error}")
                        failures.append(error)
                if failures:
                    raise PhaseFailedError("COMMAND_EXECUTION_ERROR", str(failures[0]))
        except PhaseFailedError:
            return False
        return True

    def _upload(self, spec: BuildSpec) -> None:
        artifacts = self.record["artifacts"]
        if artifacts["type"] == "NO_ARTIFACTS" or not artifacts.get("location"):
            return
        base = self._folder / "src" / spec.base_directory
        found = sorted({path for pattern in spec.files for path in base.glob(pattern) if path.is_file()})
        if not found:
            raise PhaseFailedError("CLIENT_ERROR", f"no matching artifact paths found for {spec.files}")
        archive = self._folder / "artifacts.zip"
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as made:
            for path in found:
                made.write(path, path.relative_to(base))
        try:
            with archive.open("rb") as body:
                self._client("s3").put_object(
                    Bucket=artifacts["location"],
                    Key=artifacts["name"],
                    Body=body,
                    ServerSideEncryption="aws:kms",
                    SSEKMSKeyId=self.record["encryptionKey"],
                )
        except ClientError as error:
            raise PhaseFailedError("CLIENT_ERROR", f"Error in UPLOAD_ARTIFACTS phase: {error}") from error

    @contextmanager
    def _phase(self, kind: str) -> Iterator[None]:
        """What happens inside is a phase of the record. Raises StoppedError where the build is to end."""
        started = time.time()
        phase: dict[str, Any] = {"phaseType": kind, "startTime": started}
        with self._lock:
            self.record["currentPhase"] = kind
            self.record["phases"].append(phase)
        self._log.tell(f"[Container] {_now()} Entering phase {kind}")
        status, code, message = "SUCCEEDED", "", ""
        try:
            if self._ending:
                raise StoppedError
            yield
        except StoppedError:
            status = self._ending
            if status == "TIMED_OUT":
                code, message = "BUILD_TIMED_OUT", "Build has timed out."
            raise
        except PhaseFailedError as error:
            status, code, message = "FAILED", error.code, error.message
            raise
        except Exception as error:
            status, code, message = "FAULT", "INTERNAL_SERVICE_ERROR", f"{type(error).__name__}: {error}"
            raise
        finally:
            with self._lock:
                phase |= {
                    "phaseStatus": status,
                    "endTime": time.time(),
                    "durationInSeconds": int(time.time() - started),
                    "contexts": [{"statusCode": code, "message": message}],
                }
            self._log.tell(f"[Container] {_now()} Phase complete: {kind} State: {status}")
            self._log.tell(f"[Container] {_now()} Phase context status code: {code} Message: {message}")

    def _announce(self) -> None:
        """Tell EventBridge the build's status."""
        extend.put_event(
            "aws.codebuild", "CodeBuild Build State Change", state_change(self.snapshot()), [self.record["arn"]]
        )

    def _client(self, service: str) -> Any:
        return self._session.client(service, endpoint_url=extend.ENDPOINT, verify=str(extend.CERTIFICATE))


def state_change(record: dict[str, Any]) -> dict[str, Any]:
    """The detail of the event that tells a build's status."""
    environment, logs = record["environment"], record["logs"]
    phases = [
        {
            "phase-type": phase["phaseType"],
            "phase-status": phase.get("phaseStatus"),
            "phase-context": [_context(context) for context in phase.get("contexts", [])],
            "start-time": _written(phase["startTime"]),
            "end-time": _written(phase["endTime"]) if "endTime" in phase else None,
            "duration-in-seconds": phase.get("durationInSeconds"),
        }
        for phase in record["phases"]
    ]
    return {
        "build-status": record["buildStatus"],
        "project-name": record["projectName"],
        "build-id": record["arn"],
        "current-phase": record["currentPhase"],
        "current-phase-context": "[]",
        "version": "1",
        "additional-information": {
            "artifact": {"location": record["artifacts"].get("location", "")},
            "environment": {
                "image": environment.get("image"),
                "privileged-mode": environment.get("privilegedMode", False),
                "compute-type": environment.get("computeType"),
                "type": environment.get("type"),
                "environment-variables": environment.get("environmentVariables", []),
            },
            "timeout-in-minutes": record["timeoutInMinutes"],
            "build-complete": record["buildComplete"],
            "build-number": record["buildNumber"],
            "initiator": record["initiator"],
            "build-start-time": _written(record["startTime"]),
            "source": {key: record["source"][key] for key in ("type", "location") if key in record["source"]},
            "logs": {
                "group-name": logs["groupName"],
                "stream-name": logs["streamName"],
                "deep-link": logs["deepLink"],
            },
            "phases": phases,
        },
    }


def deep_link(group: str, stream: str) -> str:
    """The address of a log stream in the console."""
    written = [name.replace("/", "$252F") for name in (group, stream)]
    return f"{_CONSOLE}?region={extend.REGION}#logsV2:log-groups/log-group/{written[0]}/log-events/{written[1]}"


def unzip(archive: Path, folder: Path) -> None:
    """Unpack an archive with the permissions that it tells, which zipfile leaves out."""
    with zipfile.ZipFile(archive) as opened:
        for member in opened.infolist():
            path = opened.extract(member, folder)
            if mode := (member.external_attr >> 16) & 0o777:
                Path(path).chmod(mode)


def _context(context: dict[str, str]) -> str:
    return f"{context['statusCode']}: {context['message']}"


def _written(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%b %-d, %Y %-I:%M:%S %p")


def _now() -> str:
    return datetime.now(UTC).strftime("%Y/%m/%d %H:%M:%S")
