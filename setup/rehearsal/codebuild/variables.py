"""The variables that a build is given: by its build spec, then by its project, then by who started it."""

import json
from collections.abc import Callable
from typing import Any

from setup.rehearsal.codebuild.buildspec import BuildSpec


class VariableError(Exception):
    """A variable whose value can't be found."""


def of(spec: BuildSpec, environment: dict[str, Any], client: Callable[[str], Any]) -> dict[str, str]:
    """Every variable with its value; `client` makes clients with the rights of the build's role.

    Raises VariableError, and ClientError where the role may not read one.
    """
    given = [(name, "PLAINTEXT", value) for name, value in spec.variables.items()]
    given += [(name, "PARAMETER_STORE", value) for name, value in spec.parameters.items()]
    given += [(name, "SECRETS_MANAGER", value) for name, value in spec.secrets.items()]
    given += [
        (variable["name"], variable.get("type", "PLAINTEXT"), variable["value"])
        for variable in environment.get("environmentVariables", [])
    ]
    return {name: _READERS[kind](value, client) for name, kind, value in dict.fromkeys(given)}


def _plain(value: str, client: Callable[[str], Any]) -> str:  # noqa: ARG001 - one signature for all
    return value


def _parameter(value: str, client: Callable[[str], Any]) -> str:
    return str(client("ssm").get_parameter(Name=value, WithDecryption=True)["Parameter"]["Value"])


def _secret(value: str, client: Callable[[str], Any]) -> str:
    """The value at `SECRET[:KEY]`."""
    name, _, key = value.partition(":") if not value.startswith("arn:") else (value, "", "")
    if ":" in key:
        raise VariableError(f"{value}: the rehearsal reads SECRET and SECRET:KEY, no stage and no version")
    secret = client("secretsmanager").get_secret_value(SecretId=name)["SecretString"]
    if not key:
        return str(secret)
    try:
        return str(json.loads(secret)[key])
    except (ValueError, KeyError) as error:
        raise VariableError(f"the secret {name} has no key {key}") from error


_READERS = {"PLAINTEXT": _plain, "PARAMETER_STORE": _parameter, "SECRETS_MANAGER": _secret}
