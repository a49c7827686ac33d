"""The figures of IJB-B and IJB-C from the embeddings of images."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor

from mmdense.distributed.collectives import (
    gather_objects,
    object_of_rank_0,
    on_rank_0,
    rank,
    world_size,
)
from mmdense.recognition.datasets.ijb_files import (
    IJBImageList,
    IJBPairs,
    IJBSearch,
    read_images,
    read_pairs,
    read_searches,
)
from mmdense.recognition.functional.gallery_search import search_gallery
from mmdense.recognition.functional.identification import Identification
from mmdense.recognition.functional.templates import (
    TemplateVariant,
    media_weights,
    pool_templates,
    score_pairs,
)
from mmdense.recognition.functional.verification import (
    area_under_roc,
    roc_curve,
    tar_at_far,
    tar_nearest_far,
)


class IJBProtocol:
    """What the text files say; ids replaced by row numbers.

    Args:
        meta: Folder of the text files.
        name: `'ijbb'` or `'ijbc'`.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: One is damaged, or names templates without images.
    """

    def __init__(self, meta: str, name: str) -> None:
        self.name = name
        self.images: IJBImageList = read_images(meta, name)
        self.templates, self.places = np.unique(
            self.images.templates, return_inverse=True
        )
        self.weights = media_weights(self.images.templates, self.images.media)
        pairs = read_pairs(meta, name)
        self.pairs = IJBPairs(
            self._rows(pairs.left, 'pairs'),
            self._rows(pairs.right, 'pairs'),
            pairs.issame,
        )
        galleries, probes = read_searches(meta, name)
        self.galleries = {
            key: IJBSearch(self._rows(search.templates, key), search.subjects)
            for key, search in galleries.items()
        }
        self.probes = probes and IJBSearch(
            self._rows(probes.templates, 'probes'), probes.subjects
        )

    def _rows(self, ids: NDArray[np.int64], what: str) -> NDArray[np.int32]:
        rows = np.searchsorted(self.templates, ids)
        rows = np.minimum(rows, len(self.templates) - 1)
        wrong = self.templates[rows] != ids
        if wrong.any():
            raise ValueError(
                f'{self.name}: the {what} name template {ids[wrong][0]}, '
                'which has no images; the text files are of different releases'
            )
        return rows.astype(np.int32)


@dataclass
class IJBResult:
    """The figures of one variant.

    Attributes:
        metrics: By name, shares in [0, 1].
        scores: (P,) of the pairs.
        fars: (K,) false accept rates of the ROC's corners.
        tars: (K,) true accept rates.
        searches: The outcome of each gallery, by its name.
    """

    metrics: dict[str, float]
    scores: NDArray[np.float64] = field(repr=False)
    fars: NDArray[np.float64] = field(repr=False)
    tars: NDArray[np.float64] = field(repr=False)
    searches: dict[str, Identification] = field(repr=False)


def evaluate_ijb(
    views: Tensor | None,
    protocol: IJBProtocol | None,
    variant: TemplateVariant,
    fars: Sequence[float],
    ranks: Sequence[int],
    fpirs: Sequence[float],
    device: torch.device | str = 'cpu',
) -> IJBResult | None:
    """Evaluate 1:1 and, where the protocol has galleries, 1:N.

    Templates are pooled on rank 0; pairs are scored and galleries searched
    by all ranks, which must all call this.

    Args:
        views: On rank 0 float32 (V, N, d), embeddings of the images and,
            with V = 2, of their mirror images; else None.
        protocol: On rank 0; else None.
        variant: How images enter their templates.
        fars: False accept rates of 1:1.
        ranks: How many of the best to look at in 1:N.
        fpirs: False positive identification rates of 1:N.
        device: Where to search the galleries.

    Returns:
        The result on rank 0, None on others. In its metrics,
        `tar@far=X`: the true accept rate at a false accept rate of at most X;
        `tar_nearest@far=X`: at the corner of the ROC nearest to X, as
        published figures have it; `auc`; `rank-K`: over the probes of all
        galleries; `tpir@fpir=X`: mean over galleries.

    Raises:
        ValueError: See :func:`~.templates.pool_templates`; on all ranks.
    """
    features = on_rank_0(lambda: _pool(views, protocol, variant))
    features, pairs, galleries, probes = object_of_rank_0(
        None
        if rank()
        else (
            features,
            (protocol.pairs.left, protocol.pairs.right),
            protocol.galleries,
            protocol.probes,
        )
    )
    share = slice(
        len(pairs[0]) * rank() // world_size(),
        len(pairs[0]) * (rank() + 1) // world_size(),
    )
    scores = score_pairs(features, pairs[0][share], pairs[1][share])
    scores = np.concatenate(gather_objects(scores))
    searches = {
        name: _search(features, gallery, probes, device)
        for name, gallery in galleries.items()
    }
    return on_rank_0(
        lambda: _figures(scores, protocol, searches, fars, ranks, fpirs)
    )


def rows_on_rank_0(
    indices: NDArray[np.int64], rows: Tensor, size: int, device: torch.device
) -> Tensor | None:
    """Put the rows of all ranks together on rank 0.

    Args:
        indices: (n,) places of the rows of this rank.
        rows: (n, d).
        size: N, the rows of all ranks.
        device: Where the backend of the process group takes tensors.

    Returns:
        (N, d) on rank 0, None on others.
    """
    everyone = gather_objects(indices)
    if rank() == 0:
        whole = torch.empty(size, rows.shape[1])
        whole[indices] = rows
        del rows
    chunk = 65536
    for source in range(1, world_size()):
        for start in range(0, len(everyone[source]), chunk):
            places = everyone[source][start : start + chunk]
            if rank() == source:
                part = rows[start : start + chunk].contiguous()
                dist.send(part.to(device), 0)
            elif rank() == 0:
                part = torch.empty(len(places), whole.shape[1], device=device)
                dist.recv(part, source)
                whole[places] = part.cpu()
    return whole if rank() == 0 else None


def _pool(
    views: Tensor, protocol: IJBProtocol, variant: TemplateVariant
) -> Tensor:
    if views.shape[1] != len(protocol.images.names):
        raise ValueError(
            f'got embeddings of {views.shape[1]} images, but '
            f'{protocol.name} has {len(protocol.images.names)}'
        )
    return pool_templates(
        views,
        protocol.places,
        protocol.weights,
        len(protocol.templates),
        protocol.images.detector_scores,
        variant,
    )


def _search(
    features: Tensor,
    gallery: IJBSearch,
    probes: IJBSearch,
    device: torch.device | str,
) -> Identification:
    """All probes in one gallery, both dealt to the ranks."""
    parts = []
    for search in (probes, gallery):
        mine = slice(rank(), None, world_size())
        rows = torch.from_numpy(search.templates[mine].astype(np.int64))
        subjects = torch.from_numpy(search.subjects[mine])
        parts += [features[rows].float(), subjects]
    return search_gallery(*parts, device=device)


def _figures(
    scores: NDArray[np.float64],
    protocol: IJBProtocol,
    searches: dict[str, Identification],
    fars: Sequence[float],
    ranks: Sequence[int],
    fpirs: Sequence[float],
) -> IJBResult:
    issame = protocol.pairs.issame
    curve = roc_curve(scores, issame, corners=True)
    metrics = {f'tar@far={far:g}': tar_at_far(scores, issame, far)
               for far in fars}  # fmt: skip
    for far in fars:
        metrics[f'tar_nearest@far={far:g}'] = tar_nearest_far(*curve, far)
    metrics['auc'] = area_under_roc(*curve)
    if searches:
        found = list(searches.values())
        first = np.concatenate([one.rank[one.mated] for one in found])
        for k in ranks:
            metrics[f'rank-{k}'] = float(np.mean(first <= k))
        open_set = [one.tpir(fpirs) for one in found if not one.mated.all()]
        for number, fpir in enumerate(fpirs if open_set else ()):
            rates = [rates[number] for rates in open_set]
            metrics[f'tpir@fpir={fpir:g}'] = float(np.mean(rates))
    return IJBResult(metrics, scores, *curve, searches)
