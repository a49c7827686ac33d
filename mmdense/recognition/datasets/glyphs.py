"""A Unicode ideograph is an identity, a font face is a capture."""

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmpretrain.datasets import BaseDataset

from mmdense.registry import DATASETS

from .glyph_file import SPLITS, read_glyph_file, unpack_image
from .pairs import make_pairs

VENDORED = Path(__file__).parents[1] / 'assets' / 'glyphs.npz'
_PAIR_KEYS = ('pairs', 'issame', 'fold')


@DATASETS.register_module()
class GlyphIdentities(BaseDataset):
    """Glyph images for recognition, with verification pairs.

    A sample has `img` (uint8 `(size, size, 3)`, ink 255 on ground 0, the three
    channels equal, because RandomErasing, ColorJitter and RandAugment fail on
    one channel), `img_shape`, `ori_shape`, `gt_label`, `face`, `img_path` (a
    readable key, `U+4E00/NotoSansCJKjp-Regular`; there is no such file) and
    `sample_idx`.

    `metainfo` has `classes` (`U+4E00`, by label), `faces` and `families` (one
    entry per face in use) and, for the split `unseen`, `pairs`, `issame` and
    `fold` as in :class:`~.pairs.VerificationPairs`; both samples of a pair
    are of different families. It is complete after `full_init`.

    Images stay packed in one array, 2 bits per pixel, which the workers of a
    data loader share when they are forked.

    Args:
        data_file: A file of `tools/dataset_converters/glyphs.py`; None: the
            set that ships with the package. Relative to `data_root`.
        split: `train` or `unseen`; they have no identity in common. Labels
            are contiguous within a split.
        faces: Keep images of these faces only.
        families: Keep images of these families only; all faces of a design
            are in one family, so that families held out are new designs.
        num_pairs: Pairs of the split `unseen`, a multiple of 20; 0: none.
        pair_seed: Seed of the pairs.
        pipeline: Transforms, as in mmpretrain.
        data_root: Folder of `data_file`.
        **kwargs: Of mmpretrain's `BaseDataset`, but for `ann_file` and
            `data_prefix`: there are no other files.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is damaged, a split, face or family is not in
            it, nothing is left, or there are too few identities for the
            pairs.
    """

    def __init__(
        self,
        data_file: str | Path | None = None,
        split: str = 'train',
        faces: str | Sequence[str] | None = None,
        families: str | Sequence[str] | None = None,
        num_pairs: int = 12000,
        pair_seed: int = 0,
        pipeline: Sequence = (),
        data_root: str = '',
        **kwargs: Any,
    ) -> None:
        if split not in SPLITS:
            raise ValueError(_unknown('split', split, SPLITS))
        self.split = split
        self.faces = [faces] if isinstance(faces, str) else faces
        self.families = [families] if isinstance(families, str) else families
        self.num_pairs, self.pair_seed = num_pairs, pair_seed
        if data_file is None:
            data_file, data_root = VENDORED, ''
        super().__init__(
            ann_file=str(data_file),
            data_root=data_root,
            pipeline=pipeline,
            **kwargs,
        )

    def load_data_list(self) -> list[dict]:
        """One dict per sample; the image is its row in the file."""
        glyphs = read_glyph_file(self.ann_file)
        names = [face['name'] for face in glyphs.faces]
        families = [face['family'] for face in glyphs.faces]
        self._family_of = dict(zip(names, families, strict=True))
        use = np.ones(len(names), dtype=bool)
        for kind, wanted, known in (
            ('face', self.faces, names),
            ('family', self.families, families),
        ):
            if wanted is None:
                continue
            for name in wanted:
                if name not in known:
                    raise ValueError(_unknown(kind, name, known))
            use &= np.isin(known, list(wanted))

        in_split = glyphs.split[glyphs.identity] == SPLITS.index(self.split)
        rows = np.flatnonzero(in_split & use[glyphs.face])
        if not len(rows):
            raise ValueError(
                f'no image of {self.ann_file!r} is in split {self.split!r} '
                f'with faces={self.faces} and families={self.families}'
            )
        # Sliced to the rows in use: what is filtered out takes no memory.
        self._images, self._size = glyphs.images[rows], glyphs.size
        identities, labels = np.unique(
            glyphs.identity[rows], return_inverse=True
        )
        classes = [f'U+{code:04X}' for code in glyphs.codepoint[identities]]
        info = {
            'classes': tuple(classes),
            'faces': tuple(np.array(names)[use].tolist()),
            'families': tuple(np.array(families)[use].tolist()),
        }
        for key, value in info.items():
            self._metainfo.setdefault(key, value)
        return [
            {
                'image': row,
                'gt_label': label,
                'face': names[face],
                'img_path': f'{classes[label]}/{names[face]}',
            }
            for row, (label, face) in enumerate(
                zip(labels.tolist(), glyphs.face[rows].tolist(), strict=True)
            )
        ]

    def full_init(self) -> None:
        """Load the file, then make the pairs of the samples in use."""
        if self._fully_initialized:
            return
        super().full_init()
        if self.split != 'unseen' or not self.num_pairs:
            return
        # From the samples left by `indices`, whose numbers the pairs hold.
        infos = [self.get_data_info(i) for i in range(len(self))]
        groups = [self._family_of[info['face']] for info in infos]
        pairs = make_pairs(
            [info['gt_label'] for info in infos],
            np.unique(groups, return_inverse=True)[1],
            num_pairs=self.num_pairs,
            seed=self.pair_seed,
        )
        self._metainfo.update(
            pairs=pairs.pairs, issame=pairs.issame, fold=pairs.fold
        )

    def prepare_data(self, idx: int) -> Any:
        """Unpack the image of a sample and run the pipeline on it."""
        info = self.get_data_info(idx)
        image = unpack_image(self._images[info.pop('image')], self._size)
        info['img'] = np.repeat(image[:, :, None], 3, axis=2)
        info['img_shape'] = info['ori_shape'] = image.shape
        return self.pipeline(info)

    def get_subset_(self, indices: int | Sequence[int]) -> None:
        """Keep some samples; without pairs, which number all samples."""
        super().get_subset_(indices)
        self._drop_pairs()

    def get_subset(self, indices: int | Sequence[int]) -> 'GlyphIdentities':
        """A copy with some samples; without pairs, which number all."""
        subset = super().get_subset(indices)
        subset._drop_pairs()
        return subset

    def extra_repr(self) -> list[str]:
        """The lines of the representation that are ours."""
        body = [f'Data file: \t{self.ann_file}', f'Split: \t{self.split}']
        for name in ('faces', 'families'):
            if getattr(self, name) is not None:
                body.append(f'Kept {name}: \t{", ".join(getattr(self, name))}')
        return body

    def _drop_pairs(self) -> None:
        for key in _PAIR_KEYS:
            self._metainfo.pop(key, None)


def _unknown(kind: str, name: Any, known: Sequence[str]) -> str:
    names = sorted(set(known))
    match = difflib.get_close_matches(str(name), names, n=1, cutoff=0.5)
    hint = f' Did you mean {match[0]!r}?' if match else ''
    return f'unknown {kind} {name!r}; there are {", ".join(names)}.{hint}'
