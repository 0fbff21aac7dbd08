#!/usr/bin/env bash
# Hail's wheel from its source at a pinned tag, into the folder $1. Needs git, make, Java 11 or 17, and the network.
set -euo pipefail
git clone --quiet --depth 1 --branch 0.2.139 https://github.com/hail-is/hail.git /tmp/hail
make --directory /tmp/hail/hail wheel SCALA_VERSION=2.12.18 SPARK_VERSION=3.5.6
mkdir -p "$1"
cp /tmp/hail/hail/build/deploy/dist/hail-*.whl "$1/"
