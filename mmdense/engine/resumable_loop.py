"""Training by epochs that can stop and go on anywhere."""

from collections.abc import Iterator

from mmengine.dist import get_rank
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch.utils.data import DataLoader

from mmdense.registry import LOOPS

from .seeded_dataset import SeededDataset
from .seeding import seed_generators


@LOOPS.register_module()
class ResumableEpochLoop(EpochBasedTrainLoop):
    """mmengine's loop over epochs, but exact when resumed.

    * A checkpoint of any iteration goes on with the batch after it;
      mmengine's loop begins the epoch anew. With another number of ranks it
      goes on at the same share of the epoch.
    * All random numbers are functions of their place: those of a sample of
      (seed, epoch, index), see :class:`SeededDataset`; those of a step, as
      for dropout, of (seed, iteration, rank). So there is no state of
      generators to save, and a run resumed with the same number of ranks
      equals one that was never interrupted.
    * Where the config gives no seed, the data order follows the seed of the
      checkpoint.

    Args:
        runner: The runner.
        dataloader: Config of the data, or a DataLoader, whose samples are
            then not seeded.
        max_epochs: Number of epochs.
        **kwargs: As in `EpochBasedTrainLoop`.
    """

    def __init__(
        self,
        runner: Runner,
        dataloader: DataLoader | dict,
        max_epochs: int,
        **kwargs,
    ) -> None:
        if isinstance(dataloader, dict):
            dataset = dict(type=SeededDataset, dataset=dataloader['dataset'])
            dataloader = dict(dataloader, dataset=dataset)
        self._seed_before_resume = runner.seed
        super().__init__(runner, dataloader, max_epochs, **kwargs)

    def run(self):
        """Train."""
        sampler = self.dataloader.sampler
        if getattr(sampler, 'seed', None) == self._seed_before_resume:
            sampler.seed = self.runner.seed
        return super().run()

    def run_epoch(self) -> None:
        """Train an epoch, or what is left of it."""
        self.runner.call_hook('before_train_epoch')
        self.runner.model.train()
        dataset = self.dataloader.dataset
        if isinstance(dataset, SeededDataset):
            dataset.set_place(self.runner.seed, self._epoch)
        hub = self.runner.message_hub
        start = self._start()
        hub.update_info('epoch_length', len(self.dataloader))
        batches = self.dataloader
        if start > 0:
            self.runner.logger.info(
                f'going on with batch {start + 1} of {len(self.dataloader)} '
                f'of epoch {self._epoch + 1}'
            )
            batches = _rest_of(self.dataloader, start)
        for idx, data_batch in enumerate(batches, start):
            # Before the hooks, one of which may save it.
            hub.update_info('batches_done', idx + 1)
            self.run_iter(idx, data_batch)
        hub.update_info('batches_done', 0)
        self.runner.call_hook('after_train_epoch')
        self._epoch += 1

    def run_iter(self, idx, data_batch) -> None:
        """Train a step under its own seed."""
        seed_generators(self.runner.seed, self._iter, get_rank())
        super().run_iter(idx, data_batch)

    def _start(self) -> int:
        """Batches of this epoch that were trained before a resume."""
        info = self.runner.message_hub.runtime_info
        done = info.get('batches_done', 0)
        length = info.get('epoch_length', len(self.dataloader))
        return done * len(self.dataloader) // length


class _Rest:
    """What a batch sampler gives after the first batches."""

    def __init__(self, batch_sampler, start: int) -> None:
        self.batch_sampler = batch_sampler
        self.start = start

    def __iter__(self) -> Iterator:
        for number, batch in enumerate(self.batch_sampler):
            if number >= self.start:
                yield batch

    def __len__(self) -> int:
        return len(self.batch_sampler) - self.start


def _rest_of(loader: DataLoader, start: int) -> DataLoader:
    """A loader of the batches from `start` on; none before is loaded."""
    return DataLoader(
        loader.dataset,
        batch_sampler=_Rest(loader.batch_sampler, start),
        num_workers=loader.num_workers,
        collate_fn=loader.collate_fn,
        pin_memory=loader.pin_memory,
        timeout=loader.timeout,
        worker_init_fn=loader.worker_init_fn,
        multiprocessing_context=loader.multiprocessing_context,
        prefetch_factor=loader.prefetch_factor,
    )
