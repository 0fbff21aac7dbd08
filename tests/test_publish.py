"""What is published: the template filled in, the archive whole and repeatable, the trigger importable."""

import io
import zipfile
from pathlib import Path

import boto3
import pytest

from setup import names, publish
from setup.demo import DemoFiles
from setup.demonstration import Demonstration
from setup.errors import SetupError


def test_the_template_has_its_place_filled_in() -> None:
    text = publish.template("a-bucket", "a/prefix/")
    assert "Default: a-bucket\n" in text
    assert "Default: 'a/prefix/'\n" in text
    assert "solution-bucket" not in text.replace("a-bucket", "")


def test_the_archive_has_what_the_build_needs() -> None:
    archive = publish.archive()
    assert archive == publish.archive()
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        found = {entry.filename: entry for entry in opened.infolist()}
    needed = ["setup.sh", "buildspec.yml", "requirements/deploy.txt", "setup/deploy.py", "zone/zone_cfn.yml"]
    needed += ["pipe/pipe_cfn.yml", "code/code_cfn.yml", "code/build/buildhail.sh", "code/tests/test_lines.py"]
    assert set(needed) <= set(found)
    assert not [name for name in found if name.startswith(("build/", ".venv", "tests/")) or "__pycache__" in name]
    assert found["setup.sh"].external_attr >> 16 & 0o100


def test_a_prefix_ends_with_a_slash() -> None:
    made = Demonstration(DemoFiles(Path(), Path(), Path()), Path())
    with pytest.raises(SetupError, match="has to end with a slash"):
        publish.publish(boto3.Session(), "b", "no-slash", made, print)


def test_the_templates_name_is_the_guides() -> None:
    assert names.TEMPLATE == "genomics-tertiary-analysis-and-data-lakes-using-aws-glue-and-amazon-athena.template"
