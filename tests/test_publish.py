"""What is published: the template filled in, the archive whole and repeatable, the trigger importable."""

import io
import subprocess
import sys
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


def test_to_a_folder(tmp_path: Path) -> None:
    """What taskcat uploads; the root template's parameters lead there, as .taskcat.yml has them."""
    sources = DemoFiles(*(tmp_path / name for name in ("c.vcf.gz", "i.vcf", "v.txt.gz")))
    for path in (sources.cohort, sources.individual, sources.clinvar):
        path.write_text(path.name)
    (tmp_path / "lake").mkdir()
    folder = tmp_path / "published"
    publish.publish_to_folder(folder, Demonstration(sources, tmp_path / "lake"))
    publish.publish_to_folder(folder, Demonstration(sources, tmp_path / "lake"))
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    data = {"data/source/variants/c.vcf.gz", "data/source/variants/i.vcf", "data/source/annotation/v.txt.gz"}
    assert found == {"solution.zip", "trigger.zip", names.TEMPLATE} | data
    (tmp_path / "others").mkdir()
    (tmp_path / "others" / "file").touch()
    with pytest.raises(SetupError, match="has other files in it"):
        publish.publish_to_folder(tmp_path / "others", Demonstration(sources, tmp_path / "lake"))


def test_the_consoles_link() -> None:
    link = publish.console_link("eu-west-1", "https://s3.eu-west-1.amazonaws.com/b/p/t.template")
    assert link.startswith("https://eu-west-1.console.aws.amazon.com/cloudformation/home?region=eu-west-1#/stacks/")
    assert "templateURL=https%3A%2F%2Fs3.eu-west-1.amazonaws.com%2Fb%2Fp%2Ft.template&stackName=" in link


def test_the_pipelines_checks_need_neither_spark_nor_hail() -> None:
    """Neither is in code/requirements/checks.txt, in whose venv CopyResources runs them."""
    collect = (
        "import sys; sys.modules.update(pyspark=None, hail=None); "
        "import pytest; sys.exit(pytest.main(['--collect-only', '-q', 'tests']))"
    )
    ran = subprocess.run([sys.executable, "-c", collect], cwd=names.ROOT / "code", capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout
