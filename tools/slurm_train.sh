#!/usr/bin/env bash
# Train as a job of Slurm, one task per GPU.

if [ $# -lt 4 ]; then
    echo "Usage: bash $0 PARTITION JOB_NAME CONFIG WORK_DIR" \
        "[options of train.py]" >&2
    echo "Environment: GPUS GPUS_PER_NODE CPUS_PER_TASK SRUN_ARGS" >&2
    exit 2
fi

PARTITION=$1
JOB_NAME=$2
CONFIG=$3
WORK_DIR=$4
GPUS=${GPUS:-8}
GPUS_PER_NODE=${GPUS_PER_NODE:-8}
TOOLS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# Several arguments in one variable, as with OpenMMLab's scripts.
read -r -a SRUN_ARGS <<< "${SRUN_ARGS:-}"

PYTHONPATH="$(dirname "$TOOLS")${PYTHONPATH:+:$PYTHONPATH}" \
exec srun -p "$PARTITION" \
    --job-name="$JOB_NAME" \
    --gres="gpu:$GPUS_PER_NODE" \
    --ntasks="$GPUS" \
    --ntasks-per-node="$GPUS_PER_NODE" \
    --cpus-per-task="${CPUS_PER_TASK:-5}" \
    --kill-on-bad-exit=1 \
    "${SRUN_ARGS[@]}" \
    python -u "$TOOLS/train.py" \
    "$CONFIG" \
    --work-dir="$WORK_DIR" \
    --launcher=slurm \
    "${@:5}"
