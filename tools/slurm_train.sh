#!/usr/bin/env bash
# Train on a Slurm cluster.
set -eu
if [ $# -lt 4 ]; then
    echo "usage: tools/slurm_train.sh PARTITION JOB_NAME CONFIG WORK_DIR [options of csnln train]
environment: GPUS (8), GPUS_PER_NODE (8), CPUS_PER_TASK (5), SRUN_ARGS, SIGNAL (USR1@120: the signal
             before the time limit), CHECK (yes; no if the images cannot be read from this machine)
tools/train.sbatch is a job that Slurm restarts until training is done" >&2
    exit 2
fi
partition=$1
job=$2
config=$3
work_dir=$4
shift 4
tools=$(cd "$(dirname "$0")" && pwd)
export PYTHONPATH="$tools/..${PYTHONPATH:+:$PYTHONPATH}"
export MASTER_PORT=${PORT:-$((12000 + RANDOM % 20000))}
if [ "${CHECK:-yes}" != no ]; then
    # Report a mistake once, not in every process.
    python "$tools/train.py" "$config" --work-dir="$work_dir" "$@" --check
    export CSNLN_CHECKED=1
fi
# shellcheck disable=SC2086  # SRUN_ARGS is several words
exec srun -p "$partition" --job-name="$job" --signal="${SIGNAL:-USR1@120}" \
    --gres=gpu:"${GPUS_PER_NODE:-8}" --ntasks="${GPUS:-8}" \
    --ntasks-per-node="${GPUS_PER_NODE:-8}" --cpus-per-task="${CPUS_PER_TASK:-5}" \
    --kill-on-bad-exit=1 ${SRUN_ARGS:-} \
    python -u "$tools/train.py" "$config" --work-dir="$work_dir" --launcher=slurm "$@"
