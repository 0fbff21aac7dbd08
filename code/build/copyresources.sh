#!/usr/bin/env bash
# Copy scripts, queries and notebooks to s3://$RESOURCES_BUCKET; what is no longer here goes there too.
set -euo pipefail

mkdir -p scripts
cp resources/scripts/*.py scripts/
python build/package.py resources/genomicslake scripts/genomicslake.zip
aws s3 sync --only-show-errors --delete scripts "s3://$RESOURCES_BUCKET/scripts/"
for folder in queries notebooks; do
  aws s3 sync --only-show-errors --delete "resources/$folder" "s3://$RESOURCES_BUCKET/$folder/"
done
