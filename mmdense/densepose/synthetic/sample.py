"""One image with its annotations, a function of the seed and its number."""

from typing import Any, NamedTuple

import numpy as np

from .annotations import annotate
from .render import Rendering, render
from .scene import MAX_PEOPLE, random_scene
from .studio import Studio

#: Of the square of the image's longer side; people of whom less is seen are
#: left out of the scene, so that all who are seen are annotated.
MIN_SEEN = 0.0015


class Sample(NamedTuple):
    """An image and its annotations.

    Attributes:
        rendering: The image, and what is seen where.
        annotations: In the format of DensePose-COCO.
        quality: Of the JPEG file.
    """

    rendering: Rendering
    annotations: list[dict[str, Any]]
    quality: int


def make_sample(
    studio: Studio,
    seed: int,
    index: int,
    size: int = 512,
    max_people: int = MAX_PEOPLE,
) -> Sample:
    """Make image `index` of the data set of a seed.

    Args:
        studio: What images share.
        seed: Of the data set.
        index: Of the image, from 0; its id is one more.
        size: Longer side in pixels.
        max_people: At most so many, 1..6.
    """
    rng = np.random.default_rng([seed, index])
    rendering = None
    while rendering is None:
        scene = random_scene(studio, rng, size, max_people)
        rendering = render(studio, scene, rng, round(MIN_SEEN * size**2))
    annotations = annotate(studio, rendering, rng, index + 1)
    return Sample(rendering, annotations, int(rng.integers(75, 96)))
