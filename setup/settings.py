"""What the set-up is asked for: the root stack's parameters, as the build's environment carries them."""

import os
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config

from setup.errors import SetupError

CHOICES = {
    "ON_DELETE": ("DeleteData", "KeepData"),
    "CATALOG_ENCRYPTION": ("Manage", "LeaveAsIs"),
    "HAIL_FROM": ("Wheel", "Source"),
    "ANONYMOUS_METRICS": ("No", "Yes"),
}


@dataclass(frozen=True)
class Settings:
    """Each named as its variable, in lower case."""

    project: str
    solution_bucket: str
    solution_prefix: str
    on_delete: str
    catalog_encryption: str
    glue_version: str
    notebook_instance_type: str
    hail_from: str
    own_key_arn: str
    permissions_boundary: str
    anonymous_metrics: str
    deployment_id: str
    request: str  # CloudFormation's request, as JSON; empty for a build that was started by hand

    @property
    def prefix(self) -> str:
        """The project in lower case: database, workgroup, and the beginning of other names."""
        return self.project.lower()


def read() -> Settings:
    """From the environment. Raises SetupError for what is missing or not one of its choices."""
    defaults = {
        "SOLUTION_PREFIX": "",
        "ON_DELETE": "DeleteData",
        "CATALOG_ENCRYPTION": "Manage",
        "GLUE_VERSION": "5.1",
        "NOTEBOOK_INSTANCE_TYPE": "ml.t3.medium",
        "HAIL_FROM": "Wheel",
        "OWN_KEY_ARN": "",
        "PERMISSIONS_BOUNDARY": "",
        "ANONYMOUS_METRICS": "No",
        "DEPLOYMENT_ID": "",
        "REQUEST": "",
    }
    told: dict[str, Any] = {}
    for name in Settings.__dataclass_fields__:
        variable = name.upper()
        value = os.environ.get(variable, defaults.get(variable))
        if value is None:
            raise SetupError(
                f"The environment has no {variable}. Deploy and teardown run in the root stack's build project."
            )
        if variable in CHOICES and value not in CHOICES[variable]:
            raise SetupError(f"{variable} is {value!r}; it can be {' or '.join(CHOICES[variable])}.")
        told[name] = value
    return Settings(**told)


def session() -> boto3.Session:
    """AWS as the environment leads to it, with the SDK's retries."""
    made = boto3.Session()
    made._session.set_default_client_config(Config(retries={"mode": "standard", "max_attempts": 8}))
    return made
