"""The annotations that detections are compared with."""

from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import Any

from ..functional.validation import read_file
from .image_people import ImagePeople


class DensePoseGroundTruth:
    """All that is annotated in a file in DensePose-COCO's format.

    Args:
        content: Of the file, or its path.
        classes: Names of the categories to evaluate, in the order of the
            labels that a model predicts.
        strict: Take annotations for what they are. Else as the published
            evaluator does: by id, so that of two annotations of one id the
            later one counts twice and the earlier never, and finding the
            person of id 0 counts as finding nobody; and whoever has the field
            `dp_x` is to be found, be it a crowd or without points.

    Attributes:
        image_ids: Ascending.
        category_ids: Of `classes`.
        all_category_ids: Of all in the file, ascending.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no annotation file, an id, a size or a name is
            missing, a class is none of its categories, or it has regions to
            be ignored as PoseTrack's files have them.
    """

    def __init__(
        self,
        content: Mapping[str, Any] | str | Path,
        classes: Sequence[str] = ('person',),
        strict: bool = False,
    ) -> None:
        self.name = 'the annotations'
        if isinstance(content, str | Path):
            self.name = str(content)
            content = read_file(content)
        self.strict = strict
        self._sizes = {}
        for number, image in enumerate(content['images']):
            where = f'images[{number}]'
            height, width = (
                self._length(image, field, where)
                for field in ('height', 'width')
            )
            self._sizes[self._id(image, 'id', where)] = height, width
        self.image_ids = sorted(self._sizes)
        ids = {}
        for number, item in enumerate(content['categories']):
            where = f'categories[{number}]'
            ids[self._id(item, 'name', where)] = self._id(item, 'id', where)
        self.all_category_ids = sorted(ids.values())
        missing = [name for name in classes if name not in ids]
        if missing:
            raise ValueError(
                f'{self.name} has no category {missing[0]!r}, it has '
                f'{", ".join(map(repr, ids))}; set classes to those that are '
                'to be evaluated'
            )
        self.category_ids = [ids[name] for name in classes]
        for image in content['images']:
            if image.get('ignore_regions_x'):
                raise ValueError(
                    f'{self.name}: image {image["id"]} has regions to be '
                    'ignored (ignore_regions_x, of PoseTrack), which are not '
                    'supported'
                )
        self._annotations = self._group(content['annotations'])
        self._people: dict[tuple[Any, Any], ImagePeople] = {}

    def has_image(self, image_id: Any) -> bool:
        """Whether the file has this image."""
        return isinstance(image_id, Hashable) and image_id in self._sizes

    def size(self, image_id: Any) -> tuple[int, int]:
        """Annotated height and width of an image that the file has, px."""
        return self._sizes[image_id]

    def people(self, image_id: Any, category_id: Any) -> ImagePeople:
        """Those annotated in an image; the same object each time.

        Raises:
            ValueError: The file has no such image, or an annotation cannot
                be used.
        """
        if not self.has_image(image_id):
            raise ValueError(
                f'image {image_id!r} is not in {self.name}, which has '
                f'{len(self._sizes)} images, {self.image_ids[:3]} for '
                'instance: the predictions are of another data set'
            )
        key = image_id, category_id
        if key not in self._people:
            self._people[key] = ImagePeople(
                self._annotations.get(key, ()),
                *self._sizes[image_id],
                self.name,
                self.strict,
            )
        return self._people[key]

    def _group(
        self, annotations: Sequence[Mapping[str, Any]]
    ) -> dict[tuple[Any, Any], list[Mapping[str, Any]]]:
        groups = defaultdict(list)
        for number, item in enumerate(annotations):
            for field in ('id', 'image_id', 'category_id'):
                self._id(item, field, f'annotations[{number}]')
        latest = {item['id']: item for item in annotations}
        # By image first, as a repeated id can be in two of them.
        place = {image_id: k for k, image_id in enumerate(self.image_ids)}
        known = [item for item in annotations if item['image_id'] in place]
        known.sort(key=lambda item: place[item['image_id']])
        for annotation in known:
            item = annotation if self.strict else latest[annotation['id']]
            groups[item['image_id'], item['category_id']].append(item)
        return dict(groups)

    def _id(self, item: Mapping[str, Any], field: str, where: str) -> Any:
        value = item.get(field)
        if not isinstance(value, Real | str):
            raise ValueError(
                f'{self.name}: {where}.{field} must be a number or a string, '
                f'got {value!r}; correct the file'
            )
        return value

    def _length(self, item: Mapping[str, Any], field: str, where: str) -> int:
        value = item.get(field)
        if not (isinstance(value, Real) and 1 <= value < float('inf')):
            raise ValueError(
                f'{self.name}: {where}.{field} must be a number of pixels, '
                f'got {value!r}; correct the file'
            )
        return int(value)
