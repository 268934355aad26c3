#!/usr/bin/env bash
# What dist_train.sh and dist_test.sh share: a tool of this folder in processes of torchrun.
set -eu
if [ $# -lt 3 ]; then
    echo "usage: tools/dist_run.sh TOOL PROCESSES CONFIG [arguments of TOOL]; use
tools/dist_train.sh or tools/dist_test.sh instead" >&2
    exit 2
fi
tool=$1
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
if [ "$tool" = train.py ] && [ -z "${CSNLN_CHECKED:-}" ]; then
    # Report a mistake once, not in every process.
    python "$tools/$tool" "$@" --check
    export CSNLN_CHECKED=1
fi
# shellcheck disable=SC2086  # TORCHRUN_ARGS is several words
exec python "$tools/dist_run.py" \
    --nnodes="${NNODES:-1}" --node_rank="${NODE_RANK:-0}" --nproc_per_node="$processes" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" --master_port="${PORT:-29500}" \
    ${TORCHRUN_ARGS:-} "$tools/$tool" "$@" --launcher pytorch
