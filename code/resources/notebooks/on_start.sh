#!/usr/bin/env bash
# When the notebook instance starts: notebooks, queries, PyAthena, and a timer that stops the instance when it is idle.
# Runs as root, on notebook-al2023-v1. A notebook that the user changed is left alone; the new one goes beside it.
set -euo pipefail

project=$1 resources_bucket=$2 data_lake_bucket=$3 database=$4 workgroup=$5 idle_minutes=$6 region=$7
home=/home/ec2-user/SageMaker
new=$(mktemp -d)
chmod 755 "$new" # ec2-user reads it, too

aws s3 cp --only-show-errors --recursive "s3://$resources_bucket/notebooks/" "$new/"
mkdir -p "$home/queries" "$home/.solution"
aws s3 sync --only-show-errors --delete "s3://$resources_bucket/queries/" "$home/queries/"
for notebook in "$new"/*.ipynb; do
  name=$(basename "$notebook")
  if [ ! -e "$home/$name" ] || cmp -s "$home/$name" "$home/.solution/$name"; then
    cp "$notebook" "$home/$name"
  elif ! cmp -s "$notebook" "$home/.solution/$name"; then
    cp "$notebook" "$home/${name%.ipynb}.new.ipynb"
  fi
  cp "$notebook" "$home/.solution/$name"
done
cat >"$home/lake.json" <<JSON
{
  "project": "$project",
  "region": "$region",
  "database": "$database",
  "workgroup": "$workgroup",
  "dataLakeBucket": "$data_lake_bucket",
  "resourcesBucket": "$resources_bucket"
}
JSON
chown -R ec2-user:ec2-user "$home"

sudo -u ec2-user /home/ec2-user/anaconda3/envs/python3/bin/python -m pip install --quiet --require-hashes \
  --requirement "$new/requirements.txt"

install -m 755 "$new/stop_when_idle.py" /usr/local/bin/stop_when_idle.py
cat >/etc/systemd/system/stop-when-idle.service <<UNIT
[Unit]
Description=Stop this notebook instance when nobody has used it for $idle_minutes minutes
[Service]
Type=oneshot
Environment=AWS_DEFAULT_REGION=$region
ExecStart=/home/ec2-user/anaconda3/envs/python3/bin/python /usr/local/bin/stop_when_idle.py $idle_minutes
UNIT
cat >/etc/systemd/system/stop-when-idle.timer <<UNIT
[Unit]
Description=Every five minutes
[Timer]
OnBootSec=5min
OnUnitActiveSec=5min
[Install]
WantedBy=timers.target
UNIT
systemctl daemon-reload
systemctl enable --now stop-when-idle.timer
