"""From rendered faces to identities: look-alikes, families, splits."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .glyph_file import SPLITS, GlyphSet
from .glyph_fonts import Face
from .glyph_render import GlyphRenderer, RenderedFace

# Median cosine of the images of one code point in two faces. Of 70 faces of 35
# designs, those of one origin under two names (Droid Sans Fallback and
# WenQuanYi Micro Hei, Klee and LXGW WenKai, the two Motoya) had 0.902 and
# more, those of different origin 0.876 and less. At one size for all sets,
# since small images are all alike.
SAME_DESIGN = 0.89
_PROBE_SIZE = 64
_MAX_PROBES = 128
_MIN_PROBES = 16


def merge_families(
    faces: Sequence[Face], rendered: Sequence[RenderedFace]
) -> list[str]:
    """The family of each face, with designs under two names merged.

    Args:
        faces: F faces; names give the first grouping.
        rendered: What each of them draws.

    Returns:
        F names; a merged family has the alphabetically first of its names.
    """
    parent = {face.family: face.family for face in faces}
    known = [set(face.codepoints.tolist()) for face in rendered]
    # One random order for all pairs: few glyphs are drawn, and many are
    # drawn once for several pairs.
    order = (
        np.random.RandomState(0)
        .permutation(sorted(set().union(*known)))
        .tolist()
    )
    probes = [_Probes(face) for face in faces]
    for i in range(len(faces)):
        for j in range(i):
            one = _find(parent, faces[i].family)
            other = _find(parent, faces[j].family)
            if one == other:
                continue
            both = known[i] & known[j]
            if len(both) < _MIN_PROBES:
                continue
            codes = list(islice((c for c in order if c in both), _MAX_PROBES))
            cosines = (probes[i].draw(codes) * probes[j].draw(codes)).sum(1)
            if np.median(cosines) > SAME_DESIGN:
                parent[max(one, other)] = min(one, other)
    return [_find(parent, face.family) for face in faces]


class _Probes:
    """Images of a face as unit vectors, each drawn once."""

    def __init__(self, face: Face) -> None:
        self._face = face
        self._renderer: GlyphRenderer | None = None
        self._vectors: dict[int, NDArray[np.float64]] = {}

    def draw(self, codes: list[int]) -> NDArray[np.float64]:
        if self._renderer is None:
            self._renderer = GlyphRenderer(self._face, _PROBE_SIZE)
        for code in codes:
            if code not in self._vectors:
                image = self._renderer.draw(code)
                vector = np.zeros(_PROBE_SIZE**2)
                if image is not None:  # hair lines vanish when small
                    vector += np.asarray(image).ravel()
                    vector /= np.linalg.norm(vector)
                self._vectors[code] = vector
        return np.stack([self._vectors[code] for code in codes])


def select_identities(
    faces: Sequence[Face],
    rendered: Sequence[RenderedFace],
    families: Sequence[str],
    *,
    size: int,
    min_faces: int = 2,
    min_families: int = 2,
    identities: int | None = None,
    unseen: int | float = 0.2,
    seed: int = 0,
) -> tuple[GlyphSet, dict[str, int]]:
    """Choose identities and split them.

    Code points that share an image, in one face or in two, are look-alikes:
    one image would bear two labels. One of them is kept, the one in most
    faces (then the lowest), because the shape itself is a good identity; the
    others are dropped. An image that an identity has in several faces is kept
    for the first of them, since a copy is no second capture.

    Args:
        faces: F faces.
        rendered: What each draws, at `size`.
        families: F names of families.
        size: Height and width of the images in px.
        min_faces: Images an identity needs.
        min_families: Families it needs them from.
        identities: How many to choose at random; None: all.
        unseen: Identities of the split `unseen`, a share below 1 or a count.
        seed: Of the choice and of the split.

    Returns:
        The set, its header empty, and counts for a report.

    Raises:
        ValueError: Not enough identities are left.
    """
    digests, dropped = _drop_lookalikes(rendered)
    rows: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
    seen: set[bytes] = set()
    copies = 0
    for number, face in enumerate(rendered):
        for row, code in enumerate(face.codepoints.tolist()):
            if code in dropped:
                continue
            digest = digests[number][row]
            if digest in seen:
                copies += 1
                continue
            seen.add(digest)
            rows[code].append((number, row))

    usable = sorted(
        code
        for code, images in rows.items()
        if len(images) >= min_faces
        and len({families[face] for face, _ in images}) >= min_families
    )
    wanted = len(usable) if identities is None else identities
    if not usable or wanted > len(usable):
        raise ValueError(
            f'{len(usable)} identities are in at least {min_faces} faces of '
            f'{min_families} families, expected '
            f'{"any" if identities is None else identities}. Use more fonts, '
            'or lower min_faces, min_families or the number of identities.'
        )
    # RandomState, whose stream numpy promises never to change.
    rng = np.random.RandomState(seed)
    chosen = sorted(
        usable[i] for i in rng.permutation(len(usable))[:wanted].tolist()
    )
    count = round(wanted * unseen) if unseen < 1 else int(unseen)
    if count > wanted:
        raise ValueError(
            f'cannot put {count} of {wanted} identities into the split unseen'
        )
    split = np.zeros(wanted, dtype=np.uint8)
    split[rng.permutation(wanted)[:count]] = SPLITS.index('unseen')

    # By face first: images in one style next to each other compress better.
    table = sorted(
        (face, identity, row)
        for identity, code in enumerate(chosen)
        for face, row in rows[code]
    )
    used = sorted({face for face, _, _ in table})
    place = {face: i for i, face in enumerate(used)}
    glyphs = GlyphSet(
        images=np.stack(
            [rendered[face].images[row] for face, _, row in table]
        ),
        identity=np.array([identity for _, identity, _ in table], np.int32),
        face=np.array([place[face] for face, _, _ in table], np.int32),
        codepoint=np.array(chosen, np.uint32),
        split=split,
        faces=[
            describe_face(faces[i], rendered[i], families[i]) for i in used
        ],
        size=size,
        header={},
    )
    report = {'lookalikes': len(dropped), 'copies': copies}
    return glyphs, report


def describe_face(
    face: Face, rendered: RenderedFace, family: str
) -> dict[str, Any]:
    """What the header of the file says of a face."""
    return {
        'name': face.name,
        'family': family,
        'licence': face.licence,
        'style': face.style,
        'weight': face.weight,
        'version': face.version,
        'credit': face.credit,
        'file': face.path.name,
        'index': face.index,
        'font_px': rendered.font_px,
    }


def _find(parent: dict[Any, Any], key: Any) -> Any:
    while parent[key] != key:
        key = parent[key]
    return key


def _drop_lookalikes(
    rendered: Sequence[RenderedFace],
) -> tuple[list[list[bytes]], set[int]]:
    """The digest of each image, and the code points not to use."""
    digests = [
        [hashlib.blake2b(image, digest_size=16).digest() for image in rows]
        for rows in (face.images for face in rendered)
    ]
    num_faces: Counter[int] = Counter()
    first: dict[bytes, int] = {}
    parent: dict[int, int] = {}
    for face, face_digests in zip(rendered, digests, strict=True):
        codes = face.codepoints.tolist()
        num_faces.update(codes)
        for code, digest in zip(codes, face_digests, strict=True):
            parent.setdefault(code, code)
            one = _find(parent, first.setdefault(digest, code))
            other = _find(parent, code)
            parent[max(one, other)] = min(one, other)
    groups: defaultdict[int, list[int]] = defaultdict(list)
    for code in parent:
        groups[_find(parent, code)].append(code)
    dropped: set[int] = set()
    for codes in groups.values():
        keep = min(codes, key=lambda code: (-num_faces[code], code))
        dropped.update(code for code in codes if code != keep)
    return digests, dropped
