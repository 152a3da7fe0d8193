#!/usr/bin/env bash
# Trains on all GPUs of this machine, and goes on after each interruption.
#
#   launch/local.sh --config=configs/cifar_resnet56.py [--config.FIELD=VALUE ...]
#
# A run that was stopped by SIGTERM (exit code 143) or died is started again,
# at most ten times; it resumes from its last checkpoint. Errors that the user
# must mend (exit code 1) and Ctrl-C (130) end it.
set -u
cd "$(dirname "$0")/.."

for attempt in 1 2 3 4 5 6 7 8 9 10; do
  "${PYTHON:-python3}" -m resnet_jax.main "$@"
  code=$?
  case $code in
    0 | 1 | 130) exit $code ;;
  esac
  echo "attempt $attempt ended with exit code $code; resuming"
done
exit $code
