"""Identification against a gallery, as a metric of mmengine."""

from collections.abc import Sequence

import numpy as np
import torch
from mmengine.device import get_device
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger

from mmdense.recognition.functional.gallery_search import search_gallery
from mmdense.registry import METRICS

from .rank_embeddings import RankEmbeddings
from .table import results_table


@METRICS.register_module()
class IdentificationMetric(BaseMetric):
    """Rank-k rates and mAP of queries in a gallery, by cosine.

    The data set tells the queries from the gallery: `num_queries`, Q, in its
    metainfo means that its first Q samples are the queries and the others
    the gallery, as :class:`mmdense.QueryGallery` arranges it. Without it
    each sample is searched for among all others.

    Each rank keeps the part of the gallery that it has embedded; queries
    visit it in blocks. Nothing is gathered that grows with the gallery but a
    number per sample, so millions of samples fit.

    Results: `rank-K` for each K of `ranks`, `mAP`, and, where there are
    queries whose identity is not in the gallery, `tpir@fpir=X` for each X of
    `fpirs`; all shares in [0, 1]. See
    :class:`~mmdense.recognition.functional.identification.Identification`.

    Args:
        ranks: How many of the best to look at.
        fpirs: False positive identification rates at which the true one is
            reported.
        device: Where to compute, `'cpu'` for instance; None: the
            accelerator, if there is one.
        query_block: Queries at a time, over all ranks.
        gallery_chunk: Gallery samples at a time.
        collect_device: As in mmengine; not used.
        prefix: As in mmengine.

    Attributes:
        found: After `evaluate`, the
            :class:`~mmdense.recognition.functional.identification.Identification`.
    """

    default_prefix = 'identification'

    def __init__(
        self,
        ranks: Sequence[int] = (1, 5, 10),
        fpirs: Sequence[float] = (1e-1, 1e-2),
        device: str | None = None,
        query_block: int = 512,
        gallery_chunk: int = 8192,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device, prefix)
        if not ranks or min(ranks) < 1:
            raise ValueError(f'ranks must be positive, got {tuple(ranks)}')
        self.ranks, self.fpirs = tuple(ranks), tuple(fpirs)
        self.device = device
        self.query_block, self.gallery_chunk = query_block, gallery_chunk
        self.found = None
        self._embeddings = RankEmbeddings(type(self).__name__)

    def process(self, data_batch, data_samples: Sequence[dict]) -> None:
        """Keep the embedding of each sample.

        Args:
            data_batch: Ignored.
            data_samples: Each with `embedding`, (d,), `gt_label` and
                `sample_idx`.

        Raises:
            KeyError: A sample lacks one of them.
        """
        self._embeddings.add(data_samples, labelled=True)

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Not used: :meth:`evaluate` gathers nothing."""
        raise NotImplementedError

    def evaluate(self, size: int) -> dict[str, float]:
        """Search for the queries of all ranks in the gallery of all ranks.

        Args:
            size: Samples in the data set.

        Raises:
            ValueError: Samples are missing, an embedding is not finite or no
                query has a mate; on all ranks.
        """
        num_queries = (self.dataset_meta or {}).get('num_queries')
        indices, rows, labels = self._embeddings.take(size)
        if num_queries is None:
            query, gallery = slice(None), slice(None)
            ids = torch.from_numpy(indices)
        else:
            # Sample numbers ascend, so no embedding is copied.
            border = int(np.searchsorted(indices, num_queries))
            query, gallery, ids = slice(border), slice(border, None), None
        self.found = found = search_gallery(
            rows[query],
            labels[query],
            rows[gallery],
            labels[gallery],
            ids,
            ids,
            device=self.device or get_device(),
            query_block=self.query_block,
            gallery_chunk=self.gallery_chunk,
        )
        cmc = found.cmc(max(self.ranks))
        metrics = {f'rank-{k}': float(cmc[k - 1]) for k in self.ranks}
        metrics['mAP'] = found.mean_average_precision
        if not found.mated.all():
            rates = found.tpir(self.fpirs)
            for fpir, rate in zip(self.fpirs, rates, strict=True):
                metrics[f'tpir@fpir={fpir:g}'] = float(rate)
        strangers = np.count_nonzero(~found.mated)
        MMLogger.get_current_instance().info(
            f'{len(found.rank)} queries, {strangers} of them of nobody in '
            f'the gallery\n{results_table({"": metrics})}'
        )
        return {f'{self.prefix}/{key}': v for key, v in metrics.items()}
