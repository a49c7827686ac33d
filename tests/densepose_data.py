"""A tiny data set of dense pose in the official format, made by code."""

import json
from pathlib import Path

import cv2
import numpy as np
import pycocotools.mask as mask_utils

from mmdense.densepose.surface import SymmetryTables

WIDTH, HEIGHT = 320, 240


def encode(mask: np.ndarray) -> dict:
    """COCO's compressed RLE as it stands in the files."""
    rle = mask_utils.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {
        'size': [int(n) for n in rle['size']],
        'counts': rle['counts'].decode('ascii'),
    }


def ellipse(shape: tuple[int, int], box: tuple[float, ...]) -> np.ndarray:
    """Mask of an ellipse within x, y, w, h."""
    x, y, w, h = box
    ys, xs = np.mgrid[: shape[0], : shape[1]] + 0.5
    return ((xs - x - w / 2) / (w / 2)) ** 2 + (
        (ys - y - h / 2) / (h / 2)
    ) ** 2 <= 1


def dense_fields(
    rng: np.random.Generator, num_points: int, form: str = 'list'
) -> dict:
    """Random points and part masks of an elliptic person."""
    radius = 120 * np.sqrt(rng.random(num_points))
    angle = 2 * np.pi * rng.random(num_points)
    fields = {
        'dp_x': 128 + radius * np.cos(angle),
        'dp_y': 128 + radius * np.sin(angle),
        'dp_I': rng.integers(1, 25, num_points).astype(float),
        'dp_U': rng.random(num_points),
        'dp_V': rng.random(num_points),
    }
    fields = {key: value.round(6).tolist() for key, value in fields.items()}
    body = ellipse((256, 256), (4, 4, 248, 248))
    if form == 'dict':
        fields['dp_masks'] = encode(body)
    elif form == 'list':
        # Horizontal bands, some parts not seen.
        band = np.arange(256)[:, None] * 14 // 256
        fields['dp_masks'] = [
            [] if i in (1, 4) else encode(body & (band == i))
            for i in range(14)
        ]
    return fields


def annotation(id_: int, image_id: int, box, **fields) -> dict:
    """COCO's own fields of a person, and those given."""
    mask = ellipse((HEIGHT, WIDTH), box)
    return {
        'id': id_,
        'image_id': image_id,
        'category_id': 1,
        'bbox': list(box),
        'area': float(mask.sum()),
        'iscrowd': 0,
        'segmentation': encode(mask),
        **fields,
    }


def make_annotations(seed: int = 0) -> dict:
    """Content of an annotation file: four images, seven annotations.

    Image 1: a person in the list form and one without dense annotations.
    Image 2: the dict form, points without masks, and a dog.
    Image 3: two annotations with one id, as the published files have them.
    Image 4: nobody.
    """
    rng = np.random.default_rng(seed)
    return {
        'images': [
            {
                'id': i,
                'file_name': f'{i:012d}.png',
                'width': WIDTH,
                'height': HEIGHT,
            }
            for i in (1, 2, 3, 4)
        ],
        'categories': [
            {'id': 1, 'name': 'person'},
            {'id': 18, 'name': 'dog'},
        ],
        'annotations': [
            annotation(
                10, 1, (20.5, 30.25, 110.0, 180.5), **dense_fields(rng, 40)
            ),
            annotation(11, 1, (200, 60, 90, 120)),
            annotation(
                12, 2, (30, 20, 100, 200), **dense_fields(rng, 25, 'dict')
            ),
            annotation(
                13, 2, (170, 40, 120, 160), **dense_fields(rng, 9, 'none')
            ),
            annotation(14, 2, (5, 190, 60, 45), category_id=18),
            annotation(15, 3, (10, 10, 120, 200), **dense_fields(rng, 15)),
            annotation(15, 3, (160, 20, 140, 210), **dense_fields(rng, 12)),
        ],
    }


def write_data_set(folder: Path, content: dict | None = None) -> Path:
    """Write images and annotations; returns the annotation file."""
    content = make_annotations() if content is None else content
    images = folder / 'images'
    images.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(1)
    for image in content['images']:
        size = image['height'], image['width']
        pixels = np.full((*size, 3), rng.integers(40, 90, 3), dtype=np.uint8)
        for item in content['annotations']:
            if item['image_id'] == image['id']:
                pixels[ellipse(size, item['bbox'])] = rng.integers(90, 230, 3)
        cv2.imwrite(str(images / image['file_name']), pixels)
    file = folder / 'annotations.json'
    file.write_text(json.dumps(content))
    return file


def simple_symmetry() -> SymmetryTables:
    """U becomes 1 - U, V stays: what the body that ships does."""
    values = np.linspace(0, 1, 256, dtype=np.float32)
    u = np.broadcast_to(1 - values[None, None, :], (24, 256, 256))
    v = np.broadcast_to(values[None, :, None], (24, 256, 256))
    return SymmetryTables(u=u, v=v)


def write_symmetry(folder: Path) -> str:
    """The same as a file of the published layout."""
    path = folder / 'UV_symmetry_transforms.mat'
    simple_symmetry().write(path)
    return str(path)
