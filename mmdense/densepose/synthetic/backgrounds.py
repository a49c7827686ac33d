"""What is behind the people: rooms, places outdoors, abstract images, photos.

Made at half the resolution and enlarged, which is quicker and looks a little
out of focus, as backgrounds do.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from .camera import Camera
from .images import smooth_noise, to_floats, to_image
from .patterns import cloth_color
from .photos import read_photo

Floats = NDArray[np.float32]

_CEILING = 2.7


class Background:
    """An image, and how much of the ground's shadows it shows.

    Attributes:
        image: (H, W, 3) RGB in 0..1.
        ground: (H, W) 1 where the ground is seen.
    """

    def __init__(self, image: Floats, ground: Floats) -> None:
        self.image = image
        self.ground = ground


def random_background(
    rng: np.random.Generator,
    camera: Camera,
    reach: tuple[float, float],
    photos: Sequence[Path] = (),
) -> Background:
    """A background for a camera.

    Args:
        rng: Decides all.
        camera: Sees the ground of rooms and places in perspective.
        reach: How far people are to the side and ahead, in metres; the walls
            of a room stand beyond.
        photos: If there are any, one of them is cropped instead.

    Raises:
        ValueError: A photo cannot be read.
    """
    half = camera.scaled(0.5)
    ground = None
    if photos:
        image = _photo(rng, half, photos[int(rng.integers(len(photos)))])
    else:
        kind = rng.random()
        if kind < 0.4:
            image, ground = _room(rng, half, reach)
        elif kind < 0.8:
            image, ground = _outdoors(rng, half)
        elif kind < 0.9:
            image = _abstract(rng, half)
        else:
            image = _blobs(rng, half)
    if ground is None:
        # A guess: below the horizon, faintly.
        ground = 0.5 * _below_horizon(half)
    return Background(
        _enlarge(image, camera.width, camera.height),
        _enlarge(ground, camera.width, camera.height),
    )


def _enlarge(image: Floats, width: int, height: int) -> Floats:
    large = (
        to_image(image)
        .filter(ImageFilter.GaussianBlur(0.6))
        .resize((width, height), Image.Resampling.BILINEAR)
    )
    return to_floats(large)


def _rays(camera: Camera) -> Floats:
    """(H, W, 3) as :meth:`Camera.rays`, of each pixel."""
    y, x = np.mgrid[: camera.height, : camera.width] + 0.5
    return camera.rays(x, y).astype(np.float32)


def _below_horizon(camera: Camera) -> Floats:
    return (_rays(camera)[..., 1] < -0.02).astype(np.float32)


def _room(
    rng: np.random.Generator, camera: Camera, reach: tuple[float, float]
) -> tuple[Floats, Floats]:
    rays, eye = _rays(camera), camera.position.astype(np.float32)
    left, right = rng.uniform(1.0, 3.0, 2) + reach[0]
    back = reach[1] + rng.uniform(0.6, 3.0)
    with np.errstate(divide='ignore'):
        to_x = np.where(rays[..., 0] > 0, right, -left) / rays[..., 0]
        to_y = (
            np.where(rays[..., 1] > 0, _CEILING - eye[1], -eye[1])
            / (rays[..., 1])
        )
        to_z = -back / np.minimum(rays[..., 2], -1e-6)
    hit = np.minimum(np.minimum(to_x, to_y), to_z)
    place = eye + hit[..., None] * rays
    is_side, is_level = hit == to_x, hit == to_y
    is_floor = is_level & (rays[..., 1] < 0)
    wall, floor = cloth_color(rng) * 0.5 + 0.4, cloth_color(rng) * 0.8 + 0.1
    image = np.empty_like(rays)
    image[:] = wall
    image[is_side] = wall * rng.uniform(0.75, 0.95)
    image[is_level & ~is_floor] = np.minimum(wall + 0.15, 0.97)
    across = np.where(is_side, place[..., 2], place[..., 0])
    if rng.random() < 0.3:  # wallpaper
        stripe = (across / rng.uniform(0.1, 0.5)) % 1 < 0.5
        image[stripe & ~is_level] *= rng.uniform(0.85, 0.97)
    for _ in range(rng.integers(0, 5)):  # pictures, windows, doors
        center = rng.uniform((-reach[0] - 1, 0.6), (reach[0] + 1, 2.2))
        size = rng.uniform(0.15, 0.9, 2)
        inside = (np.abs(across - center[0]) < size[0]) & (
            np.abs(place[..., 1] - center[1]) < size[1]
        )
        where = inside & ~is_level & (is_side == (rng.random() < 0.3))
        image[where] = cloth_color(rng)
    image[is_floor] = floor
    tile = rng.uniform((0.1, 0.3), (0.6, 1.5))
    if rng.random() < 0.7:  # tiles, boards
        cell = np.floor(place[..., [0, 2]] / tile)
        shade = 1 - rng.uniform(0.03, 0.25) * ((cell.sum(-1) % 2) > 0)
        image[is_floor] *= shade[is_floor, None]
    if rng.random() < 0.6:  # skirting board
        image[~is_level & (place[..., 1] < 0.1)] *= 0.7
    grain = smooth_noise(rng, camera.height, camera.width, 5, 5)[..., :1]
    return image * (0.8 + 0.4 * grain), is_floor.astype(np.float32)


def _outdoors(
    rng: np.random.Generator, camera: Camera
) -> tuple[Floats, Floats]:
    rays = _rays(camera)
    level = np.hypot(rays[..., 0], rays[..., 2])
    slope = rays[..., 1] / level
    zenith = np.array([0.35, 0.55, 0.85]) + rng.normal(0, 0.12, 3)
    horizon = np.array([0.82, 0.86, 0.9]) + rng.normal(0, 0.07, 3)
    mix = np.clip(slope * 1.5, 0, 1)[..., None]
    image = (horizon * (1 - mix) + zenith * mix).astype(np.float32)
    noise = smooth_noise(rng, camera.height, camera.width, 4, 6)
    cloud = np.clip(noise[..., :1] * 3 - rng.uniform(1, 2.5), 0, 1)
    image = image * (1 - 0.6 * cloud) + 0.57 * cloud
    azimuth = np.arctan2(rays[..., 0], -rays[..., 2])
    for layer in range(rng.integers(1, 4)):  # hills, hedges, houses
        knots = rng.integers(5, 40)
        heights = rng.uniform(0.02, 0.45, knots) / (1 + layer)
        at = (azimuth / (2 * np.pi) + 0.5) * (knots - 1) * 2 % (knots - 1)
        if rng.random() < 0.5:
            skyline = heights[np.floor(at).astype(int)]
        else:
            skyline = np.interp(at, np.arange(knots), heights)
        green = np.array([0.3, 0.42, 0.22]) + rng.normal(0, 0.08, 3)
        color = green if rng.random() < 0.5 else cloth_color(rng)
        image[slope < skyline] = np.clip(color * 0.7 + 0.1, 0, 1)
    image *= 0.75 + 0.5 * noise[..., 1:2]
    is_ground = rays[..., 1] < -0.005
    distance = camera.position[1] / -rays[is_ground, 1]
    place = rays[is_ground][:, [0, 2]] * distance[:, None]
    colors = np.array([(0.36, 0.45, 0.22), (0.5, 0.5, 0.5), (0.7, 0.6, 0.45)])
    ground = colors[rng.integers(3)] + rng.normal(0, 0.035, 3)
    # Mirrored where it repeats; of what is far away only the mean is seen.
    texture = smooth_noise(rng, 256, 256, 24, 4)[..., 0] - 0.5
    place += rng.uniform(20, 40, 2)
    cell = (place * rng.uniform(30, 120)).astype(np.int64) % 512
    cell = np.minimum(cell, 511 - cell)
    value = texture[cell[:, 1], cell[:, 0]] / (1 + distance / 8)
    image[is_ground] = ground * (1 + 1.2 * value[:, None])
    return image, is_ground.astype(np.float32)


def _abstract(rng: np.random.Generator, camera: Camera) -> Floats:
    size = camera.height, camera.width
    noise = smooth_noise(rng, *size, int(rng.integers(2, 12)), 5)
    first, second = cloth_color(rng), cloth_color(rng)
    turn = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[: size[0], : size[1]] / max(size)
    mix = 0.5 + (x - 0.5) * np.cos(turn) + (y - 0.5) * np.sin(turn)
    mix = np.clip(mix, 0, 1)[..., None]
    strength = rng.uniform(0.1, 0.9)
    plain = first * mix + second * (1 - mix)
    return plain * (1 - strength) + noise * strength


def _blobs(rng: np.random.Generator, camera: Camera) -> Floats:
    image = to_image(_abstract(rng, camera))
    draw = ImageDraw.Draw(image)
    size = np.array([camera.width, camera.height])
    for _ in range(rng.integers(10, 60)):
        color = tuple((cloth_color(rng) * 255).astype(int).tolist())
        center, extent = rng.random(2) * size, rng.exponential(0.06, 2) * size
        box = [*(center - extent), *(center + extent)]
        kind = rng.integers(3)
        if kind == 0:
            draw.ellipse(box, fill=color)
        elif kind == 1:
            draw.rectangle(box, fill=color)
        else:
            corners = center + rng.normal(0, 1, (4, 2)) * extent
            draw.polygon([tuple(xy) for xy in corners], fill=color)
    return to_floats(image)


def _photo(rng: np.random.Generator, camera: Camera, path: Path) -> Floats:
    photo = read_photo(path, 4 * camera.width, 4 * camera.height)
    scale = min(photo.width / camera.width, photo.height / camera.height)
    share = scale * rng.uniform(0.6, 1.0)
    extent = np.array([camera.width, camera.height]) * share
    start = rng.random(2) * (np.array(photo.size) - extent)
    crop = photo.resize(
        (camera.width, camera.height),
        Image.Resampling.BILINEAR,
        box=(*start, *(start + extent)),
    )
    if rng.random() < 0.5:
        crop = ImageOps.mirror(crop)
    return to_floats(crop)
