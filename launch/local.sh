#!/usr/bin/env bash
# Trains on all GPUs of this host, and goes on after each crash.
#
#   launch/local.sh --config=configs/cifar_resnet56.py [--config.FIELD=VALUE ...]
#
# The flags are those of `python -m resnet_jax.main`. A run that crashed, was
# killed or lost another host is started again, at most ten times, and goes on
# from its last checkpoint. Ctrl-C or SIGTERM to this script stops the run, which
# saves first. See again.sh for what ends it, and for RESTARTS and PAUSE.
#
#   PYTHON=python3  the interpreter
set -eu
here=$(cd "$(dirname "$0")" && pwd)
export PYTHONPATH="${here%/*}${PYTHONPATH:+:$PYTHONPATH}"
exec "$here/again.sh" "${PYTHON:-python3}" -m resnet_jax.main "$@"
