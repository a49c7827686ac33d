#!/usr/bin/env bash
# From a fresh clone to trained dense pose: installs what is needed, renders
# people, trains a small UV R-CNN on two processes, evaluates it and draws what
# it finds. Further arguments, all but --work-dir, go to tools/train.py.
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

config=configs/uv_rcnn/uv-rcnn_light_fpn_2xb4-10e_synthetic-bodies-192px.py
data=data/synthetic_bodies_192px
work_dir=work_dirs/quick_start_dense_pose

python tools/dataset_converters/synthetic_bodies.py --out "$data" \
    --num-images 2000 --size 192 --max-people 3
# Two processes, on the CPU if need be; a single GPU takes one alone.
gpus=$(python -c 'import torch; print(torch.cuda.device_count())')
ranks=$((gpus == 1 ? 1 : 2))
OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} \
    bash tools/dist_train.sh "$config" "$ranks" --work-dir "$work_dir" \
    --cfg-options "train_dataloader.batch_size=$((8 / ranks))" "$@"
python tools/predict_densepose.py "$data/val" --limit 12 \
    --checkpoint "$(cat "$work_dir/last_checkpoint")" \
    --out-dir "$work_dir/pictures" --sheet "$work_dir/pictures.png"
