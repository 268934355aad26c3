#!/usr/bin/env bash
# Train on several devices of one or more machines, with torchrun.
set -eu
if [ $# -lt 2 ]; then
    echo "usage: tools/dist_train.sh CONFIG PROCESSES [options of csnln train]
environment: NNODES (1), NODE_RANK (0), MASTER_ADDR (127.0.0.1), PORT (29500),
             TORCHRUN_ARGS (e.g. --max-restarts=3)" >&2
    exit 2
fi
config=$1
processes=$2
shift 2
exec bash "$(dirname "$0")/dist_run.sh" train.py "$processes" "$config" "$@"
