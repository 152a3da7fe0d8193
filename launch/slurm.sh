#!/usr/bin/env bash
# One process on each node of a SLURM job, with all GPUs of the node.
#
#   sbatch --nodes=2 launch/slurm.sh --config=configs/cifar_resnet110.py
#
# We have had no SLURM to run this on; launch/hosts.sh, which it starts on each
# node, is what has been run.
#
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --exclusive
# SIGTERM two minutes before the time is up: the run saves, and ends with 143.
#SBATCH --signal=TERM@120
#SBATCH --requeue
set -eu
cd "$SLURM_SUBMIT_DIR"

export HOSTS=$SLURM_NNODES
COORDINATOR=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1):12345
export COORDINATOR
# --gpu-bind=none: SLURM must not hide GPUs from the one process of a node.
srun --gpu-bind=none bash -c 'HOST=$SLURM_NODEID launch/hosts.sh "$@"' hosts "$@"
