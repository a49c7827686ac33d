"""IJB-B and IJB-C, as a metric of mmengine."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from mmengine.device import get_device
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger
from torch import Tensor

from mmdense.distributed.collectives import (
    collective_device,
    object_of_rank_0,
    on_rank_0,
)
from mmdense.recognition.functional.templates import TemplateVariant
from mmdense.registry import METRICS

from .ijb_protocol import (
    IJBProtocol,
    IJBResult,
    evaluate_ijb,
    rows_on_rank_0,
)
from .rank_embeddings import RankEmbeddings
from .table import results_table


@METRICS.register_module()
class IJBMetric(BaseMetric):
    """1:1 verification and 1:N identification of templates.

    For :class:`mmdense.IJBImages`. All ranks embed; rank 0 then holds the
    embeddings of all images and their mirror images (IJB-C: 1.9 GiB at
    d = 512) and pools the templates, and all ranks score the pairs.

    Results: see :func:`~.ijb_protocol.evaluate_ijb`. With more than one
    variant its name comes before each: `ijbc/N0D1F1/tar@far=0.0001`. Where
    the protocol has no galleries there is no 1:N.

    Args:
        variants: `'N1D1F1'` and the like; see
            :class:`~mmdense.recognition.functional.templates.TemplateVariant`.
        fars: False accept rates of 1:1.
        ranks: How many of the best to look at in 1:N.
        fpirs: False positive identification rates of 1:N.
        device: Where to search galleries; None: the accelerator, if any.
        save_embeddings: `.npy` file to write the embeddings to, (N, V, d),
            for `tools/analysis_tools/eval_ijb.py --embeddings`.
        collect_device: As in mmengine; not used.
        prefix: As in mmengine; None: the name of the protocol, `'ijbc'`.

    Attributes:
        results_of: After `evaluate`, on rank 0, by variant, an
            :class:`~.ijb_protocol.IJBResult`.
        issame: Then (P,) bool, the answers of the pairs.
    """

    def __init__(
        self,
        variants: Sequence[str] = ('N1D1F1',),
        fars: Sequence[float] = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1),
        ranks: Sequence[int] = (1, 5, 10),
        fpirs: Sequence[float] = (1e-1, 1e-2),
        device: str | None = None,
        save_embeddings: str | None = None,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        # mmengine warns of a metric without one.
        super().__init__(collect_device, prefix or 'ijb')
        self._named = prefix is not None
        self.variants = [TemplateVariant.parse(name) for name in variants]
        if not self.variants:
            raise ValueError("variants is empty, expected 'N1D1F1' or others")
        self.fars, self.ranks, self.fpirs = fars, ranks, fpirs
        self.device = device
        self.save_embeddings = save_embeddings
        self.results_of: dict[str, IJBResult] = {}
        self.issame: np.ndarray | None = None
        self._embeddings = RankEmbeddings(type(self).__name__)

    def process(self, data_batch, data_samples: Sequence[dict]) -> None:
        """Keep the embedding of each sample.

        Args:
            data_batch: Ignored.
            data_samples: Each with `embedding`, (d,), and `sample_idx`.

        Raises:
            KeyError: A sample lacks one of them.
        """
        self._embeddings.add(data_samples, labelled=False)

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Not used: :meth:`evaluate` gathers for itself."""
        raise NotImplementedError

    def evaluate(self, size: int) -> dict[str, float]:
        """Evaluate all variants.

        Args:
            size: Samples in the data set.

        Raises:
            ValueError: The data set is no IJB, samples are missing, an
                embedding is not finite, or a variant asks for mirror images
                that were not embedded; on all ranks.
        """
        meta = self.dataset_meta or {}
        if 'ijb_meta' not in meta:
            raise ValueError(
                "IJBMetric needs 'ijb_meta' and 'ijb_name' in the metainfo of "
                f'the data set, got {sorted(meta)}; mmdense.IJBImages has them'
            )
        name, num_views = meta['ijb_name'], meta['num_views']
        indices, rows, _ = self._embeddings.take(size)
        device = torch.device(self.device or get_device())
        whole = rows_on_rank_0(indices, rows, size, collective_device(device))
        del rows
        views = None if whole is None else whole.unflatten(0, (num_views, -1))
        protocol = on_rank_0(lambda: self._open(meta, views))
        self.results_of, rows_of = {}, {}
        self.issame = protocol and protocol.pairs.issame
        for variant in self.variants:
            result = evaluate_ijb(
                views,
                protocol,
                variant,
                self.fars,
                self.ranks,
                self.fpirs,
                device,
            )
            if result is not None:
                self.results_of[str(variant)] = result
                rows_of[str(variant)] = result.metrics
        if rows_of:
            MMLogger.get_current_instance().info(
                f'{name}, 1:1 (TAR@FAR) and 1:N\n' + ijb_tables(rows_of)
            )
        rows_of = object_of_rank_0(rows_of)
        prefix = self.prefix if self._named else name
        many = len(self.variants) > 1
        return {
            f'{prefix}/{variant}/{key}' if many else f'{prefix}/{key}': value
            for variant, row in rows_of.items()
            for key, value in row.items()
        }

    def _open(self, meta: dict, views: Tensor) -> IJBProtocol:
        """What rank 0 needs beside the embeddings."""
        if self.save_embeddings is not None:
            path = Path(self.save_embeddings)
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open('wb') as file:
                np.save(file, views.transpose(0, 1).numpy())
        return IJBProtocol(meta['ijb_meta'], meta['ijb_name'])


def ijb_tables(rows: dict[str, dict[str, float]]) -> str:
    """The results of variants in percent, a table for each kind of figure.

    Args:
        rows: The metrics of each variant.
    """
    kinds = (('tar@', 'auc'), ('tar_nearest@',), ('rank-', 'tpir@'))
    tables = []
    for kind in kinds:
        part = {
            name: {k: v for k, v in row.items() if k.startswith(kind)}
            for name, row in rows.items()
        }
        if all(part.values()):
            tables.append(results_table(part, 'variant'))
    return '\n'.join(tables)
