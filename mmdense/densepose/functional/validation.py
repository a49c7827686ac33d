"""Everything that is wrong with an annotation file of dense pose."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from .annotations import POINT_FIELDS, check_dense, is_dense
from .rle import read_runs

_EXIF_ORIENTATION = 0x0112
# How far from its chart a point may be, in units of U and V; charts of meshes
# are sampled at vertices, some hundredths apart.
_OFF_CHART = 0.1


class Surface(Protocol):
    """What is asked of a :class:`~mmdense.densepose.surface.BodySurface`."""

    @property
    def parts(self) -> tuple[int, ...]: ...
    @property
    def uv(self) -> NDArray: ...
    def entry_of(self, part: Any, u: Any, v: Any) -> NDArray: ...


@dataclass(frozen=True)
class Finding:
    """Something wrong in a file.

    Attributes:
        file: The annotation file, or the image.
        annotation_id: Of the annotation; None: it is about the file.
        field: Name of the field, with an index where one element is meant.
        message: What is wrong with it; reads on after the field.
        is_usable: It is trained on all the same. If not, the data set
            refuses the file, or leaves the annotation out.
    """

    file: str
    annotation_id: Any
    field: str
    message: str
    is_usable: bool = False

    def __str__(self) -> str:
        where = self.file
        if self.annotation_id is not None:
            where += f': annotation {self.annotation_id}'
        return f'{where}: {self.field} {self.message}'


def read_json(path: Path) -> Any:
    """What a JSON file holds.

    Raises:
        ValueError: It is no JSON file or cut off.
    """
    try:
        with path.open('rb') as file:
            return json.load(file)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(
            f'{path} is no JSON file or cut off: {error}'
        ) from None


def read_file(path: str | Path) -> dict[str, Any]:
    """Read an annotation file.

    Raises:
        FileNotFoundError: There is none.
        ValueError: It is no JSON file, is cut off, or has not the lists
            `images`, `annotations` and `categories`.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f'{path} does not exist, expected an annotation file'
        )
    content = read_json(path)
    for key in ('images', 'annotations', 'categories'):
        items = content.get(key) if isinstance(content, dict) else None
        if not isinstance(items, list) or not all(
            isinstance(item, dict) for item in items
        ):
            raise ValueError(
                f'{path} has no list {key!r} of objects; an annotation file '
                'in the format of COCO has images, annotations and categories'
            )
    return content


def check_images(
    content: Mapping[str, Any], file: str, img_root: str | Path | None
) -> Iterator[Finding]:
    """What is wrong with the images and categories of an annotation file.

    Args:
        content: As of :func:`read_file`.
        file: Its name, for messages.
        img_root: Folder that `file_name` is relative to; None: do not look
            at images.
    """
    for number, category in enumerate(content['categories']):
        for field in ('id', 'name'):
            if category.get(field) is None:
                name = f'categories[{number}].{field}'
                yield Finding(file, None, name, 'is missing')
    ids = Counter(image.get('id') for image in content['images'])
    for number, image in enumerate(content['images']):
        name = f'images[{number}]'
        for field in ('id', 'file_name'):
            if image.get(field) is None:
                yield Finding(file, None, f'{name}.{field}', 'is missing')
        for field in ('width', 'height'):
            if not _is_length(image.get(field)):
                what = f'must be a number of pixels, got {image.get(field)}'
                yield Finding(file, None, f'{name}.{field}', what)
        if ids[image.get('id')] > 1:
            yield Finding(
                file, None, f'{name}.id', f'occurs twice: {image.get("id")}'
            )
        if img_root is not None and image.get('file_name') is not None:
            yield from _check_image(image, Path(img_root), file)


def _check_image(
    image: Mapping[str, Any], img_root: Path, file: str
) -> Iterator[Finding]:
    path = img_root / str(image['file_name'])
    if not path.is_file():
        yield Finding(str(path), None, 'image', 'does not exist')
        return
    try:
        with Image.open(path) as picture:
            width, height = picture.size
            # Image readers turn the picture by it.
            if picture.getexif().get(_EXIF_ORIENTATION, 1) >= 5:
                width, height = height, width
    except (UnidentifiedImageError, OSError, ValueError) as error:
        yield Finding(str(path), None, 'image', f'cannot be read: {error}')
        return
    except Image.DecompressionBombError as error:
        what = f'is too large to be looked at: {error}'
        # OpenCV, which loads images for training, takes more pixels.
        yield Finding(str(path), None, 'image', what, is_usable=True)
        return
    annotated = _size(image)
    if annotated is not None and annotated != (height, width):
        yield Finding(
            str(path),
            None,
            'image',
            f'is {height} x {width} (height x width), {file} says '
            f'{annotated[0]} x {annotated[1]}',
        )


