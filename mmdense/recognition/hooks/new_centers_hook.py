"""Centers of new classes from images of theirs."""

from collections.abc import Iterator

import torch
from mmengine.device import get_device
from mmengine.hooks import Hook
from mmengine.runner import Runner
from rich.console import Console
from rich.progress import track
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset

from mmdense.distributed.collectives import (
    all_reduce_sum,
    gather_batch,
    gather_objects,
    gather_sizes,
    rank,
    world_size,
)
from mmdense.distributed.sharding import ShardedTable
from mmdense.distributed.table_state import plain_model
from mmdense.registry import HOOKS


@HOOKS.register_module()
class NewCentersHook(Hook):
    """Starts the classes that `load_from` did not find at their images.

    A random center among trained ones attracts nothing at first, and its
    images pull at the network. Here the center of a new class becomes the
    mean of the unit embeddings of its images, by the network that was
    loaded, with the mean length of the loaded centers. Qi et al.,
    "Low-Shot Learning with Imprinted Weights", CVPR 2018, section 3.2.

    Classes without images stay as they were drawn. Of a class with several
    centers the first is set.

    Args:
        dataloader: Config of the images, whose labels are those of the
            model's classes. None takes the training data; of a data set
            with `get_gt_labels`, as mmpretrain's are, only images of new
            classes are loaded.
    """

    def __init__(self, dataloader: dict | None = None) -> None:
        self.dataloader = dataloader

    def before_train(self, runner: Runner) -> None:
        """Set the new centers, unless the run is resumed."""
        model = plain_model(runner)
        # Not by the head's class, whose import needs mmpretrain: whoever
        # uses any hook of the package imports this file.
        for module in model.modules():
            table = getattr(module, 'centers', None)
            if isinstance(table, ShardedTable) and table.new_rows is not None:
                self._imprint(runner, model, module)

    @torch.no_grad()
    def _imprint(
        self, runner: Runner, model: nn.Module, head: nn.Module
    ) -> None:
        table, dim = head.centers, head.in_channels
        weight = table.weight
        rows = table.new_rows.to(weight.device)
        everyone = gather_objects((rows + table.start).tolist())
        new = sorted(label for labels in everyone for label in labels)
        if not new:
            return
        # Where a class of this rank is among the sums; -1 for none.
        place = torch.full((len(weight),), -1, device=weight.device)
        place[rows] = torch.arange(len(rows), device=weight.device)
        sums = torch.zeros(
            len(rows), dim, dtype=torch.float64, device=weight.device
        )
        counts = sums.new_zeros(len(rows))
        loader = self._loader(runner, new)
        was_training = model.training
        model.eval()
        for unit, labels in _embeddings(loader, model, head):
            local = labels - table.start
            mine = (local >= 0) & (local < len(weight))
            unit, local = unit[mine], place[local[mine]]
            sums.index_add_(0, local[local >= 0], unit[local >= 0])
            counts += torch.bincount(
                local[local >= 0], minlength=len(counts)
            ).to(counts)
        model.train(was_training)

        found = counts > 0
        centers = torch.nn.functional.normalize(sums[found], dim=1)
        centers *= _mean_length(weight[:, :dim], rows)
        weight[rows[found], :dim] = centers.to(weight)
        total = int(all_reduce_sum(found.sum()))
        runner.logger.info(
            f'{total:,} of {len(new):,} new classes start at the mean of '
            'their images'
        )

    def _loader(self, runner: Runner, new: list[int]) -> DataLoader:
        """This rank's share of the images."""
        loader = runner.train_dataloader
        if self.dataloader is not None:
            loader = runner.build_dataloader(self.dataloader, runner.seed)
        dataset = loader.dataset
        indices = torch.arange(len(dataset))
        if hasattr(dataset, 'get_gt_labels'):
            labels = torch.as_tensor(dataset.get_gt_labels())
            indices = indices[torch.isin(labels, torch.tensor(new))]
        mine = Subset(dataset, indices[rank() :: world_size()].tolist())
        return DataLoader(
            mine,
            batch_size=loader.batch_size or 64,
            num_workers=loader.num_workers,
            collate_fn=loader.collate_fn,
            worker_init_fn=loader.worker_init_fn,
        )


def _embeddings(
    loader: DataLoader, model: nn.Module, head: nn.Module
) -> Iterator[tuple[Tensor, Tensor]]:
    """Unit embeddings (B, d) in float64 and labels (B,) of all ranks.

    A rank that has no more images still takes part.
    """
    device = head.centers.weight.device
    batches = iter(loader)
    steps = max(gather_sizes(len(loader), torch.device(get_device())))
    show = rank() == 0 and Console(stderr=True).is_terminal
    for _ in track(
        range(steps),
        'new centers',
        console=Console(stderr=True),
        disable=not show,
    ):
        unit = torch.zeros(
            0, head.in_channels, dtype=torch.float64, device=device
        )
        labels = torch.zeros(0, dtype=torch.int64, device=device)
        batch = next(batches, None)
        if batch is not None:
            data = model.data_preprocessor(batch, False)
            x = head.pre_logits(model.extract_feat(data['inputs']))
            unit = torch.nn.functional.normalize(x.double(), dim=1)
            labels = torch.cat([s.gt_label for s in data['data_samples']])
        sizes = gather_sizes(len(labels), device)
        yield (
            gather_batch(unit, sizes),
            gather_batch(labels.to(device), sizes),
        )


def _mean_length(weight: Tensor, new_rows: Tensor) -> Tensor:
    """Mean length of the loaded centers, of all if there are none."""
    length = weight.norm(dim=1).double()
    loaded = torch.ones_like(length)
    loaded[new_rows] = 0
    sums = torch.stack(
        [
            (length * loaded).sum(),
            loaded.sum(),
            length.sum(),
            torch.ones_like(length).sum(),
        ]
    )
    sums = all_reduce_sum(sums)
    if sums[1] > 0:
        return sums[0] / sums[1]
    return sums[2] / sums[3]
