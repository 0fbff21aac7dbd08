#!/usr/bin/env bash
# Make the jobs' libraries and copy them to s3://$RESOURCES_BUCKET/libraries/, unless they are there already.
set -euo pipefail

place=s3://$RESOURCES_BUCKET/libraries
made_from=$(cat requirements/jobs.txt build/*.py build/*.sh <(echo "$HAIL_FROM") | sha256sum | cut -d ' ' -f 1)
if aws s3 ls "$place/hail-all-spark.jar" && aws s3 ls "$place/jobs.gluewheels.zip" &&
  [ "$(aws s3 cp "$place/made-from.txt" -)" = "$made_from" ]; then
  echo "The libraries are there already, made from $made_from."
  exit
fi
if [ "$HAIL_FROM" = Source ]; then
  bash build/hail_from_source.sh hail-source
fi
python build/libraries.py requirements/jobs.txt libraries hail-source/*.whl
aws s3 cp --only-show-errors libraries/hail-all-spark.jar "$place/"
aws s3 cp --only-show-errors libraries/jobs.gluewheels.zip "$place/"
aws s3 cp --only-show-errors - "$place/made-from.txt" <<<"$made_from"
echo "The libraries are made from $made_from."
