"""Skin weights and the far ends of bones."""

from collections.abc import Callable, Sequence

import numpy as np


def four_weights(
    weights: np.ndarray, bone_mirror: np.ndarray, middle: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The four largest skin weights, as shares of 65535 that add up to it.

    A vertex in the plane of symmetry must weigh both sides alike: of a pair
    of bones it takes both or none.
    """
    weights = weights.copy()
    image = weights[:, bone_mirror]
    weights[middle] = (weights[middle] + image[middle]) / 2
    bones = np.argsort(-weights, axis=1, kind='stable')[:, :4]
    for row in np.flatnonzero(middle):
        chosen: list[int] = []
        for bone in np.argsort(-weights[row], kind='stable').tolist():
            group = sorted({bone, int(bone_mirror[bone])})
            if bone not in chosen and len(chosen) + len(group) <= 4:
                chosen += group
        bones[row] = chosen
    kept = np.take_along_axis(weights, bones, axis=1)
    kept /= kept.sum(1, keepdims=True)
    counts = np.rint(kept * 65535).astype(np.int64)
    counts[np.arange(len(counts)), counts.argmax(1)] += 65535 - counts.sum(1)
    for row in np.flatnonzero(middle):
        own = [
            k for k in range(4) if bone_mirror[bones[row, k]] == bones[row, k]
        ]
        counts[row] = np.rint(kept[row] * 65535)
        counts[row, own[0]] += 65535 - counts[row].sum()
    return bones, counts


def bone_tails(
    names: Sequence[str], parents: np.ndarray, weights: np.ndarray
) -> Callable[..., np.ndarray]:
    """How the far ends of the bones follow from joints and vertices.

    The tail of a bone is the head of its children (their mean; of a bone of
    the spine, the next one up). The last bone of a chain reaches as far
    beyond the center of its vertices as that is from its head.

    Returns:
        A function of bone heads (J, 3) and vertices (V, 3); it is linear, so
        it serves displacements as well.
    """
    children = [np.flatnonzero(parents == j) for j in range(len(names))]
    for j, below in enumerate(children):
        spine = [c for c in below if names[c].startswith(('spine', 'neck'))]
        if spine:
            children[j] = np.array(spine)
    share = weights / np.maximum(weights.sum(0), 1e-12)

    def tails(heads: np.ndarray, vertices: np.ndarray) -> np.ndarray:
        centers = share.T @ vertices
        return np.stack(
            [
                heads[below].mean(0) if len(below) else 2 * center - head
                for below, center, head in zip(
                    children, centers, heads, strict=True
                )
            ]
        )

    return tails
