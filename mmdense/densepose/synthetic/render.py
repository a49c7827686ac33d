"""From a scene to an image, and to who is seen where."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from .geometry import cross, interpolate, unit
from .images import to_floats, to_image
from .people import Person
from .props import BOX_FACES, Box
from .rasterizer import Fragments, rasterize
from .scene import Scene
from .studio import Studio

Floats = NDArray[np.float32]

_FOLDS = np.array([(31, 17, 9), (-12, 40, 21), (23, -28, 35)], np.float32)
_FOLD_DEPTH = 0.1
_EDGE_DEPTH = 0.05


@dataclass(frozen=True, eq=False)
class Rendering:
    """What is seen at the center of each pixel.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        person: (H, W) int8, index into the people of the scene; -1: none.
        face: (H, W) int32, face of the body; -1: none.
        weights: (H, W, 3) float64, of its corners.
        scene: What was drawn.
    """

    image: NDArray[np.uint8]
    person: NDArray[np.int8]
    face: NDArray[np.int32]
    weights: NDArray[np.float64]
    scene: Scene


def render(
    studio: Studio,
    scene: Scene,
    rng: np.random.Generator,
    min_pixels: int = 1,
) -> Rendering | None:
    """Draw a scene as a camera would see it.

    Args:
        studio: What images share.
        scene: What to draw.
        rng: Decides the noise and the blur of the camera.
        min_pixels: People of whom less is seen are taken out of the scene.

    Returns:
        The rendering, or None if nobody is left.
    """
    scene, fragments = _without_hidden(studio, scene, min_pixels)
    if not scene.people:
        return None
    faces = len(studio.body.faces)
    people = len(scene.people)
    owner = fragments.triangle // faces  # -1 stays
    is_person = (fragments.triangle >= 0) & (owner < people)
    person = np.where(is_person, owner, -1).astype(np.int8)
    face = np.where(is_person, fragments.triangle % faces, -1)
    color = _backdrop(studio, scene)
    for number, one in enumerate(scene.people):
        rows, columns = np.nonzero(person == number)
        color[rows, columns] = _paint_person(
            studio,
            scene,
            one,
            face[rows, columns],
            fragments.weights[rows, columns],
        )
    for number, box in enumerate(scene.boxes):
        first = people * faces + number * len(BOX_FACES)
        side = fragments.triangle - first
        rows, columns = np.nonzero((side >= 0) & (side < len(BOX_FACES)))
        color[rows, columns] = _paint_box(
            scene, box, side[rows, columns], fragments.weights[rows, columns]
        )
    image = _photograph(color, _edges(fragments, owner), rng)
    return Rendering(image, person, face, fragments.weights, scene)


def _without_hidden(
    studio: Studio, scene: Scene, min_pixels: int
) -> tuple[Scene, Fragments]:
    while True:
        fragments = _rasterize(studio, scene)
        owner = fragments.triangle[fragments.triangle >= 0] // len(
            studio.body.faces
        )
        count = np.bincount(owner, minlength=len(scene.people))
        keep = [
            person
            for person, seen in zip(scene.people, count, strict=False)
            if seen >= min_pixels
        ]
        if len(keep) == len(scene.people):
            return scene, fragments
        scene = replace(scene, people=tuple(keep))


def _meshes(
    studio: Studio, scene: Scene
) -> list[tuple[Floats, NDArray[np.int32]]]:
    """Vertices and faces of all there is, people first."""
    meshes = [(p.vertices, studio.body.faces) for p in scene.people]
    return meshes + [(box.corners, BOX_FACES) for box in scene.boxes]


def _rasterize(studio: Studio, scene: Scene) -> Fragments:
    vertices: list[Floats] = [np.empty((0, 3), np.float32)]
    faces, count = [BOX_FACES[:0]], 0
    for own_vertices, own_faces in _meshes(studio, scene):
        vertices.append(own_vertices)
        faces.append(own_faces + count)
        count += len(own_vertices)
    return rasterize(
        scene.camera.project(np.concatenate(vertices)),
        np.concatenate(faces),
        scene.camera.height,
        scene.camera.width,
    )


def _paint_person(
    studio: Studio,
    scene: Scene,
    person: Person,
    face: NDArray[np.int32],
    weights: NDArray[np.floating],
) -> Floats:
    weights = weights.astype(np.float32)
    corners = studio.body.faces[face]
    part = studio.surface.face_part[face]
    points = studio.coordinates.at(part, corners, weights)
    albedo, is_cloth = person.outfit.paint(points)
    normals = interpolate(studio.normals(person.vertices), corners, weights)
    # Cloth is not as smooth as skin.
    folds = np.cos(points.rest[is_cloth] @ _FOLDS.T) @ _FOLDS
    normals[is_cloth] += (_FOLD_DEPTH / 40) * folds
    return albedo * scene.light.gain(unit(normals))


def _paint_box(
    scene: Scene,
    box: Box,
    face: NDArray[np.int32],
    weights: NDArray[np.floating],
) -> Floats:
    place = interpolate(box.local, BOX_FACES[face], weights)
    ends = box.corners[BOX_FACES]
    normals = unit(cross(ends[:, 1] - ends[:, 0], ends[:, 2] - ends[:, 0]))
    albedo = box.paint(place.astype(np.float32), face)
    return albedo * scene.light.gain(normals)[face]


def _backdrop(studio: Studio, scene: Scene) -> Floats:
    """The background with the shadows that fall on the ground."""
    ambient, direct = scene.light.sky.mean(), scene.light.color.mean()
    dark = _shadow(studio, scene, scene.light.direction, blur=0.004)
    dark *= 0.6 * direct / (direct + ambient)
    # Little of the sky's light reaches the ground right below something.
    contact = _shadow(studio, scene, np.array([0, 1, 0]), blur=0.008, top=0.2)
    light = (1 - dark) * (1 - 0.4 * contact)
    ground = scene.background.ground
    return scene.background.image * (1 - ground * (1 - light))[..., None]


def _shadow(
    studio: Studio,
    scene: Scene,
    direction: NDArray[np.floating],
    blur: float,
    top: float = np.inf,
) -> Floats:
    """(H, W) 0..1, how far the ground is in the shadow.

    Args:
        studio: What images share.
        scene: What casts the shadow.
        direction: (3,) towards the light.
        blur: Deviation, as a share of the height of the image.
        top: Height up to which things count.
    """
    camera = scene.camera
    shade = np.zeros((camera.height, camera.width), dtype=np.uint8)
    for vertices, faces in _meshes(studio, scene):
        if top < np.inf:
            faces = faces[(vertices[:, 1] < top)[faces].all(1)]
        fallen = vertices - vertices[:, 1:2] * (direction / direction[1])
        drawn = rasterize(
            camera.project(fallen), faces, camera.height, camera.width
        )
        shade[drawn.triangle >= 0] = 255
    soft = Image.fromarray(shade).filter(
        ImageFilter.GaussianBlur(blur * camera.height)
    )
    return to_floats(soft)


def _edges(fragments: Fragments, owner: NDArray) -> NDArray[np.bool_]:
    """Pixels beside which something else begins."""
    edges = np.zeros(owner.shape, dtype=bool)
    depth = np.where(owner < 0, 1e3, fragments.depth)
    for axis in (0, 1):
        jump = np.abs(np.diff(depth, axis=axis)) > _EDGE_DEPTH
        first = [slice(None)] * 2
        second = [slice(None)] * 2
        first[axis], second[axis] = slice(-1), slice(1, None)
        edges[tuple(first)] |= jump
        edges[tuple(second)] |= jump
    return edges


def _photograph(
    color: Floats, edges: NDArray[np.bool_], rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Soften the steps of outlines; then blur and grain as of a camera."""
    gain = rng.uniform(0.9, 1.1) * rng.normal(1, 0.03, 3)
    sharp = to_image(color * gain.astype(np.float32))
    soft = sharp.filter(
        ImageFilter.Kernel((3, 3), (1, 2, 1, 2, 4, 2, 1, 2, 1))
    )
    image = Image.composite(soft, sharp, Image.fromarray(edges))
    if rng.random() < 0.3:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 0.9)))
    noise = rng.standard_normal((*edges.shape, 1), dtype=np.float32)
    grainy = to_floats(image) + np.float32(rng.uniform(0, 0.02)) * noise
    return np.asarray(to_image(grainy))
