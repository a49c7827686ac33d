import numpy as np
import pytest
from PIL import Image

from mmdense.densepose.synthetic.lights import Light
from mmdense.densepose.synthetic.outfits import random_outfit
from mmdense.densepose.synthetic.patterns import KINDS, random_pattern
from mmdense.densepose.synthetic.people import random_person
from mmdense.densepose.synthetic.photos import find_photos
from mmdense.densepose.synthetic.props import BOX_FACES, Box
from mmdense.densepose.synthetic.sample import MIN_SEEN, make_sample
from mmdense.densepose.synthetic.scene import random_scene
from mmdense.densepose.synthetic.studio import Studio

SIZE = 192


def volume(vertices, faces):
    a, b, c = vertices[faces].astype(float).swapaxes(0, 1)
    return (np.cross(a, b) * c).sum() / 6


def test_equal_numbers_make_equal_images(studio, samples):
    again = make_sample(studio, 5, 3, SIZE)
    np.testing.assert_array_equal(
        again.rendering.image, samples[3].rendering.image
    )
    assert again.annotations == samples[3].annotations
    other = make_sample(studio, 6, 3, SIZE)
    assert other.annotations != samples[3].annotations


def test_all_stand_on_the_ground_and_apart(studio):
    for seed in range(12):
        rng = np.random.default_rng(seed)
        scene = random_scene(studio, rng, SIZE)
        assert 1 <= len(scene.people) <= 6
        places = []
        for person in scene.people:
            assert person.vertices[:, 1].min() == pytest.approx(0, abs=1e-6)
            assert (person.vertices[:, 2] < 0).all()  # before the camera
            low, high = person.vertices.min(0), person.vertices.max(0)
            places.append(((low + high) / 2)[[0, 2]])
            # Turned inside out, it would be negative.
            assert volume(person.vertices, studio.body.faces) > 0.03
        gaps = [
            np.linalg.norm(a - b)
            for i, a in enumerate(places)
            for b in places[:i]
        ]
        assert min(gaps, default=1) > 0.3


def test_whoever_is_hidden_is_taken_out(studio):
    pixels = [
        item['area']
        for seed in range(8)
        for item in make_sample(studio, seed, 0, SIZE).annotations
    ]
    assert min(pixels) >= round(MIN_SEEN * SIZE**2)


def test_max_people(studio):
    for seed in range(6):
        scene = random_scene(studio, np.random.default_rng(seed), SIZE, 1)
        assert len(scene.people) == 1


def test_seats_are_below_their_people(studio):
    seated = 0
    for seed in range(40):
        person = random_person(studio, np.random.default_rng(seed))
        if person.seat is None:
            continue
        seated += 1
        low, high = person.seat.corners.min(0), person.seat.corners.max(0)
        inside = (person.vertices > low + 0.005) & (
            person.vertices < high - 0.005
        )
        # Buttocks are soft; but nobody sits inside of the seat.
        assert inside.all(1).mean() < 0.02
    assert seated >= 3


def test_boxes_are_closed_and_outward():
    rng = np.random.default_rng(0)
    box = Box.upright(rng, np.array([1.0, 0, 2]), np.array([0.3, 0.5, 0.7]))
    assert volume(box.corners, BOX_FACES) == pytest.approx(0.3 * 0.5 * 0.7)
    moved = box.moved(1, 2, 0.7)
    assert volume(moved.corners, BOX_FACES) == pytest.approx(0.105)
    assert moved.corners[:, 1].min() == 0


def test_light_by_hand():
    light = Light(
        direction=np.array([0, 1, 0], np.float32),
        color=np.full(3, 0.6, np.float32),
        sky=np.full(3, 0.4, np.float32),
        ground=np.full(3, 0.2, np.float32),
    )
    normals = np.array([(0, 1, 0), (1, 0, 0), (0, -1, 0)], np.float32)
    expected = np.array([1.0, 0.3, 0.2]) ** (1 / 2.2)
    np.testing.assert_allclose(light.gain(normals)[:, 0], expected, rtol=1e-5)


def test_clothes_are_where_clothes_are(studio):
    body = studio.body
    faces = body.faces
    part = studio.surface.face_part
    points = studio.coordinates.at(
        part, faces, np.full((len(faces), 3), 1 / 3)
    )
    hands, torso = np.isin(part, (3, 4)), np.isin(part, (1, 2))
    for seed in range(20):
        outfit = random_outfit(np.random.default_rng(seed))
        color, cloth = outfit.paint(points)
        assert 0 <= color.min() <= color.max() <= 1
        assert not cloth[hands].any()
        assert cloth[torso].mean() > 0.8
        np.testing.assert_array_equal(
            color[hands], np.broadcast_to(outfit.skin, (hands.sum(), 3))
        )
        arms = np.isin(part, range(15, 23))
        share = cloth[arms].mean()
        assert share == pytest.approx(outfit.sleeve / 2, abs=0.12)


def test_limbs_are_measured_from_joint_to_joint(studio):
    body = studio.body
    points = studio.coordinates.at(
        studio.surface.face_part, body.faces, np.eye(3)[[0] * len(body.faces)]
    )
    place = points.rest
    for name, values, expected in (
        ('lowerarm01.L', points.arm, 1.0),
        ('lowerleg01.R', points.leg, 1.0),
        ('wrist.R', points.arm, 2.0),
    ):
        joint = body.bone_heads[body.bone_index(name)]
        near = np.linalg.norm(place - joint, axis=1).argsort()[:8]
        np.testing.assert_allclose(values[near], expected, atol=0.15)


@pytest.mark.parametrize('kind', KINDS)
def test_patterns(kind):
    rng = np.random.default_rng(2)
    pattern = random_pattern(rng, kind)
    rest = rng.uniform(-1, 1, (500, 3)).astype(np.float32)
    colors = pattern.paint(rest[:, :2], rest)
    distinct = len(np.unique(colors, axis=0))
    if kind == 'gradient':
        assert distinct > 300
    else:
        few = {'plain': 1, 'stripes': 2, 'dots': 2}
        assert distinct == few.get(kind, 3)


def test_photos(tmp_path):
    with pytest.raises(FileNotFoundError, match='holds no images'):
        find_photos(tmp_path)
    (tmp_path / 'sub').mkdir()
    Image.new('RGB', (90, 300), (10, 200, 30)).save(tmp_path / 'sub/a.png')
    (tmp_path / 'b.jpg').write_text('no image')
    photos = find_photos(tmp_path)
    assert [path.name for path in photos] == ['b.jpg', 'a.png']
    sample = make_sample(Studio(photos=photos[1:]), 0, 0, SIZE)
    empty = sample.rendering.face < 0
    green = sample.rendering.image[empty]
    assert np.median(green[:, 1]) > 3 * np.median(green[:, 0])
    with pytest.raises(ValueError, match=r'b\.jpg cannot be read'):
        make_sample(Studio(photos=photos[:1]), 0, 0, SIZE)


def test_photos_too_large_for_pillow(tmp_path, monkeypatch):
    path = tmp_path / 'a.png'
    Image.new('RGB', (90, 300)).save(path)
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 90 * 300 // 2 - 1)
    with pytest.raises(
        ValueError, match=r'a\.png cannot be read: Image size \(27000 pixels'
    ):
        make_sample(Studio(photos=[path]), 0, 0, SIZE)
