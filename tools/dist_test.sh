#!/usr/bin/env bash
# Test on several devices of one or more machines, with torchrun.
set -eu
if [ $# -lt 3 ]; then
    echo "usage: tools/dist_test.sh CONFIG CHECKPOINT PROCESSES [options of tools/test.py]
environment: NNODES (1), NODE_RANK (0), MASTER_ADDR (127.0.0.1), PORT (29500),
             TORCHRUN_ARGS (e.g. --max-restarts=3)" >&2
    exit 2
fi
config=$1
checkpoint=$2
processes=$3
shift 3
case $processes in
    gpu | cpu | auto) ;;  # as torchrun counts them
    '' | 0 | *[!0-9]*)
        echo "error: PROCESSES must be a number of at least 1, got '$processes'" >&2
        exit 2
        ;;
esac
tools=$(cd "$(dirname "$0")" && pwd)
export PYTHONPATH="$tools/..${PYTHONPATH:+:$PYTHONPATH}"
# shellcheck disable=SC2086  # TORCHRUN_ARGS is several words
exec python -m torch.distributed.run \
    --nnodes="${NNODES:-1}" --node_rank="${NODE_RANK:-0}" --nproc_per_node="$processes" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" --master_port="${PORT:-29500}" \
    ${TORCHRUN_ARGS:-} "$tools/test.py" "$config" "$checkpoint" --launcher pytorch "$@"
