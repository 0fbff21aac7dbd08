"""SageMaker's notebook instances: their lifecycle scripts really run, with the instance's role, in a folder that stands
in for the instance.

There is no machine to start, so the scripts run here, relocated: where they name a folder of the instance
(`_RELOCATED`), the same folder below HOME/notebooks/NAME is used. `sudo` and `chown` have no other user to be,
`systemctl` checks the units and does not start them, and conda's environment is a venv. Jupyter itself does
not run; `environment.json` in that folder has the variables with which a notebook can be executed as the
instance's role.
"""

import base64
import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from setup.rehearsal import extend, logs
from setup.rehearsal.extend import Request, ServiceError

_RELOCATED = ("/home/ec2-user", "/etc/systemd/system", "/usr/local/bin", "/tmp")  # noqa: S108 - the instance's
_PATIENCE = 5 * 60  # seconds that SageMaker gives a lifecycle script
_SHIMS = {
    # a script that is given to bash is run as a relocated copy
    "bash": """#!/bin/sh
script=$1; shift
case $script in -*) exec /bin/bash "$script" "$@" ;; esac
sed -E "$RELOCATION" "$script" >"$script.relocated"
exec /bin/bash "$script.relocated" "$@"
""",
    # there is no other user to be, so what that user may not read is looked for
    "sudo": """#!/bin/sh
[ "$1" = -u ] && shift 2
for word; do
  place=$word
  while [ "${place#"$INSTANCE"/}" != "$place" ] && [ -e "$place" ]; do
    case $(stat -Lc %A "$place") in
      d????????[xt] | -??????r*) ;;
      *) echo "sudo: another user may not read $word: $(stat -Lc '%A %n' "$place")" >&2; exit 1 ;;
    esac
    place=${place%/*}
  done
done
exec "$@"
""",
    "chown": """#!/bin/sh
[ "$1" = -R ] && shift
exec ls -d "$2" >/dev/null
""",
    "systemctl": """#!/bin/sh
units=$INSTANCE/etc/systemd/system
case "$*" in
  daemon-reload) exit 0 ;;
  "enable --now "*.timer)
    unit=${3%.timer}
    grep -q '^OnUnitActiveSec=' "$units/$unit.timer" || { echo "$unit.timer has no interval"; exit 1; }
    program=$(sed -n 's/^ExecStart=//p' "$units/$unit.service")
    for word in $program; do case $word in /*) [ -e "$word" ] || { echo "$word does not exist"; exit 1; } ;; esac; done
    echo "$unit.timer is not started: there is no Jupyter server in a rehearsal" ;;
  *) echo "the rehearsal does not execute: systemctl $*" >&2; exit 1 ;;
esac
""",
}
_instances: dict[str, dict[str, Any]] = {}
_configs: dict[str, dict[str, Any]] = {}


def install() -> None:
    """Register the service and both resource types."""
    extend.add_service(
        "sagemaker",
        target_prefix="SageMaker",
        namespace="sagemaker",
        operations={
            "DescribeNotebookInstance": lambda request: dict(_found(request["NotebookInstanceName"])),
            "DescribeNotebookInstanceLifecycleConfig": lambda request: dict(
                _configs[request["NotebookInstanceLifecycleConfigName"]]
            ),
            "ListNotebookInstances": lambda _: {"NotebookInstances": _listed(_instances, "NotebookInstance")},
            "ListNotebookInstanceLifecycleConfigs": lambda _: {
                "NotebookInstanceLifecycleConfigs": _listed(_configs, "NotebookInstanceLifecycleConfig")
            },
            "StartNotebookInstance": _start,
            "StopNotebookInstance": _stop,
        },
        resource=_resource,
    )
    extend.add_resource("AWS::SageMaker::NotebookInstance", _create, _update, _delete)
    extend.add_resource(
        "AWS::SageMaker::NotebookInstanceLifecycleConfig", _create_config, _update_config, _delete_config
    )


