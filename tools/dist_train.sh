#!/usr/bin/env bash
# Train with one process per GPU (or per CPU worker, with gloo) on this
# machine; on several machines, run it once on each.

if [ $# -lt 2 ]; then
    echo "Usage: bash $0 CONFIG GPUS [options of train.py]" >&2
    echo "Environment: NNODES NODE_RANK MASTER_ADDR PORT" >&2
    exit 2
fi

CONFIG=$1
GPUS=$2
TOOLS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

PYTHONPATH="$(dirname "$TOOLS")${PYTHONPATH:+:$PYTHONPATH}" \
exec python -m torch.distributed.run \
    --nnodes="${NNODES:-1}" \
    --node_rank="${NODE_RANK:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" \
    --master_port="${PORT:-29500}" \
    --nproc_per_node="$GPUS" \
    "$TOOLS/train.py" \
    "$CONFIG" \
    --launcher pytorch \
    "${@:3}"
