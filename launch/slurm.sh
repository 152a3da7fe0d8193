#!/usr/bin/env bash
# Trains on the nodes of a SLURM job, and goes on after each interruption.
#
#   sbatch --nodes=2 launch/slurm.sh --config=configs/cifar_resnet110.py
#   sbatch --array=0-4 launch/slurm.sh --config=...   five seeds, see below
#
# Submit it in this repository, or anywhere if the package is installed; the
# folder and --workdir must be on a file system that all nodes share. There is
# one process on each node, with all its GPUs; with --ntasks-per-node=8 there is
# one for each GPU. JAX finds the nodes by itself. Options of sbatch win over
# the lines below: --gpus-per-node, --time, --partition ...
#
# A job that is preempted, reaches its time limit, crashes or loses a node is
# queued again at most RESTARTS times, and goes on from its last checkpoint; one
# that ends with exit code 2, an error that you must mend, is not, and neither
# is one that you cancel. Task N of an array trains with --config.seed=N, in
# WORKDIR/seed-N.
#
#   RESTARTS=20     as in RESTARTS=50 sbatch ...
#   PYTHON=python3  the interpreter
#
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --exclusive
# SIGTERM two minutes before the time is up: the run saves, and ends with 143.
#SBATCH --signal=TERM@120
#SBATCH --requeue
# What a job wrote before it was queued again stays.
#SBATCH --open-mode=append
set -u

fail() {
  echo "error: $*" >&2
  exit 2
}

if [ -n "${SLURM_ARRAY_TASK_ID-}" ]; then
  config='' workdir=''
  for word; do
    case $word in
      --config=*) config=${word#*=} ;;
      --workdir=*) workdir=${word#*=} ;;
      --config.seed=*) fail "in an array, SLURM gives the seed: leave $word out" ;;
      --config | --workdir) fail "in an array, write $word=VALUE in one word" ;;
    esac
  done
  name=${config##*/}
  set -- "$@" --config.seed="$SLURM_ARRAY_TASK_ID" \
    --workdir="${workdir:-runs/${name%.py}}/seed-$SLURM_ARRAY_TASK_ID"
fi

# SIGTERM is for the training; this script is there to see what comes of it.
trap : TERM
# SLURM must neither hide GPUs from the one process of a node nor bind it to one
# core. A process that is done early waits for the others.
srun --gpu-bind=none --cpu-bind=none --kill-on-bad-exit=0 --wait=0 \
  "${PYTHON:-python3}" -m resnet_jax.main "$@"
code=$?

case $code in
  0 | 2 | 130) exit "$code" ;;
esac
state=$(scontrol show --oneliner job "$SLURM_JOB_ID" | grep -o 'JobState=[A-Z]*')
if [ "$state" != JobState=RUNNING ]; then # it was cancelled, or SLURM did it
  echo "slurm.sh: ended with exit code $code; not queued again from here, for" \
    "SLURM says ${state:-nothing} of the job" >&2
  exit "$code"
fi
if ((${SLURM_RESTART_COUNT:-0} >= ${RESTARTS:-20})); then
  echo "slurm.sh: ended with exit code $code, and is not queued again:" \
    "RESTARTS=${RESTARTS:-20}" >&2
  exit "$code"
fi
echo "slurm.sh: ended with exit code $code; queued again" >&2
scontrol requeue "$SLURM_JOB_ID" || echo 'slurm.sh: SLURM refused that' >&2
exit "$code"
