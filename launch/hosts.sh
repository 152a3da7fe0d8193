#!/usr/bin/env bash
# Starts one process of a run on several hosts; run it on each of them.
#
#   HOSTS=4 HOST=0 COORDINATOR=node0:1234 launch/hosts.sh --config=FILE ...
#
# HOST counts from 0; COORDINATOR is host 0 with a free port, and is the same
# everywhere. All hosts must see the same --workdir, on a shared file system.
# config.batch_size stays the global one, so that the result is that of one
# host. To try it on one machine, start it several times with other HOSTs.
set -eu
cd "$(dirname "$0")/.."

exec "${PYTHON:-python3}" -m resnet_jax.main \
  --coordinator="$COORDINATOR" --num_hosts="$HOSTS" --host="$HOST" "$@"
