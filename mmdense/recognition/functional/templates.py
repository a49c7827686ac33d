"""Templates: what several images of one person say together (IJB).

Whitelam et al., "IARPA Janus Benchmark-B Face Dataset", CVPRW 2017, and Maze
et al., "IARPA Janus Benchmark-C", ICB 2018, for the protocol; how features
are pooled is insightface's, `recognition/arcface_torch/eval_ijbc.py`.
"""

import re
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

# Rows that are in float64 at a time.
_ROWS = 16384


class TemplateVariant(NamedTuple):
    """How the features of images enter a template.

    Attributes:
        keep_norm: Whether their norms stay, which weigh images by quality;
            else each image is scaled to length 1 first.
        detector_score: Whether they are weighted by the face detector's
            confidence.
        flip: Whether the mirror image's embedding is added.
    """

    keep_norm: bool = True
    detector_score: bool = True
    flip: bool = True

    @classmethod
    def parse(cls, name: str) -> 'TemplateVariant':
        """From a name as `'N1D1F1'`: norm kept, detector score, flip.

        The names are those of `eval_ijbc.py`; in insightface's
        `ijb_evals.py` N1 means the opposite.

        Raises:
            ValueError: It is not of that form.
        """
        match = re.fullmatch(r'N([01])D([01])F([01])', name)
        if not match:
            raise ValueError(
                f'got variant {name!r}, expected N, D and F with 0 or 1 each, '
                "'N1D1F1' for instance"
            )
        return cls(*(flag == '1' for flag in match.groups()))

    def __str__(self) -> str:
        return 'N{:d}D{:d}F{:d}'.format(*self)


def media_weights(
    templates: ArrayLike, media: ArrayLike
) -> NDArray[np.float64]:
    """The weight of each image in its template.

    The images of one medium (the frames of a video) are averaged, the media
    of a template added up: an image weighs one over the images of its
    template and medium.

    Args:
        templates: int (N,), template of each image.
        media: int (N,), medium of each image.

    Returns:
        (N,), in (0, 1].

    Raises:
        ValueError: Shapes differ.
    """
    templates, media = np.asarray(templates), np.asarray(media)
    if templates.ndim != 1 or templates.shape != media.shape:
        raise ValueError(
            'templates and media must both have shape (N,), got '
            f'{templates.shape} and {media.shape}'
        )
    _, group, counts = np.unique(
        np.stack([templates, media]),
        axis=1,
        return_inverse=True,
        return_counts=True,
    )
    return 1 / counts[group.ravel()]


def pool_templates(
    views: Tensor,
    places: ArrayLike,
    weights: ArrayLike,
    num_templates: int,
    detector_scores: ArrayLike | None = None,
    variant: TemplateVariant = TemplateVariant(),  # noqa: B008, immutable
) -> Tensor:
    """The feature of each template, of length 1.

    Args:
        views: float32 (V, N, d), embeddings of the images and, with V = 2,
            of their mirror images.
        places: int (N,), number of each image's template, from 0.
        weights: (N,), see :func:`media_weights`.
        num_templates: T.
        detector_scores: (N,), for variants that use them.
        variant: How images enter.

    Returns:
        float64 (T, d); 0 for a template without images.

    Raises:
        ValueError: Shapes do not fit, an embedding is not finite, or the
            variant asks for what is not there.
    """
    if views.ndim != 3 or len(views) not in (1, 2):
        raise ValueError(
            'views must have shape (1, N, d) or (2, N, d), got '
            f'{tuple(views.shape)}'
        )
    if variant.flip and len(views) == 1:
        raise ValueError(
            f'{variant} adds the embeddings of mirror images, but there are '
            'none; embed them too (flip=True), or use F0'
        )
    if variant.detector_score and detector_scores is None:
        raise ValueError(f'{variant} needs detector scores; or use D0')
    index = torch.as_tensor(np.asarray(places, dtype=np.int64))
    factors = torch.as_tensor(np.asarray(weights, dtype=np.float64))
    if len(index) != views.shape[1] or len(factors) != views.shape[1]:
        raise ValueError(
            f'got {views.shape[1]} images, {len(index)} places and '
            f'{len(factors)} weights, expected one each'
        )
    quality = torch.ones(len(index), dtype=views.dtype)
    if variant.detector_score:
        scores = np.asarray(detector_scores, dtype=np.float32)
        quality = torch.from_numpy(scores).to(views.dtype)
    pooled = torch.zeros(num_templates, views.shape[2], dtype=torch.float64)
    for start in range(0, len(index), _ROWS):
        mine = slice(start, start + _ROWS)
        rows = views[:, mine].sum(0) if variant.flip else views[0, mine]
        if not rows.isfinite().all():
            raise ValueError(
                'an embedding is NaN or infinite; look for broken images'
            )
        if not variant.keep_norm:
            rows = torch.nn.functional.normalize(rows)
        rows = (rows * quality[mine, None]).double() * factors[mine, None]
        pooled.index_add_(0, index[mine], rows)
    return torch.nn.functional.normalize(pooled)


def score_pairs(
    features: Tensor, left: NDArray, right: NDArray
) -> NDArray[np.float64]:
    """The cosines of pairs of templates, a slice of them at a time.

    Args:
        features: (T, d), of length 1.
        left: int (P,), rows of `features`.
        right: int (P,).

    Returns:
        (P,).
    """
    scores = np.empty(len(left))
    for start in range(0, len(left), _ROWS):
        mine = slice(start, start + _ROWS)
        first, second = (
            features[torch.from_numpy(side[mine].astype(np.int64))]
            for side in (left, right)
        )
        scores[mine] = (first * second).sum(dim=1).numpy()
    return scores
