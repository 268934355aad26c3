#!/usr/bin/env bash
# Test on several devices of one or more machines, with torchrun.
set -eu
if [ $# -lt 3 ]; then
    echo "usage: tools/dist_test.sh CONFIG CHECKPOINT PROCESSES [options of csnln test]
environment: NNODES (1), NODE_RANK (0), MASTER_ADDR (127.0.0.1), PORT (29500),
             TORCHRUN_ARGS (e.g. --max-restarts=3)" >&2
    exit 2
fi
config=$1
checkpoint=$2
processes=$3
shift 3
exec bash "$(dirname "$0")/dist_run.sh" test.py "$processes" "$config" "$checkpoint" "$@"
