"""Run the cells of the study that have no result yet.

    bash tools/quick_start_dense_pose.sh
    python tools/dataset_converters/synthetic_bodies.py \
        --out data/study_bodies --num-images 900 --size 128 --max-people 3 \
        --val-fraction 0.16667 --seed 1
    python projects/dense_points_study/run.py --workers 2
    python projects/dense_points_study/run.py --list

Each cell is a training of its own, a result a JSON file that appears when the
training is done. Interrupt at will; the next run does what is missing, and
several may run side by side. `report.py` makes the tables and the plots.
"""

import argparse
import hashlib
import math
import os
import platform
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

# One thread a worker, before torch is imported.
os.environ.setdefault('OMP_NUM_THREADS', '1')
os.environ.setdefault('OMP_WAIT_POLICY', 'passive')

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))  # `projects` is not installed

from projects.dense_points_study.grid import (  # noqa: E402
    BALANCERS,
    LOSSES,
    STEPS,
    Cell,
    all_cells,
)
from projects.study_tools.cells import (  # noqa: E402
    add_arguments,
    run_missing,
)

CONFIG = HERE / 'configs' / 'dense-points-study_synthetic-bodies.py'


def main(argv: Sequence[str] | None = None) -> None:
    """Run, or list, what is missing."""
    args = _parse(argv)
    train = partial(
        run_cell, data=args.data, start=args.start, steps=args.steps
    )
    run_missing(all_cells(args.seeds), args, train)


def build_config(
    cell: Cell,
    data: str,
    start: str | None,
    steps: int = STEPS,
    work_dir: str = 'work_dirs/dense_points_study',
):
    """The config of a cell.

    Args:
        cell: The cell.
        data: Folder that `synthetic_bodies.py` wrote.
        start: Checkpoint that all but the predictors start from; None: from
            scratch.
        steps: How long to train.
        work_dir: Where the log goes.

    Returns:
        The `mmengine.Config`.
    """
    from mmengine.config import Config

    cfg = Config.fromfile(CONFIG)
    cfg.work_dir = f'{work_dir}/{cell.name}'
    cfg.experiment_name = cell.name
    cfg.randomness = dict(seed=cell.seed)
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        loader.dataset.data_root = data
    cfg.val_evaluator.ann_file = f'{data}/annotations/val.json'
    cfg.test_dataloader = cfg.val_dataloader
    cfg.test_evaluator = cfg.val_evaluator
    cfg.train_dataloader.batch_size = cell.images
    cfg.train_dataloader.dataset.pipeline[-1].share = cell.points
    cfg.train_cfg.update(max_iters=steps, val_interval=steps)
    warm_up, decay = cfg.param_scheduler
    warm_up.end = decay.begin = max(steps // 8, 1)
    decay.end = steps
    cfg.optim_wrapper.optimizer.lr = cell.rate
    if start is not None:
        parts = {
            'backbone': cfg.model.backbone,
            'neck': cfg.model.neck,
            'roi_head.uv_decoder': cfg.model.roi_head.uv_decoder,
            'roi_head.uv_head.trunk': cfg.model.roi_head.uv_head.trunk,
        }
        for name, part in parts.items():
            part.init_cfg = dict(
                type='Pretrained', checkpoint=start, prefix=f'{name}.'
            )
    loss = LOSSES[cell.loss]
    head = cfg.model.roi_head.uv_head
    # Updating would keep the defaults of the base config.
    head.loss_points = loss['loss_points']
    head.loss_balancer = dict(
        BALANCERS[cell.balancer],
        weights=dict(coarse=5.0, part=1.0, uv=loss['weight']),
    )
    head.monitor_gradients = True
    return cfg


def run_cell(
    cell: Cell, data: str, start: str | None, steps: int = STEPS
) -> dict:
    """Train a cell and evaluate it.

    Args:
        cell: The cell.
        data: As in :func:`build_config`.
        start: As in :func:`build_config`.
        steps: As in :func:`build_config`.

    Returns:
        What the result file holds; `diverged_at` is the step whose loss was
        not finite any more, and there are no metrics then. `data` and `start`
        are digests, by which results of other images or weights are told
        apart.
    """
    import torch
    from mmengine.runner import Runner

    from projects.dense_points_study.divergence import Diverged

    torch.set_num_threads(1)
    begin = time.process_time()
    cfg = build_config(cell, data, start, steps)
    runner = Runner.from_cfg(cfg)
    diverged_at = None
    try:
        runner.train()
    except Diverged as end:
        diverged_at = end.step
    scalars = runner.message_hub.log_scalars
    return dict(
        cell=cell.to_dict(),
        steps=steps,
        data=_digest(*sorted(Path(data).glob('annotations/*.json'))),
        start=None if start is None else _digest(Path(start)),
        num_images=len(runner.train_dataloader.dataset),
        diverged_at=diverged_at,
        metrics={
            name.removeprefix('val/densepose/'): float(buffer.current())
            for name, buffer in scalars.items()
            if name.startswith('val/densepose/')
        },
        train={
            name.removeprefix('train/'): _spread(buffer.data[0])
            for name, buffer in scalars.items()
            if name.startswith(('train/loss', 'train/grad', 'train/uv_'))
        },
        cpu_seconds=round(time.process_time() - begin, 1),
        torch=torch.__version__,
        python=platform.python_version(),
    )


def _digest(*files: Path) -> str:
    """The first digits of the SHA-256 of what is in files."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def _spread(values) -> dict[str, float | None]:
    """Of a scalar over the steps; None where it is not finite."""
    import numpy as np

    found = {
        'median': np.median(values),
        'p05': np.quantile(values, 0.05),
        'p95': np.quantile(values, 0.95),
        'max': np.max(values),
        'last': np.mean(values[-20:]),
    }
    return {
        name: float(f'{value:.4g}') if math.isfinite(value) else None
        for name, value in found.items()
    }


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_arguments(parser, HERE / 'results')
    parser.add_argument(
        '--data',
        default='data/study_bodies',
        help='folder that synthetic_bodies.py wrote',
    )
    parser.add_argument(
        '--start',
        default='work_dirs/quick_start_dense_pose/epoch_10.pth',
        help='checkpoint that all but the predictors start from',
    )
    parser.add_argument(
        '--steps',
        type=int,
        default=STEPS,
        help='steps of every cell; give --out too',
    )
    args = parser.parse_args(argv)
    if not args.list:
        for path in (args.data, args.start):
            if not Path(path).exists():
                parser.error(
                    f'{path} does not exist; the head of {__file__} '
                    'says what makes it'
                )
    if args.steps != STEPS and args.out == HERE / 'results':
        parser.error(
            'results of other steps must not mix with those in results/: '
            'give --out'
        )
    return args


if __name__ == '__main__':
    main()
