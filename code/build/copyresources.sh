#!/usr/bin/env bash
# Check scripts, queries and notebooks, and copy them to s3://$RESOURCES_BUCKET, unless they are there already; what is
# no longer here goes there too.
set -euo pipefail

record=s3://$RESOURCES_BUCKET/libraries/resources-made-from.txt # beside that of the libraries
made_from=$(find build pyproject.toml requirements resources tests -type f -not -path '*/__pycache__/*' -print0 |
  sort -z | xargs -0 sha256sum | sha256sum | cut -d ' ' -f 1)
if aws s3 ls "$record" && aws s3 ls "s3://$RESOURCES_BUCKET/scripts/genomicslake.zip" &&
  [ "$(aws s3 cp "$record" -)" = "$made_from" ]; then
  echo "The scripts, queries and notebooks are there already, made from $made_from."
  exit
fi
python -m venv checks
checks/bin/python -m pip install --quiet --require-hashes --requirement requirements/checks.txt
checks/bin/ruff check resources build tests
checks/bin/python -m pytest -q tests
mkdir -p scripts
cp resources/scripts/*.py scripts/
python build/package.py resources/genomicslake scripts/genomicslake.zip
copy() { # sync looks at sizes and times only, so everything is copied first
  aws s3 cp --only-show-errors --recursive "$1" "s3://$RESOURCES_BUCKET/$2/"
  aws s3 sync --only-show-errors --delete --size-only "$1" "s3://$RESOURCES_BUCKET/$2/"
}
aws s3 cp --only-show-errors - "$record" <<<"nothing whole"
copy scripts scripts
copy resources/queries queries
copy resources/notebooks notebooks
aws s3 cp --only-show-errors - "$record" <<<"$made_from"
echo "The scripts, queries and notebooks are made from $made_from."
