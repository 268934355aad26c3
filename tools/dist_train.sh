#!/usr/bin/env bash
# Train on several devices of one or more machines, with torchrun.
set -eu
if [ $# -lt 2 ]; then
    echo "usage: tools/dist_train.sh CONFIG PROCESSES [options of tools/train.py]
environment: NNODES (1), NODE_RANK (0), MASTER_ADDR (127.0.0.1), PORT (29500),
             TORCHRUN_ARGS (e.g. --max-restarts=3)" >&2
    exit 2
fi
config=$1
processes=$2
shift 2
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
    ${TORCHRUN_ARGS:-} "$tools/train.py" "$config" --launcher pytorch "$@"
