"""Every linter, two at a time: ./setup.sh lint. One line says how each ended, and what a failed one said follows it.

A linter that this machine can't run is passed over, and its line says why.
"""

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import cfn_guard_rs
from cfnlint.decode.cfn_yaml import load

ROOT = Path(__file__).parent.parent
TEMPLATES = ["templates/setup_cfn.yml", "zone/zone_cfn.yml", "pipe/pipe_cfn.yml", "code/code_cfn.yml"]
SCRIPTS = ["setup.sh", ".ci/run", "code/build/*.sh", "code/resources/notebooks/*.sh"]
LOCKS = ["requirements/*.txt", "code/requirements/*.txt", "code/resources/notebooks/requirements.txt"]
RULES = ROOT / "templates" / "rules.guard"
PIP_AUDIT = str(ROOT / ".venv-audit" / "bin" / "pip-audit")

# Advisories that can't be met by another version: the advisory's id, and why the version stays and does no harm.
ACCEPTED_ADVISORIES: dict[str, str] = {}


@dataclass(frozen=True)
class Outcome:
    """How a linter ended: `passed`, `failed` or `not run`; what there is to say; how long it took."""

    state: str
    said: str = ""
    seconds: float = 0.0


UNREACHABLE = Outcome("not run", "advisory data can't be reached")


def files(patterns: list[str]) -> list[str]:
    """The files of this checkout that patterns name, in order."""
    return [str(path.relative_to(ROOT)) for pattern in patterns for path in sorted(ROOT.glob(pattern))]


@cache
def as_json(template: str) -> str:
    """A template as CloudFormation reads it: intrinsic functions in their long form."""
    return json.dumps(load(str(ROOT / template)))


def parsed(template: str) -> dict[str, Any]:
    """The same as Python has it, both branches of a condition in a list beside each other; the caller may change it."""
    return dict(unfolded(json.loads(as_json(template))))


def unfolded(value: Any) -> Any:
    """What is inside lists' Fn::If is in the lists, for rules that know nothing of conditions."""
    if isinstance(value, dict):
        return {key: unfolded(inside) for key, inside in value.items()}
    if not isinstance(value, list):
        return value
    flat: list[Any] = []
    for one in value:
        branches = one["Fn::If"][1:] if isinstance(one, dict) and "Fn::If" in one else [one]
        flat += [unfolded(branch) for branch in branches if branch != {"Ref": "AWS::NoValue"}]
    return flat


def command(program: str, *arguments: str, install: str = "", optional: bool = False) -> Outcome:
    """Run a program of the test venv, of another venv or of the PATH; what it finds makes it exit non-zero."""
    beside = Path(sys.executable).parent / program
    found = str(beside) if beside.is_file() else shutil.which(program)
    if not found:
        return Outcome("not run" if optional else "failed", f"{program} is not on the PATH. {install}".strip())
    done = subprocess.run([found, *arguments], cwd=ROOT, capture_output=True, text=True)
    return Outcome("failed" if done.returncode else "passed", (done.stdout + done.stderr).strip())


def checkov() -> Outcome:
    """Its 0 failed is a pass; the line says how many checks that was, and how many of them a reason suppresses."""
    options = ["--framework", "cloudformation", "--compact", "--quiet", "--skip-download", "--file", *TEMPLATES]
    outcome = command(str(ROOT / ".venv-checkov" / "bin" / "checkov"), *options)
    counts = re.search(r"Passed checks: [1-9].*", outcome.said)
    if not counts:
        return Outcome("failed", f"{outcome.said}\nIt has checked nothing.")
    return replace(outcome, said=counts[0]) if outcome.state == "passed" else outcome


def held(rules: str, resources: dict[str, Any]) -> bool:
    """Whether resources hold Guard rules."""
    try:
        return bool(cfn_guard_rs.run_checks({"Resources": resources}, rules).status != "FAIL")
    except json.JSONDecodeError:  # cfn-guard-rs 0.3.3 loses the beginning of a long report; those that pass are short
        return False


def broken_rules(template: dict[str, Any], rules: str) -> list[str]:
    """The Guard rules that a template breaks: resource, rule, what the rule says."""
    definitions = "\n".join(re.findall(r"^let .+", rules, re.MULTILINE))
    each = re.findall(r"^(rule (\w+).+?^})", rules, re.MULTILINE | re.DOTALL)
    return [
        f"{name}: {title}: {'; '.join(dict.fromkeys(re.findall('<<(.+?)>>', rule)))}"
        for name, resource in template["Resources"].items()
        for rule, title in each
        if not held(f"{definitions}\n{rule}", {name: resource})
    ]


