"""Run the cells of the study that have no result yet.

    python projects/sampling_study/run.py --workers 2
    python projects/sampling_study/run.py --list

Each cell is a training of its own, a result a JSON file that appears when the
training is done. Interrupt at will; the next run does what is missing, and
several may run side by side. `report.py` makes the table and the plots.
"""

import argparse
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

from projects.sampling_study.grid import (  # noqa: E402
    MARGINS,
    NOISES,
    Cell,
    all_cells,
)
from projects.study_tools.cells import (  # noqa: E402
    add_arguments,
    run_missing,
)

CONFIG = HERE / 'configs' / 'sampling-study_glyphs.py'


def main(argv: Sequence[str] | None = None) -> None:
    """Run, or list, what is missing."""
    args = _parse(argv)
    train = partial(run_cell, data_file=args.data_file, steps=args.steps)
    run_missing(all_cells(args.seeds), args, train)


def build_config(
    cell: Cell,
    data_file: str | None = None,
    steps: int | None = None,
    work_dir: str = 'work_dirs/sampling_study',
):
    """The config of a cell.

    Args:
        cell: The cell.
        data_file: Of `mmdense.GlyphIdentities`; None: the set that ships.
        steps: Steps instead of the cell's.
        work_dir: Where the log goes.

    Returns:
        The `mmengine.Config`.
    """
    from mmengine.config import Config

    from mmdense.registry import DATASETS

    cfg = Config.fromfile(CONFIG)
    cfg.work_dir = f'{work_dir}/{cell.name}'
    cfg.randomness = dict(seed=cell.seed)
    labels = cfg.train_dataloader.dataset.dataset
    labels.noise = NOISES[cell.noise]
    labels.seed = cell.seed
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        _glyphs(loader.dataset).data_file = data_file
    cfg.test_dataloader = cfg.val_dataloader
    steps = steps or cell.steps
    cfg.train_cfg.update(max_iters=steps, val_interval=steps)
    warm_up, decay = cfg.param_scheduler
    warm_up.end = decay.begin = max(steps // 6, 1)
    decay.end = steps
    cfg.model.head.update(
        num_classes=DATASETS.build(labels).metainfo['num_classes'],
        loss=MARGINS[cell.margin],
        sample_rate=cell.rate,
        sampler=cell.sampler,
        filter_threshold=cell.filter_threshold,
        seed=cell.seed,
    )
    cfg.optim_wrapper.optimizer['update'] = cell.update
    return cfg


def run_cell(
    cell: Cell, data_file: str | None = None, steps: int | None = None
) -> dict:
    """Train a cell and evaluate it on clean, unseen identities.

    Args:
        cell: The cell.
        data_file: As in :func:`build_config`.
        steps: As in :func:`build_config`.

    Returns:
        What the result file holds.
    """
    import torch
    from mmengine.runner import Runner

    torch.set_num_threads(1)
    start = time.process_time()
    cfg = build_config(cell, data_file, steps)
    runner = Runner.from_cfg(cfg)
    if not torch.cuda.is_available():
        # A third faster on a CPU.
        runner.model.to(memory_format=torch.channels_last)
    runner.train()
    hub = runner.message_hub
    scalars = {
        name.split('/', 1)[1]: float(buffer.mean(200))
        for name, buffer in hub.log_scalars.items()
        if name.startswith('train/')
    }
    return dict(
        cell=cell.to_dict(),
        data_file=data_file and Path(data_file).name,
        steps=cfg.train_cfg.max_iters,
        batch_size=cfg.train_dataloader.batch_size,
        num_classes=cfg.model.head.num_classes,
        num_samples=len(runner.train_dataloader.dataset),
        metrics={
            name.rsplit('/', 1)[1]: float(buffer.current())
            for name, buffer in hub.log_scalars.items()
            if name.startswith('val/verification')
        },
        # Means over the last 200 steps.
        train={
            name: scalars[name]
            for name in (
                'loss',
                'target_cosine',
                'num_sampled',
                'positive_share',
            )
        },
        cpu_seconds=round(time.process_time() - start, 1),
        torch=torch.__version__,
        python=platform.python_version(),
    )


def _glyphs(dataset):
    """The innermost data set of nested wrappers."""
    return _glyphs(dataset.dataset) if 'dataset' in dataset else dataset


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_arguments(parser, HERE / 'results')
    parser.add_argument(
        '--data-file',
        help='a set of tools/dataset_converters/glyphs.py instead of the one '
        'that ships; give --out too',
    )
    parser.add_argument(
        '--steps', type=int, help='steps of every cell; give --out too'
    )
    args = parser.parse_args(argv)
    other = args.data_file is not None or args.steps is not None
    if other and args.out == HERE / 'results':
        parser.error(
            'results of other data or steps must not mix with those in '
            'results/: give --out'
        )
    return args


if __name__ == '__main__':
    main()
