#!/usr/bin/env bash
# Copy scripts, queries and notebooks to s3://$RESOURCES_BUCKET; what is no longer here goes there too.
set -euo pipefail

mkdir -p scripts
cp resources/scripts/*.py scripts/
python build/package.py resources/genomicslake scripts/genomicslake.zip
copy() { # sync looks at sizes and times only, so everything is copied first
  aws s3 cp --only-show-errors --recursive "$1" "s3://$RESOURCES_BUCKET/$2/"
  aws s3 sync --only-show-errors --delete --size-only "$1" "s3://$RESOURCES_BUCKET/$2/"
}
copy scripts scripts
copy resources/queries queries
copy resources/notebooks notebooks
