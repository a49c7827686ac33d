"""Verification of pairs, as a metric of mmengine."""

import io
from collections.abc import Sequence

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger
from rich.console import Console
from rich.table import Table

from mmdense.distributed.collectives import raise_on_all_ranks
from mmdense.recognition.functional.verification import (
    roc_curve,
    tar_at_far,
    verify_pairs,
)
from mmdense.registry import METRICS


@METRICS.register_module()
class VerificationMetric(BaseMetric):
    """10-fold accuracy and TAR at FAR over the pairs of the data set.

    The data set names the pairs in its metainfo: `pairs`, (P, 2) sample
    indices; `issame`, (P,) bool; `fold`, (P,) int. Each sample is embedded
    once; a pair is scored by the cosine of its embeddings.

    Results: `accuracy` and `accuracy_std` (LFW protocol; see
    :func:`~mmdense.recognition.functional.verification.verify_pairs`) and
    `tar@far=X` for each X of `fars`, all shares in [0, 1].

    Args:
        fars: False accept rates at which the true accept rate is reported.
        num_hardest: How many of the worst judged pairs of each kind to keep
            for pictures.
        collect_device: As in mmengine.
        prefix: As in mmengine.

    Attributes:
        details: After `evaluate`, on rank 0: `scores` (P,), `issame` (P,),
            `fars` and `tars` of the ROC, and `hardest_genuine` and
            `hardest_impostor`, pair numbers, the worst judged first.
    """

    default_prefix = 'verification'

    def __init__(
        self,
        fars: Sequence[float] = (1e-2, 1e-3),
        num_hardest: int = 12,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device, prefix)
        self.fars = tuple(fars)
        self.num_hardest = num_hardest
        self.details: dict[str, np.ndarray] = {}
        self._error: Exception | None = None

    def process(self, data_batch, data_samples: Sequence[dict]) -> None:
        """Keep the embedding of each sample.

        Args:
            data_batch: Ignored.
            data_samples: Each with `embedding`, (d,), and `sample_idx`.

        Raises:
            KeyError: A sample lacks one of them.
        """
        for sample in data_samples:
            for key in ('embedding', 'sample_idx'):
                if key not in sample:
                    raise KeyError(
                        f'VerificationMetric needs {key!r} in each data '
                        f'sample, got {sorted(sample)}; embedding comes from '
                        "PartialFCHead.predict, sample_idx from PackInputs' "
                        'meta_keys'
                    )
            embedding = sample['embedding'].detach().float().cpu()
            self.results.append((int(sample['sample_idx']), embedding))

    def evaluate(self, size: int) -> dict[str, float]:
        """As in mmengine, but what fails on rank 0 raises on all ranks.

        mmengine computes on rank 0 and broadcasts, where the others would
        wait for a rank that has raised.
        """
        self._error = None
        metrics = super().evaluate(size)
        raise_on_all_ranks(self._error)
        return metrics

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Score all pairs, on rank 0; errors wait for :meth:`evaluate`."""
        try:
            return self._score(results)
        except Exception as error:
            self._error = error
            return {}

    def _score(self, results: list) -> dict[str, float]:
        """Score all pairs, on rank 0.

        Raises:
            ValueError: The data set names no pairs, or samples are missing.
        """
        meta = self.dataset_meta or {}
        if any(key not in meta for key in ('pairs', 'issame', 'fold')):
            raise ValueError(
                "VerificationMetric needs 'pairs', 'issame' and 'fold' in the "
                f'metainfo of the data set, got {sorted(meta)}; '
                "mmdense.GlyphIdentities has them with split='unseen'"
            )
        pairs = np.asarray(meta['pairs'], dtype=np.int64).reshape(-1, 2)
        issame = np.asarray(meta['issame'], dtype=bool)
        row_of = {index: row for row, (index, _) in enumerate(results)}
        missing = [i for i in np.unique(pairs).tolist() if i not in row_of]
        if missing:
            raise ValueError(
                f'{len(missing)} samples named by the pairs were not '
                f'evaluated, sample {missing[0]} for instance; the loader '
                'must visit the whole data set'
            )
        unit = torch.nn.functional.normalize(
            torch.stack([embedding for _, embedding in results]).double()
        ).numpy()
        left, right = (
            unit[[row_of[i] for i in column]] for column in pairs.T.tolist()
        )
        # Rounding must not take identical samples below distance 0.
        scores = (left * right).sum(axis=1).clip(-1, 1)

        accuracy = verify_pairs(2 - 2 * scores, issame, meta['fold'])
        metrics = dict(
            accuracy=accuracy.accuracy, accuracy_std=accuracy.accuracy_std
        )
        for far in self.fars:
            metrics[f'tar@far={far:g}'] = tar_at_far(scores, issame, far)
        fars, tars = roc_curve(scores, issame)
        genuine, impostor = np.flatnonzero(issame), np.flatnonzero(~issame)
        self.details = dict(
            scores=scores,
            issame=issame,
            fars=fars,
            tars=tars,
            hardest_genuine=genuine[np.argsort(scores[genuine])][
                : self.num_hardest
            ],
            hardest_impostor=impostor[np.argsort(-scores[impostor])][
                : self.num_hardest
            ],
        )
        MMLogger.get_current_instance().info(
            f'{len(pairs)} pairs, {int(issame.sum())} genuine\n'
            + _table(metrics, len(accuracy.fold_accuracies))
        )
        return metrics


def _table(metrics: dict[str, float], num_folds: int) -> str:
    """The results in percent, as a table of one row."""
    table = Table()
    row = []
    for name, value in metrics.items():
        if name == 'accuracy_std':
            row[-1] += f' (std {100 * value:.2f})'
            continue
        if name == 'accuracy':
            name = f'accuracy ({num_folds} folds)'
        table.add_column(name.upper() if '@' in name else name)
        row.append(f'{100 * value:.2f} %')
    table.add_row(*row)
    text = io.StringIO()
    Console(file=text, width=100).print(table)
    return text.getvalue().rstrip()
