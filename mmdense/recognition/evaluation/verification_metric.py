"""Verification of pairs, as a metric of mmengine."""

from collections.abc import Sequence

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger
from numpy.typing import NDArray

from mmdense.distributed.collectives import raise_on_all_ranks
from mmdense.recognition.functional.validation_rate import validation_rate
from mmdense.recognition.functional.verification import (
    roc_curve,
    tar_at_far,
    verify_pairs,
)
from mmdense.registry import METRICS

from .table import results_table


@METRICS.register_module()
class VerificationMetric(BaseMetric):
    """10-fold accuracy and TAR at FAR over the pairs of the data set.

    The data set names the pairs in its metainfo: `pairs`, (P, 2) image
    numbers; `issame`, (P,) bool; `fold`, (P,) int. A pair is scored by the
    cosine of its embeddings. Each sample is an image, unless the metainfo
    has `num_images`, N, and `num_views`, V: then there are V N samples,
    sample i is a view of image i % N, and the embedding of an image is the
    sum over its views. See :class:`mmdense.VerificationPacks`.

    Results: `accuracy` and `accuracy_std` (LFW protocol; see
    :func:`~mmdense.recognition.functional.verification.verify_pairs`),
    `tar@far=X` for each X of `fars`, `val@far=X`, `val_std@far=X` for each X
    of `val_fars`, all shares in [0, 1], and `xnorm`, the mean norm of the
    embeddings of all views, before they are added.

    If the metainfo has `packs`, names, and `pack`, (P,) numbers of them,
    each pack is evaluated by itself: its results are `lfw/accuracy` and so
    on, and `verification/accuracy` is the mean over packs, for `save_best`.

    Args:
        fars: False accept rates at which the true accept rate is reported.
        val_fars: Those at which the validation rate over folds is reported.
        num_hardest: How many of the worst judged pairs of each kind to keep
            for pictures.
        collect_device: As in mmengine.
        prefix: As in mmengine; not of the results of named packs.

    Attributes:
        details: After `evaluate`, on rank 0, by the name of the pack, or ''
            where they have none: `pairs` (P, 2), `scores` (P,), `issame`
            (P,), `fars` and `tars` of the ROC, and `hardest_genuine` and
            `hardest_impostor`, pair numbers, the worst judged first.
    """

    default_prefix = 'verification'

    def __init__(
        self,
        fars: Sequence[float] = (1e-2, 1e-3),
        val_fars: Sequence[float] = (),
        num_hardest: int = 12,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device, prefix)
        self.fars, self.val_fars = tuple(fars), tuple(val_fars)
        self.num_hardest = num_hardest
        self.details: dict[str, dict[str, np.ndarray]] = {}
        self._error: Exception | None = None

    def process(self, data_batch, data_samples: Sequence[dict]) -> None:
        """Keep the embedding of each sample.

        Args:
            data_batch: Ignored.
            data_samples: Each with `embedding`, (d,), and `sample_idx`; with
                `embedding_norm` if the embedding is a sum already.

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
            embedding = sample['embedding'].detach().float().cpu().numpy()
            norm = sample.get('embedding_norm')
            if norm is None:
                norm = np.linalg.norm(embedding.astype(np.float64))
            self.results.append(
                (int(sample['sample_idx']), embedding, float(norm))
            )

    def evaluate(self, size: int) -> dict[str, float]:
        """As in mmengine, but what fails on rank 0 raises on all ranks.

        mmengine computes on rank 0 and broadcasts, where the others would
        wait for a rank that has raised.
        """
        self._error = None
        metrics = super().evaluate(size)
        raise_on_all_ranks(self._error)
        # The name of a pack is all the prefix its results need.
        names = (self.dataset_meta or {}).get('packs', ())
        heads = tuple(f'{self.prefix}/{name}/' for name in names)
        return {
            key.removeprefix(f'{self.prefix}/')
            if key.startswith(heads)
            else key: value
            for key, value in metrics.items()
        }

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
                'mmdense.VerificationPacks and mmdense.GlyphIdentities '
                "(split='unseen') have them"
            )
        pairs = np.asarray(meta['pairs'], dtype=np.int64).reshape(-1, 2)
        issame = np.asarray(meta['issame'], dtype=bool)
        fold = np.asarray(meta['fold'])
        names = meta.get('packs', ('',))
        pack = np.asarray(meta.get('pack', np.zeros(len(pairs), np.int64)))

        self.details = {}
        rows = {}
        for number, name in enumerate(names):
            mine = pack == number
            try:
                images, places = np.unique(pairs[mine], return_inverse=True)
                unit, xnorm = _sum_views(
                    results,
                    images,
                    meta.get('num_images', 0),
                    meta.get('num_views', 1),
                )
                rows[name] = self._evaluate_pack(
                    unit,
                    places.reshape(-1, 2),
                    pairs[mine],
                    issame[mine],
                    fold[mine],
                    name,
                )
            except ValueError as error:
                raise ValueError(
                    f'{name}: {error}' if name else error
                ) from error
            rows[name]['xnorm'] = xnorm
        MMLogger.get_current_instance().info(
            f'{len(pairs)} pairs, {int(issame.sum())} genuine\n'
            + results_table(rows)
        )
        if 'packs' not in meta:
            return rows['']
        metrics = {
            f'{name}/{key}': value
            for name, row in rows.items()
            for key, value in row.items()
        }
        accuracies = [row['accuracy'] for row in rows.values()]
        return {**metrics, 'accuracy': float(np.mean(accuracies))}

    def _evaluate_pack(
        self,
        unit: NDArray[np.float64],
        places: NDArray[np.int64],
        pairs: NDArray[np.int64],
        issame: NDArray[np.bool_],
        fold: NDArray,
        name: str,
    ) -> dict[str, float]:
        """The figures of the pairs of one pack; also sets `details`.

        Args:
            unit: (n, d) embeddings of length 1.
            places: (P, 2) rows of `unit`.
            pairs: (P, 2) image numbers.
            issame: (P,).
            fold: (P,).
            name: Of the pack, '' for none.
        """
        left, right = unit[places[:, 0]], unit[places[:, 1]]
        # Rounding must not take identical samples below distance 0.
        scores = (left * right).sum(axis=1).clip(-1, 1)
        distances = 2 - 2 * scores
        accuracy = verify_pairs(distances, issame, fold)
        metrics = dict(
            accuracy=accuracy.accuracy, accuracy_std=accuracy.accuracy_std
        )
        for far in self.fars:
            metrics[f'tar@far={far:g}'] = tar_at_far(scores, issame, far)
        for far in self.val_fars:
            val = validation_rate(distances, issame, fold, far)
            metrics[f'val@far={far:g}'] = val.rate
            metrics[f'val_std@far={far:g}'] = val.rate_std
        fars, tars = roc_curve(scores, issame)
        genuine, impostor = np.flatnonzero(issame), np.flatnonzero(~issame)
        self.details[name] = dict(
            pairs=pairs,
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
        return metrics


def _sum_views(
    results: list, images: NDArray[np.int64], num_images: int, num_views: int
) -> tuple[NDArray[np.float64], float]:
    """The embeddings of images, of length 1, and the mean norm of views.

    Args:
        results: Sample number, embedding and norm of each sample.
        images: (n,) numbers.
        num_images: N.
        num_views: V; view v of image i is sample i + v N.

    Returns:
        (n, d), and the mean over all n V views.
    """
    row_of = {index: row for row, (index, *_) in enumerate(results)}
    samples = images + num_images * np.arange(num_views)[:, None]
    missing = [i for i in samples.ravel().tolist() if i not in row_of]
    if missing:
        raise ValueError(
            f'{len(missing)} samples named by the pairs were not evaluated, '
            f'sample {missing[0]} for instance; the loader must visit the '
            'whole data set'
        )
    total = np.zeros((len(images), len(results[0][1]))) if results else 0
    norms = np.zeros(samples.shape)
    for view, indices in enumerate(samples.tolist()):
        rows = [results[row_of[index]] for index in indices]
        if rows:
            total += np.stack([embedding for _, embedding, _ in rows])
        norms[view] = [norm for _, _, norm in rows]
    length = np.linalg.norm(total, axis=1, keepdims=True)
    return total / np.maximum(length, 1e-12), norms.sum() / max(norms.size, 1)
