import pytest

from mmdense.densepose.synthetic.sample import Sample, make_sample
from mmdense.densepose.synthetic.studio import Studio

SIZE = 192


@pytest.fixture(scope='session')
def studio() -> Studio:
    return Studio()


@pytest.fixture(scope='session')
def samples(studio) -> list[Sample]:
    """Small images, some with occlusion and people cut off."""
    return [make_sample(studio, 5, index, SIZE) for index in range(6)]
