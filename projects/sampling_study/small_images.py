"""Small grey images in memory, batched by indexing one array."""

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch
from mmengine.registry import DATASETS as BUILDER
from mmengine.registry import FUNCTIONS
from mmpretrain.structures import DataSample
from torch import Tensor
from torch.nn.functional import interpolate, pad
from torch.utils.data import Dataset

from mmdense.registry import DATASETS


@FUNCTIONS.register_module()
def as_is(batch: dict) -> dict:
    """Collate what is a batch already."""
    return batch


@DATASETS.register_module()
class SmallImages(Dataset):
    """The first channel of another data set's images, shrunk and kept.

    Loading an image at a time would take half of the time of a training
    this small. Here a batch is one indexing operation; it needs
    `collate_fn=dict(type='as_is')` and `num_workers=0`.

    Args:
        dataset: Config of the data set; its pipeline ends with `PackInputs`.
        size: Height and width to shrink to.
        padding: Zeros around an image (glyphs stand on ground 0), of which a
            crop of `size` is taken at random, a new one each time. 0 gives
            the whole image.
    """

    def __init__(self, dataset: dict, size: int, padding: int = 0) -> None:
        self._config = json.dumps(dataset, sort_keys=True)
        self.size = size
        self.padding = padding

    @property
    def metainfo(self) -> dict:
        """That of the data set."""
        return _load(self._config, self.size)[2]

    def full_init(self) -> None:
        """Load and shrink all images."""
        images, self._samples, _ = _load(self._config, self.size)
        self._images = pad(images, [self.padding] * 4)

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> Any:
        """A batch of one."""
        return self.__getitems__([index])

    def __getitems__(self, indices: Sequence[int]) -> dict:
        """A batch: `inputs` uint8 `(B, 1, size, size)` and `data_samples`."""
        rows = torch.as_tensor(indices)
        windows = self._images.unfold(1, self.size, 1).unfold(2, self.size, 1)
        top, left = torch.randint(2 * self.padding + 1, (2, len(rows)))
        return dict(
            inputs=windows[rows, top, left][:, None],
            data_samples=[self._samples[i] for i in indices],
        )


@lru_cache(maxsize=6)  # for the next cells of a worker; 60 MB each
def _load(config: str, size: int) -> tuple[Tensor, list[DataSample], dict]:
    """All images uint8 `(N, size, size)`, samples and metainfo."""
    dataset = BUILDER.build(json.loads(config))
    dataset.full_init()
    images, samples = [], []
    for i in range(len(dataset)):
        item = dataset[i]
        images.append(item['inputs'][0])
        sample = DataSample(
            metainfo=dict(sample_idx=item['data_samples'].sample_idx)
        )
        sample.set_gt_label(item['data_samples'].gt_label)
        samples.append(sample)
    small = [
        interpolate(
            chunk[:, None].float(),
            (size, size),
            mode='bilinear',
            antialias=True,
        ).round()
        for chunk in torch.stack(images).split(1000)
    ]
    return (
        torch.cat(small)[:, 0].to(torch.uint8),
        samples,
        dict(dataset.metainfo),
    )
