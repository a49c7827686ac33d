"""Verification packs (LFW, CFP-FP, AgeDB-30 ...) as one data set."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mmcv
import numpy as np
from mmpretrain.datasets import BaseDataset

from mmdense.registry import DATASETS

from .pack_file import read_pack


@DATASETS.register_module()
class VerificationPacks(BaseDataset):
    """The images of one or more `.bin` packs, with their pairs.

    `mmdense.VerificationMetric` gives the figures of each pack under its
    name, the file's without `.bin`: `lfw/accuracy`, `cfp_fp/accuracy` ...

    A sample has `img` (uint8 (H, W, 3), BGR, as decoded), `img_shape`,
    `ori_shape`, `img_path` (a readable key, `lfw.bin/17`; there is no such
    file), `sample_idx` and, if `flip`, `flip` and `flip_direction`.

    `metainfo` is complete after `full_init`: `pairs` (P, 2), image numbers;
    `issame` (P,); `fold` (P,), consecutive in each pack, the first ones a
    pair longer where they are uneven, as the field has them; `pack` (P,),
    number of a pair's pack, and `packs`, their names; `num_images`, N, and
    `num_views`, 2 if `flip`, else 1. Sample i is a view of image i % N.

    The encoded images are kept once, in one array that the workers of a
    loader share when they are forked.

    Args:
        packs: Files, relative to `data_root`, of different names.
        flip: Also give each image mirrored, as samples N to 2 N - 1. The
            metric adds the embeddings of the two views, which is what
            published figures do.
        num_folds: Folds of each pack.
        pipeline: Transforms, as in mmpretrain.
        data_root: Folder of the files.
        **kwargs: Of mmpretrain's `BaseDataset`, but for `ann_file` and
            `data_prefix`.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: No file or two of one name, a file is damaged or holds
            fewer pairs than folds, or names something a pack does not need.
    """

    def __init__(
        self,
        packs: str | Sequence[str],
        flip: bool = False,
        num_folds: int = 10,
        pipeline: Sequence = (),
        data_root: str = '',
        **kwargs: Any,
    ) -> None:
        self.packs = [packs] if isinstance(packs, str) else list(packs)
        names = [Path(pack).stem for pack in self.packs]
        if not names or len(set(names)) < len(names):
            raise ValueError(
                f'packs must be one or more files of different names, got '
                f'{self.packs}'
            )
        if num_folds < 2:
            raise ValueError(f'num_folds must be at least 2, got {num_folds}')
        self.flip, self.num_folds = flip, num_folds
        super().__init__(
            ann_file='', data_root=data_root, pipeline=pipeline, **kwargs
        )

    def load_data_list(self) -> list[dict]:
        """One dict per sample; the image is its number."""
        samples: list[dict] = []
        images: list[bytes] = []
        pairs: dict[str, list] = {'issame': [], 'fold': [], 'pack': []}
        for number, name in enumerate(self.packs):
            path = Path(self.data_root, name)
            pack = read_pack(path)
            count = len(pack.issame)
            if count < self.num_folds:
                raise ValueError(
                    f'{path} holds {count} pairs, too few for num_folds='
                    f'{self.num_folds}; lower num_folds'
                )
            pairs['issame'].append(pack.issame)
            pairs['fold'].append(consecutive_folds(count, self.num_folds))
            pairs['pack'].append(np.full(count, number))
            samples += [
                dict(image=len(images) + i, img_path=f'{path}/{i}')
                for i in range(len(pack.images))
            ]
            images += pack.images
        sizes = np.fromiter(map(len, images), np.int64, len(images))
        self._ends = np.cumsum(sizes)
        self._bytes = np.frombuffer(b''.join(images), np.uint8)
        self._metainfo.update(
            {key: np.concatenate(value) for key, value in pairs.items()},
            pairs=np.arange(len(images)).reshape(-1, 2),
            packs=tuple(Path(pack).stem for pack in self.packs),
            num_images=len(images),
            num_views=1 + self.flip,
        )
        if self.flip:
            mirrored = dict(flip=True, flip_direction='horizontal')
            samples = [
                *(dict(sample, flip=False) for sample in samples),
                *(dict(sample, **mirrored) for sample in samples),
            ]
        return samples

    def prepare_data(self, idx: int) -> Any:
        """Decode the image of a sample and run the pipeline on it.

        Raises:
            ValueError: It cannot be decoded.
        """
        info = self.get_data_info(idx)
        number = info.pop('image')
        start = self._ends[number - 1] if number else 0
        size = self._ends[number] - start
        image = None
        if size:
            image = mmcv.imfrombytes(self._bytes[start : start + size])
        if image is None:
            raise ValueError(
                f'{info["img_path"]}: the {size} bytes of this '
                'image cannot be decoded; the pack is damaged, so copy or '
                'download it again'
            )
        info['img'] = image[:, ::-1].copy() if info.get('flip') else image
        info['img_shape'] = info['ori_shape'] = image.shape[:2]
        return self.pipeline(info)

    def extra_repr(self) -> list[str]:
        """The lines of the representation that are ours."""
        return [
            f'Packs: \t{", ".join(self.packs)}',
            f'Mirrored images: \t{"yes" if self.flip else "no"}',
        ]


def consecutive_folds(num_pairs: int, num_folds: int) -> np.ndarray:
    """(num_pairs,) the fold of each pair, sizes as even as can be.

    The first folds are the longer ones, as in scikit-learn's unshuffled
    `KFold`, by which the field's figures are made.
    """
    parts = np.array_split(np.arange(num_pairs), num_folds)
    return np.repeat(np.arange(num_folds), [len(part) for part in parts])
