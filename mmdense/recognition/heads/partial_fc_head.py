"""Classification with more classes than one device can hold."""

import torch
from mmengine.logging import MessageHub
from mmengine.model import BaseModule
from mmpretrain.structures import DataSample
from torch import Tensor

from mmdense.distributed.collectives import gather_batch, gather_sizes
from mmdense.distributed.sharding import ShardedTable
from mmdense.recognition.functional.nearest_classes import nearest_classes
from mmdense.recognition.functional.sampling import sample_classes
from mmdense.recognition.functional.sharded_softmax import margin_softmax_loss
from mmdense.recognition.losses.margin_loss import MarginLoss
from mmdense.registry import MODELS

from .batch_checks import check_batch, label_problem, labels_of
from .class_sampler import ClassSampler
from .head_arguments import check_arguments


@MODELS.register_module()
class PartialFCHead(BaseModule):
    """Margin softmax over class centers that are sharded and sampled.

    An et al., "Partial FC: Training 10 Million Identities on a Single
    Machine", 2020, and "Killing Two Birds with One Stone: Efficient and
    Robust Training of Face Recognition CNNs by Partial FC", CVPR 2022.

    Each rank owns a contiguous range of the centers. In a step, the
    embeddings of all ranks are gathered, each rank takes the centers of the
    classes in the batch and a uniform sample of its others, and the softmax
    runs over the sampled centers of all ranks. The loss is the mean over the
    global batch. Without a process group, one process owns all centers.

    What is drawn is a function of (seed, iteration, rank), so a resumed run
    draws what it would have drawn. The iteration is that of mmengine's
    runner; in a loop of your own it counts the calls, from :attr:`step` on.

    Use `mmdense.ShardedDistributedDataParallel` as model wrapper,
    `mmdense.ShardedOptimWrapperConstructor` to build the optimizer and
    `mmdense.ShardedCheckpointHook` to save: the centers are not in
    `state_dict`. For `sample_rate` < 1 their gradient is sparse, which
    `mmdense.RowSparseSGD` and `mmdense.RowSparseAdamW` take.

    Args:
        num_classes: Number of classes, C, over all ranks.
        in_channels: Length of the embeddings, d.
        loss: Config of a :class:`~mmdense.recognition.losses.MarginLoss`.
        sample_rate: Share of a rank's classes that take part in a step, in
            (0, 1], those of the batch included. 1 takes all.
        sampler: How negatives are drawn, uniformly and without replacement
            within a step either way. `'cycle'` walks a shuffled order of the
            rank's classes, one slice a step, and shuffles anew when less
            than a slice is left, so that a center seldom waits for long;
            `'independent'` draws afresh each step.
        filter_threshold: Negatives with a cosine above this count as cosine
            0, against classes that are really one identity (the inter-class
            filter of Partial FC; 0.4 is the published value): they take no
            gradient, and add e^0 to the sum over classes. None for off.
        topk: How many of the nearest classes :meth:`predict` finds, over
            all ranks. 0 gives embeddings alone, which is what recognition
            of unseen identities uses.
        seed: Seed of the initial centers and of the sampling.
        init_std: Standard deviation of the initial centers.
        init_cfg: mmengine's initialisation config.

    Raises:
        ValueError: `num_classes` or `in_channels` < 1, `sample_rate` outside
            (0, 1], `filter_threshold` outside [-1, 1], `topk` outside
            [0, num_classes] or an unknown `sampler`.
        TypeError: One of them is no number, or `loss` no margin loss.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        loss: dict,
        sample_rate: float = 1.0,
        sampler: str = 'cycle',
        filter_threshold: float | None = None,
        topk: int = 0,
        seed: int = 0,
        init_std: float = 0.01,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        check_arguments(
            num_classes, in_channels, sample_rate, filter_threshold, topk, seed
        )
        self.topk = topk
        self.num_classes = num_classes
        self.in_channels = in_channels
        self.sample_rate = sample_rate
        self.sampler = sampler
        self.filter_threshold = filter_threshold
        self.seed = seed
        self.loss_module = MODELS.build(loss)
        if not isinstance(self.loss_module, MarginLoss):
            raise TypeError(
                'loss must be the config of a mmdense MarginLoss, such as '
                "dict(type='mmdense.CosFaceLoss'), got "
                f'{type(self.loss_module).__name__}'
            )
        # A row holds all centers of a class: they are sampled, updated and
        # saved together.
        self.centers = ShardedTable(
            num_classes,
            in_channels * self.loss_module.num_subcenters,
            std=init_std,
            seed=seed,
            sparse=sample_rate < 1,
        )
        self.step = 0
        self._sampler = ClassSampler(sampler, seed, self.centers.rank)

    def pre_logits(self, feats: Tensor | tuple[Tensor, ...]) -> Tensor:
        """The embeddings, (b, d): the last of the neck's outputs."""
        x = feats[-1] if isinstance(feats, tuple | list) else feats
        if x.ndim != 2 or x.shape[1] != self.in_channels:
            raise ValueError(
                f'got embeddings of shape {tuple(x.shape)}, expected '
                f'(batch, {self.in_channels}), by in_channels of '
                'PartialFCHead; use mmdense.EmbeddingNeck before the head'
            )
        return x

    def forward(self, feats: Tensor | tuple[Tensor, ...]) -> Tensor:
        """The embeddings, (b, d), not normalised."""
        return self.pre_logits(feats)

    def loss(
        self,
        feats: Tensor | tuple[Tensor, ...],
        data_samples: list[DataSample],
        **kwargs,
    ) -> dict[str, Tensor]:
        """The loss of a batch and what is worth logging beside it.

        Args:
            feats: Output of the neck.
            data_samples: (b,) samples with `gt_label`.
            **kwargs: Ignored, for the host's signature.

        Returns:
            See :meth:`loss_by_feat`.

        Raises:
            ValueError: A sample has mixed labels (`gt_score`), or none, or
                as :meth:`loss_by_feat`; on all ranks.
        """
        embeddings = self.pre_logits(feats)
        try:
            labels = labels_of(data_samples, embeddings.device)
        except ValueError:
            # The others wait for the size of this rank's batch.
            gather_sizes(-1, embeddings.device)
            raise
        return self.loss_by_feat(embeddings, labels)

    def loss_by_feat(
        self, embeddings: Tensor, labels: Tensor
    ) -> dict[str, Tensor]:
        """The loss from embeddings and labels.

        Args:
            embeddings: (b, d) of this rank; b may differ from rank to rank.
            labels: (b,) int64 in [0, num_classes).

        Returns:
            `loss`, the mean over the batch of all ranks, and where the
            margin has a regulariser `loss_regularizer`; `target_cosine`, the
            mean cosine to the own center; `embedding_norm`, the mean norm.
            These are the same on all ranks. Besides, of this rank,
            `num_sampled` classes and the share of them that is in the
            batch, `positive_share`.

        Raises:
            ValueError: A label of any rank is out of range or no integer,
                an embedding of any rank is not finite, or all batches are
                empty; on all ranks.
        """
        with torch.autocast(embeddings.device.type, enabled=False):
            weight = self.centers.weight
            embeddings = embeddings.to(weight.dtype)
            norm = embeddings.norm(dim=1, keepdim=True)
            unit = embeddings / norm.clamp_min(1e-12)
            problem = label_problem(labels, len(embeddings))
            size = -1 if problem else len(labels)
            sizes = gather_sizes(size, embeddings.device)
            if min(sizes) < 0:
                # Where nothing is wrong, there is still a number to tell.
                problem = problem or (
                    f'got {size} labels for {size} embeddings on this rank'
                )
                raise ValueError(
                    f'{problem}; wrong on rank {sizes.index(min(sizes))}'
                )
            gathered = gather_batch(torch.cat([unit, norm], dim=1), sizes)
            unit, norm = gathered.split([self.in_channels, 1], dim=1)
            # Rows that lie apart make each product copy them, or go slower.
            unit, norm = unit.contiguous(), norm.squeeze(1)
            labels = labels.to(embeddings.device, torch.int64)
            labels = gather_batch(labels, sizes)
            check_batch(norm, labels, self.num_classes)
            index, local = self._sample(labels)
            self.centers.refresh(index)
            loss, cosine = margin_softmax_loss(
                unit,
                norm,
                weight,
                local,
                self.loss_module,
                index,
                self.filter_threshold,
            )
            regularizer = self.loss_module.regularizer(norm)
        num_sampled = len(weight if index is None else index)
        num_positives = local[local >= 0].unique().numel()
        results = dict(
            loss=loss,
            target_cosine=cosine.mean(),
            embedding_norm=norm.detach().mean(),
            num_sampled=loss.new_tensor(num_sampled),
            positive_share=loss.new_tensor(
                num_positives / max(num_sampled, 1)
            ),
        )
        if regularizer is not None:
            # All ranks compute it from all norms, whose gradients will be
            # summed over ranks.
            share = regularizer / len(sizes)
            results['loss_regularizer'] = (
                share + (regularizer - share).detach()
            )
        return results

    def predict(
        self,
        feats: Tensor | tuple[Tensor, ...],
        data_samples: list[DataSample] | None = None,
        **kwargs,
    ) -> list[DataSample]:
        """The embeddings, and the nearest classes if `topk` is set.

        With `topk` every rank must predict as often as the others, as
        mmengine's samplers see to.

        Args:
            feats: Output of the neck.
            data_samples: (b,) samples to write to. None makes new ones.
            **kwargs: Ignored, for the host's signature.

        Returns:
            (b,) samples whose `embedding` is a (d,) tensor, not normalised;
            with `topk` also `topk_label` and `topk_score`, (topk,), the
            cosines descending, and `pred_label`, the nearest class.
        """
        embeddings = self.pre_logits(feats)
        if data_samples is None:
            data_samples = [DataSample() for _ in embeddings]
        for sample, embedding in zip(data_samples, embeddings, strict=True):
            sample.set_field(embedding.detach(), 'embedding')
        if self.topk:
            self._predict_classes(embeddings, data_samples)
        return data_samples

    def _predict_classes(
        self, embeddings: Tensor, data_samples: list[DataSample]
    ) -> None:
        self.centers.refresh()
        weight = self.centers.weight
        # As in the loss: half precision would mix up near classes.
        with torch.autocast(embeddings.device.type, enabled=False):
            unit = torch.nn.functional.normalize(embeddings.to(weight.dtype))
            scores, labels = nearest_classes(
                unit, weight, self.centers.start, self.topk
            )
        for sample, score, label in zip(
            data_samples, scores, labels, strict=True
        ):
            sample.set_field(score, 'topk_score')
            sample.set_field(label, 'topk_label')
            sample.set_pred_label(label[0])

    def _sample(self, labels: Tensor) -> tuple[Tensor | None, Tensor]:
        """Sampled rows of this rank and the labels' places among them.

        Args:
            labels: (B,) labels of the global batch.

        Returns:
            (m,) sorted row numbers or None for all rows, and (B,) places in
            them, -1 where another rank owns the class.
        """
        start, stop = self.centers.start, self.centers.stop
        owned = (labels >= start) & (labels < stop)
        local = torch.where(owned, labels - start, -1)
        num_local = stop - start
        num_sampled = max(int(self.sample_rate * num_local), 1)
        if num_sampled >= num_local:
            return None, local
        candidates = self._candidates(num_local, num_sampled)
        positives = local[owned].unique()
        index = sample_classes(
            positives, candidates.to(labels.device), num_sampled
        )
        places = torch.searchsorted(index, local.clamp_min(0))
        return index, torch.where(owned, places, -1)

    def _candidates(self, num_local: int, num_sampled: int) -> Tensor:
        """(num_sampled,) classes of this rank, for the current step."""
        hub = MessageHub.get_current_instance()
        # A hub outlives its runner; the stage tells that one is at work.
        if hub.runtime_info.get('loop_stage') == 'train':
            self.step = hub.get_info('iter')
        step = self.step
        self.step += 1
        return self._sampler.draw(num_local, num_sampled, step)
