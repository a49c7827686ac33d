import numpy as np
import pytest

from mmdense.densepose.synthetic.camera import look, random_camera


def test_level_camera_by_hand():
    camera = look(200, 100, 80.0, 1.5)
    # 4 m ahead, 1 m to the right, 0.5 m above the camera.
    point = camera.project(np.array([1.0, 2.0, -4.0]))
    np.testing.assert_allclose(point, [100 + 20, 50 - 10, 4.0])


def test_pitch_looks_down_and_roll_leans_to_the_right():
    ahead = np.array([0.0, 1.5, -4.0])
    down = look(200, 100, 80.0, 1.5, pitch=0.1).project(ahead)
    np.testing.assert_allclose(down[:2], [100, 50 - 80 * np.tan(0.1)])
    above = ahead + np.array([0, 1, 0])
    leaning = look(200, 100, 80.0, 1.5, roll=0.2).project(above)
    np.testing.assert_allclose(
        leaning[:2], [100 + 20 * np.sin(0.2), 50 - 20 * np.cos(0.2)]
    )


@pytest.mark.parametrize('seed', range(5))
def test_rays_lead_to_what_is_seen(seed):
    rng = np.random.default_rng(seed)
    camera, distance = random_camera(rng, 320, 240)
    xy = rng.uniform(0, 240, (20, 2))
    depth = rng.uniform(1, 9, (20, 1))
    points = camera.position + depth * camera.rays(*xy.T)
    np.testing.assert_allclose(
        camera.project(points), np.hstack((xy, depth)), atol=1e-9
    )
    middle = camera.project(np.array([0, 0.85, -distance]))
    assert abs(middle[1] - 120) < 0.35 * 240


def test_scaled_sees_the_same():
    camera, _ = random_camera(np.random.default_rng(0), 320, 240)
    points = np.random.default_rng(1).uniform(-1, 1, (9, 3)) - [0, 0, 5]
    half = camera.scaled(0.5).project(points)
    np.testing.assert_allclose(half[:, :2], camera.project(points)[:, :2] / 2)