def guard() -> Outcome:
    """The rules of templates/rules.guard, on each template."""
    rules = RULES.read_text()
    said = [f"{template}: {broken}" for template in TEMPLATES for broken in broken_rules(parsed(template), rules)]
    return Outcome("failed" if said else "passed", "\n".join(said))


def cfn_nag() -> Outcome:
    """A Ruby gem, run where it is installed; tests/test_suppressions.py has its rules everywhere."""
    said = []
    for template in TEMPLATES:
        outcome = command("cfn_nag_scan", "--fail-on-warnings", "--input-path", template, optional=True)
        if outcome.state == "not run":
            return replace(outcome, said=f"{outcome.said} To have it: gem install cfn-nag.")
        said += [outcome.said] if outcome.state == "failed" else []
    return Outcome("failed" if said else "passed", "\n".join(said))


def audit() -> Outcome:
    """Every lock file against the published advisories, its versions as they stand, nothing resolved."""
    options = ["--disable-pip", "--require-hashes", "--timeout", "5", "--progress-spinner", "off", "--format", "json"]
    for advisory in ACCEPTED_ADVISORIES:
        options += ["--ignore-vuln", advisory]
    found: list[str] = []
    for lock in files(LOCKS):
        done = subprocess.run([PIP_AUDIT, *options, "-r", lock], cwd=ROOT, capture_output=True, text=True)
        outcome = audited(lock, done.stdout, done.stderr)
        if outcome == UNREACHABLE:
            return Outcome("failed", "\n".join(found)) if found else UNREACHABLE
        found += [outcome.said] if outcome.state == "failed" else []
    return Outcome("failed" if found else "passed", "\n".join(found))


def audited(lock: str, output: str, errors: str) -> Outcome:
    """What pip-audit's JSON tells of one lock file. Of an index without advisories it says that it skipped packages."""
    if not output:
        network = re.search("Could not connect|not redirecting|ConnectionError|ServiceError|Timeout", errors)
        return UNREACHABLE if network else Outcome("failed", f"{lock}: {errors}")
    packages = json.loads(output)["dependencies"]
    skipped = [package["name"] for package in packages if "skip_reason" in package]
    if packages and len(skipped) == len(packages):
        return UNREACHABLE
    said = [f"{lock}: no advisory data of {', '.join(skipped)}"] if skipped else []
    for package in packages:
        for advisory in package.get("vulns", []):
            mended = ", ".join(advisory["fix_versions"]) or "no version"
            said.append(f"{lock}: {package['name']} {package['version']}: {advisory['id']}, mended in {mended}")
    return Outcome("failed" if said else "passed", "\n".join(said))


LINTERS: dict[str, Callable[[], Outcome]] = {
    "mypy": lambda: command("mypy"),
    "checkov": checkov,
    "cfn-lint": lambda: command("cfn-lint", "--include-checks", "I", "--", *TEMPLATES),
    "Guard": guard,
    "cfn_nag_scan": cfn_nag,
    "taskcat lint": lambda: command(str(ROOT / ".venv-taskcat" / "bin" / "taskcat"), "lint"),
    "shellcheck": lambda: command("shellcheck", *files(SCRIPTS), install="Debian: apt-get install shellcheck."),
    "ruff check": lambda: command("ruff", "check", "."),
    "ruff format": lambda: command("ruff", "format", "--check", "."),
    "pip-audit": audit,
}


def timed(linter: Callable[[], Outcome]) -> Outcome:
    """A linter's outcome, with its time."""
    started = time.monotonic()
    outcome = linter()
    return replace(outcome, seconds=time.monotonic() - started)


def main() -> int:
    """Run every linter, whatever the others find; 1 if any failed."""
    failed = 0
    with ThreadPoolExecutor(2) as pool:
        for name, outcome in zip(LINTERS, pool.map(timed, LINTERS.values()), strict=True):
            one_line = f"  {outcome.said}" if outcome.state == "not run" or name == "checkov" else ""
            failed += outcome.state == "failed"
            print(f"{outcome.state:8} {name:13} {outcome.seconds:5.1f} s", end="")
            print(f"\n{outcome.said}" if outcome.state == "failed" else one_line, flush=True)
    print(f"{failed} of {len(LINTERS)} linters failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
