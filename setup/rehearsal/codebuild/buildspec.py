"""A build spec, read as CodeBuild reads it: what the rehearsal's builds can't do is refused before a command runs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

PHASES = ("install", "pre_build", "build", "post_build")
RUNTIMES = {"python": "3.11"}  # what a runtime-versions may ask for
_TOP = {"version", "env", "phases", "artifacts", "cache"}
_ENV = {"shell", "variables", "parameter-store", "secrets-manager"}
_PHASE = {"commands", "finally", "on-failure"}
_ARTIFACTS = {"files", "base-directory"}


class BuildSpecError(Exception):
    """A build spec that is wrong, or asks for what the rehearsal does not execute."""


@dataclass(frozen=True)
class Phase:
    """The commands of a phase, those that follow whatever happens, and whether a failure ends the build."""

    commands: list[str] = field(default_factory=list)
    at_last: list[str] = field(default_factory=list)
    on_failure: str | None = None


@dataclass(frozen=True)
class BuildSpec:
    """What a build does. `files` are the artifacts' patterns, from `base_directory`; `runtimes` what it asked for.

    `cache` is accepted and does nothing: a cache may always be empty.
    """

    shell: str
    variables: dict[str, str]
    parameters: dict[str, str]
    secrets: dict[str, str]
    runtimes: dict[str, str]
    phases: dict[str, Phase]
    files: list[str]
    base_directory: str


def parse(text: str) -> BuildSpec:
    """Read a build spec. Raises BuildSpecError."""
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise BuildSpecError(f"the build spec is no YAML: {error}") from error
    document = _mapping("the build spec", document, _TOP)
    if str(document.get("version")) != "0.2":
        raise BuildSpecError(
            f"the rehearsal's CodeBuild runs build specs of version 0.2, not {document.get('version')}"
        )
    env = _mapping("env", document.get("env"), _ENV)
    shell = env.get("shell", "sh")
    if shell not in ("sh", "bash"):
        raise BuildSpecError(f"env/shell: the rehearsal's builds have sh and bash, not {shell}")
    phases = _mapping("phases", document.get("phases"), set(PHASES))
    if not phases:
        raise BuildSpecError("phases: a build spec needs at least one")
    install = _mapping("phases/install", phases.get("install"), _PHASE | {"runtime-versions"})
    runtimes = _texts("phases/install/runtime-versions", install.get("runtime-versions"))
    for name, version in runtimes.items():
        if RUNTIMES.get(name) != version:
            offered = ", ".join(f"{known} {has}" for known, has in RUNTIMES.items())
            raise BuildSpecError(f"Unknown runtime version named '{version}' of {name}. The rehearsal has: {offered}")
    artifacts = _mapping("artifacts", document.get("artifacts"), _ARTIFACTS)
    return BuildSpec(
        shell=shell,
        variables=_texts("env/variables", env.get("variables")),
        parameters=_texts("env/parameter-store", env.get("parameter-store")),
        secrets=_texts("env/secrets-manager", env.get("secrets-manager")),
        runtimes=runtimes,
        phases={name: _phase(name, value) for name, value in phases.items()},
        files=_list("artifacts/files", artifacts.get("files")),
        base_directory=str(artifacts.get("base-directory", ".")),
    )


def _phase(name: str, value: Any) -> Phase:
    where = f"phases/{name}"
    known = _PHASE | {"runtime-versions"} if name == "install" else _PHASE
    phase = _mapping(where, value, known)
    on_failure = phase.get("on-failure")
    if on_failure not in (None, "ABORT", "CONTINUE"):
        raise BuildSpecError(f"{where}/on-failure: the rehearsal knows ABORT and CONTINUE, not {on_failure}")
    return Phase(
        _list(f"{where}/commands", phase.get("commands")), _list(f"{where}/finally", phase.get("finally")), on_failure
    )


def _mapping(where: str, value: Any, known: set[str]) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BuildSpecError(f"{where}: expected keys and values, found {value!r}")
    if unknown := sorted(str(key) for key in value if key not in known):
        raise BuildSpecError(f"{where}: the rehearsal does not execute {', '.join(unknown)}")
    return value


def _texts(where: str, value: Any) -> dict[str, str]:
    if not isinstance(value or {}, dict):
        raise BuildSpecError(f"{where}: expected keys and values, found {value!r}")
    return {str(key): _text(f"{where}/{key}", item) for key, item in (value or {}).items()}


def _list(where: str, value: Any) -> list[str]:
    items = value if isinstance(value, list) else [] if value is None else [value]
    return [_text(f"{where}[{number}]", item) for number, item in enumerate(items)]


def _text(where: str, value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float):
        return str(value)
    # the usual cause: an unquoted command with ': ' in it
    raise BuildSpecError(f"Expected {where} to be of string type: found {value!r} instead")
