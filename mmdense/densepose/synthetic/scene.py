"""Who and what is where in an image."""

from dataclasses import dataclass

import numpy as np

from .backgrounds import Background, random_background
from .camera import Camera, random_camera
from .lights import Light, random_light
from .people import Person, random_person
from .props import Box
from .studio import Studio

MAX_PEOPLE = 6
_SHARES = np.array([0.3, 0.25, 0.18, 0.12, 0.09, 0.06])
_TRIES = 10


@dataclass(frozen=True, eq=False)
class Scene:
    """What a camera looks at.

    Attributes:
        camera, light, background: See their modules.
        people: Some of whom may be hidden or out of the image.
        boxes: Seats and obstacles.
    """

    camera: Camera
    light: Light
    background: Background
    people: tuple[Person, ...]
    boxes: tuple[Box, ...]


def random_scene(
    studio: Studio,
    rng: np.random.Generator,
    size: int,
    max_people: int = MAX_PEOPLE,
) -> Scene:
    """One to six people in front of a background.

    Args:
        studio: What images share.
        rng: Decides all.
        size: The longer side of the image in pixels; the shorter is 3/4 or
            2/3 of it, or the same.
        max_people: At most so many, 1..6.
    """
    shares = _SHARES[:max_people] / _SHARES[:max_people].sum()
    count = 1 + int(rng.choice(len(shares), p=shares))
    # Wide images for groups, mostly.
    short = round(size * rng.choice([1.0, 3 / 4, 2 / 3]))
    is_wide = rng.random() < (0.35 if count == 1 else 0.75)
    width, height = (size, short) if is_wide else (short, size)
    camera, subject = random_camera(rng, width, height)
    light = random_light(rng)
    people, places = [], np.empty((0, 2))
    for number in range(count):
        place = _find_place(rng, camera, subject, places, number == 0)
        if place is None:
            continue
        places = np.concatenate((places, place[None]))
        # Half of them look towards the camera.
        heading = rng.normal(0, 0.6)
        if rng.random() < 0.5:
            heading = rng.uniform(-np.pi, np.pi)
        person = random_person(studio, rng)
        people.append(person.moved(place[0], place[1], heading))
    boxes = [person.seat for person in people if person.seat is not None]
    if rng.random() < 0.2:
        boxes.append(_obstacle(rng, camera, subject))
    reach = np.abs(places).max(0) + 0.6
    background = random_background(
        rng, camera, (float(reach[0]), float(reach[1])), studio.photos
    )
    return Scene(camera, light, background, tuple(people), tuple(boxes))


def _find_place(
    rng: np.random.Generator,
    camera: Camera,
    subject: float,
    taken: np.ndarray,
    is_first: bool,
) -> np.ndarray | None:
    """Where on the ground (x, z), not too near to others; None: no room."""
    for _ in range(_TRIES):
        if is_first:
            distance, column = subject, rng.uniform(0.25, 0.75)
        else:
            distance = subject * np.exp(rng.uniform(-0.25, 0.9))
            column = rng.uniform(-0.03, 1.03)
        distance = max(distance, 1.3)
        x = (column - 0.5) * camera.width / camera.focal * distance
        place = np.array([x, -distance])
        if not len(taken) or np.hypot(*(taken - place).T).min() > 0.65:
            return place
    return None


def _obstacle(rng: np.random.Generator, camera: Camera, subject: float) -> Box:
    distance = max(subject * rng.uniform(0.6, 0.85), 0.9)
    x = rng.uniform(-0.5, 0.5) * camera.width / camera.focal * distance
    size = rng.uniform((0.15, 0.3, 0.15), (0.9, 0.95, 0.5))
    box = Box.upright(rng, np.zeros(3), size)
    return box.moved(x, -distance, rng.uniform(-0.6, 0.6))