def check_annotations(
    content: Mapping[str, Any], file: str, surface: Surface | None = None
) -> Iterator[list[Finding]]:
    """What is wrong with each annotation of a file.

    Args:
        content: As of :func:`read_file`.
        file: Its name, for messages.
        surface: Body that points must lie on; None: do not check that.

    Yields:
        For each annotation, in order, the list of what is wrong with it.
    """
    images = {image.get('id'): image for image in content['images']}
    categories = {category.get('id') for category in content['categories']}
    ids = Counter(item.get('id') for item in content['annotations'])
    for item in content['annotations']:
        found = [
            *_check_ids(item, ids, images, categories),
            *_check_box(item, images.get(item.get('image_id'), {})),
            *_check_segmentation(item, images.get(item.get('image_id'), {})),
        ]
        problems = check_dense(item)
        found += [(p.field, p.message, p.is_usable) for p in problems]
        if is_dense(item) and item.get('iscrowd'):
            found.append(('iscrowd', 'is set, so points are left out', False))
        if surface is not None and not any(
            problem.field.startswith(POINT_FIELDS) and not problem.is_usable
            for problem in problems
        ):
            found += _check_surface(item, surface)
        yield [Finding(file, item.get('id'), *what) for what in found]


_Found = Iterable[tuple[str, str, bool]]


def _check_ids(
    item: Mapping[str, Any],
    ids: Counter,
    images: Mapping[Any, Any],
    categories: set,
) -> _Found:
    if item.get('id') is None:
        yield 'id', 'is missing', False
    elif ids[item['id']] > 1:
        # The published files have such.
        yield 'id', f'occurs {ids[item["id"]]} times', True
    elif item['id'] == 0:
        yield 'id', 'is 0, which evaluation takes for no match', True
    if item.get('image_id') not in images:
        yield 'image_id', f'{item.get("image_id")} is no image', False
    if item.get('category_id') not in categories:
        yield 'category_id', f'{item.get("category_id")} is no category', False


def _check_box(item: Mapping[str, Any], image: Mapping[str, Any]) -> _Found:
    area = item.get('area')
    if not isinstance(area, int | float):
        yield 'area', f'must be a number, got {area}', False
    elif not area > 0:
        yield 'area', f'is {area}, so the annotation is left out', False
    box = item.get('bbox')
    try:
        x, y, width, height = np.asarray(box, dtype=np.float64)
    except (TypeError, ValueError):
        x = y = width = height = np.float64('nan')
    if not np.isfinite([x, y, width, height]).all():
        yield 'bbox', f'must be x, y, width, height, got {box}', False
        return
    size = _size(image)
    if width < 1 or height < 1:
        what = f'is less than a pixel wide or high, so left out: {box}'
        yield 'bbox', what, False
    elif size is not None and (
        min(x + width, size[1]) <= max(x, 0)
        or min(y + height, size[0]) <= max(y, 0)
    ):
        what = f'is outside the image of {size[1]} x {size[0]}, so left out'
        yield 'bbox', what, False


def _size(image: Mapping[str, Any]) -> tuple[int, int] | None:
    """Height and width, if they can be."""
    height, width = image.get('height'), image.get('width')
    if _is_length(height) and _is_length(width):
        return height, width  # type: ignore[return-value]
    return None


def _is_length(value: Any) -> bool:
    return isinstance(value, int) and value > 0


def _check_segmentation(
    item: Mapping[str, Any], image: Mapping[str, Any]
) -> _Found:
    segmentation = item.get('segmentation')
    if not segmentation:
        return
    if isinstance(segmentation, list):
        for i, polygon in enumerate(segmentation):
            if (
                not isinstance(polygon, list)
                or len(polygon) < 6
                or len(polygon) % 2
            ):
                yield (
                    f'segmentation[{i}]',
                    'must be a polygon of three or more x, y',
                    True,
                )
        return
    try:
        height, width, _ = read_runs(segmentation)
    except ValueError as error:
        yield 'segmentation', str(error), False
        return
    size = _size(image)
    if size is not None and size != (height, width):
        yield (
            'segmentation',
            f'is {height} x {width}, the image {size[0]} x {size[1]}',
            False,
        )


def _check_surface(item: Mapping[str, Any], surface: Surface) -> _Found:
    if not item.get('dp_I'):
        return
    part = np.asarray(item['dp_I'], dtype=np.int64)
    uv = np.stack((item['dp_U'], item['dp_V']), axis=1).astype(np.float64)
    unknown = sorted({*part.tolist()} - {*surface.parts})
    if unknown:
        first = int(np.flatnonzero(np.isin(part, unknown))[0])
        yield f'dp_I[{first}]', f'{unknown[0]} is no part of the surface', True
    known = np.flatnonzero(~np.isin(part, unknown))
    entry = surface.entry_of(part[known], *uv[known].T)
    gap = np.linalg.norm(surface.uv[entry] - uv[known], axis=1)
    off = known[gap > _OFF_CHART]
    if len(off):
        first = int(off[0])
        more = f' and {len(off) - 1} more' if len(off) > 1 else ''
        yield (
            f'dp_U[{first}], dp_V[{first}]',
            f'are {gap[known == first][0]:.2f} off the chart of part '
            f'{part[first]}{more}',
            True,
        )