def _listed(things: dict[str, dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    keys = (f"{kind}Name", f"{kind}Arn", "CreationTime", "LastModifiedTime")
    return [{key: one[key] for key in keys} for one in things.values()]


def _arn(kind: str, name: str) -> str:
    return f"arn:aws:sagemaker:{extend.REGION}:{extend.ACCOUNT}:{kind}/{name.lower()}"


def _resource(_: str, request: Request) -> str:
    if name := request.get("NotebookInstanceName"):
        return _arn("notebook-instance", name)
    if name := request.get("NotebookInstanceLifecycleConfigName"):
        return _arn("notebook-instance-lifecycle-config", name)
    return "*"


def _found(name: str) -> dict[str, Any]:
    if name not in _instances:
        raise ServiceError("ValidationException", f"RecordNotFound: no notebook instance {name}")
    return _instances[name]


def _create_config(_: str, properties: dict[str, Any], __: str) -> tuple[str, dict[str, Any]]:
    name, now = properties["NotebookInstanceLifecycleConfigName"], time.time()
    _configs[name] = properties | {
        "NotebookInstanceLifecycleConfigArn": _arn("notebook-instance-lifecycle-config", name),
        "CreationTime": now,
        "LastModifiedTime": now,
    }
    arn = _configs[name]["NotebookInstanceLifecycleConfigArn"]
    return arn, {"NotebookInstanceLifecycleConfigName": name}


def _update_config(_: str, old: dict[str, Any], new: dict[str, Any], stack: str) -> tuple[str, dict[str, Any]]:
    made = _create_config("", new, stack)
    if old["NotebookInstanceLifecycleConfigName"] != new["NotebookInstanceLifecycleConfigName"]:
        _delete_config("", old)
    return made


def _delete_config(_: str, properties: dict[str, Any]) -> None:
    _configs.pop(properties["NotebookInstanceLifecycleConfigName"], None)


def _create(_: str, properties: dict[str, Any], __: str) -> tuple[str, dict[str, Any]]:
    name, now = properties["NotebookInstanceName"], time.time()
    if name in _instances:
        raise ServiceError("ValidationException", f"Cannot create a duplicate notebook instance {name}")
    extend.check_trust(properties["RoleArn"], "sagemaker.amazonaws.com", _arn("notebook-instance", name))
    _instances[name] = properties | {
        "NotebookInstanceArn": _arn("notebook-instance", name),
        "NotebookInstanceStatus": "Pending",
        "CreationTime": now,
        "LastModifiedTime": now,
    }
    _boot(name)
    if _instances[name]["NotebookInstanceStatus"] == "Failed":
        raise ServiceError("InternalFailure", _instances[name]["FailureReason"])
    return _instances[name]["NotebookInstanceArn"], {"NotebookInstanceName": name}


def _update(physical_id: str, old: dict[str, Any], new: dict[str, Any], stack: str) -> tuple[str, dict[str, Any]]:
    """As CloudFormation does: stopped, changed, started."""
    if old["NotebookInstanceName"] != new["NotebookInstanceName"]:
        made = _create("", new, stack)
        _delete(physical_id, old)
        return made
    instance = _found(new["NotebookInstanceName"])
    instance |= new
    _boot(new["NotebookInstanceName"])
    return physical_id, {"NotebookInstanceName": new["NotebookInstanceName"]}


def _delete(_: str, properties: dict[str, Any]) -> None:
    _instances.pop(properties["NotebookInstanceName"], None)
    shutil.rmtree(extend.HOME / "notebooks" / properties["NotebookInstanceName"], ignore_errors=True)


def _start(request: Request) -> dict[str, Any]:
    instance = _found(request["NotebookInstanceName"])
    if instance["NotebookInstanceStatus"] not in ("Stopped", "Failed"):
        raise ServiceError(
            "ValidationException", f"Status ({instance['NotebookInstanceStatus']}) not in ([Stopped, Failed])"
        )
    instance["NotebookInstanceStatus"] = "Pending"
    extend.in_background(_boot, request["NotebookInstanceName"])
    return {}


def _stop(request: Request) -> dict[str, Any]:
    instance = _found(request["NotebookInstanceName"])
    if instance["NotebookInstanceStatus"] != "InService":
        raise ServiceError("ValidationException", f"Status ({instance['NotebookInstanceStatus']}) not in ([InService])")
    instance["NotebookInstanceStatus"] = "Stopped"
    return {}


def _boot(name: str) -> None:
    """Run the lifecycle configuration's script; the instance is in service if it succeeds."""
    instance = _instances[name]
    place = extend.HOME / "notebooks" / name
    python = place / "home/ec2-user/anaconda3/envs/python3"
    for folder in (*_RELOCATED, "/home/ec2-user/SageMaker"):
        (place / folder.lstrip("/")).mkdir(parents=True, exist_ok=True)
    if not python.exists():
        subprocess.run([str(extend.PYTHON), "-m", "venv", str(python)], check=True)
    variables = place / "environment.json"
    variables.touch(mode=0o600)
    variables.write_text(json.dumps(extend.role_environment(instance["RoleArn"], "SageMaker")), encoding="utf-8")
    config = _configs.get(instance.get("LifecycleConfigName", ""), {})
    for number, hook in enumerate(config.get("OnStart", [])):
        script = place / f"on_start_{number}.sh"
        script.write_bytes(base64.b64decode(hook["Content"]))
        done = subprocess.run(
            [str(place / "shims" / "bash"), str(script)],
            cwd=place,
            env=_environment(instance, place),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_PATIENCE,
        )
        lines = [*done.stdout.splitlines(), f"exit code {done.returncode}"]
        stream = f"{name}/LifecycleConfigOnStart"
        with contextlib.suppress(ClientError):  # an instance whose role may write no log starts without one
            logs.write(instance["RoleArn"], "SageMaker", "/aws/sagemaker/NotebookInstances", stream, lines)
        if done.returncode:
            reason = f"Lifecycle Configuration failed: {' / '.join(lines[-3:])}"
            instance |= {"NotebookInstanceStatus": "Failed", "FailureReason": reason}
            return
    instance |= {"NotebookInstanceStatus": "InService", "LastModifiedTime": time.time()}


def _environment(instance: dict[str, Any], place: Path) -> dict[str, str]:
    """What the scripts see: the instance's role, its folders, the commands that stand in."""
    shims = place / "shims"
    shims.mkdir(exist_ok=True)
    for name, text in _SHIMS.items():
        (shims / name).write_text(text, encoding="utf-8")
        (shims / name).chmod(0o755)
    aws = shims / "aws"
    aws.unlink(missing_ok=True)
    aws.symlink_to(Path(sys.executable).parent / "aws")
    # in one pass: the folder that stands in may itself be below one of them
    relocation = f"s#(^|[^A-Za-z0-9._/])({'|'.join(_RELOCATED)})(/|[^A-Za-z0-9._-]|$)#\\1{place}\\2\\3#g"
    kept = ("PIP_CONFIG_FILE", "PIP_CACHE_DIR", "PIP_CERT", "PIP_INDEX_URL", "REQUESTS_CA_BUNDLE", "HTTPS_PROXY")
    return extend.role_environment(instance["RoleArn"], "SageMaker") | {
        **{name: os.environ[name] for name in kept if name in os.environ},
        "HOME": os.environ.get("HOME", str(place)),  # pip's settings and cache
        "INSTANCE": str(place),
        "LANG": "C.UTF-8",
        "PATH": f"{shims}:/usr/bin:/bin",
        "RELOCATION": relocation,
        "TMPDIR": str(place / "tmp"),
    }
