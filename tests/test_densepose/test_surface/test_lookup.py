"""From (part, u, v) to entries, against the evaluator's plain search."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from mmdense.densepose.surface import BodySurface
from mmdense.densepose.surface.lookup import UVLookup


def _plain(part, uv, queries):
    """The first of the nearest entries, one query at a time."""
    found = []
    for number, u, v in queries:
        entries = np.flatnonzero(part == number)
        distance = cdist([[u, v]], uv[entries])[0]
        found.append(entries[distance.argmin()])
    return np.array(found)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([3, 17, 255]))
def test_is_the_first_of_the_nearest(seed, steps):
    """On grids there are ties of all kinds, equal entries among them."""
    rng = np.random.default_rng(seed)
    part = rng.permutation(np.r_[1:25, rng.integers(1, 25, 200)])
    uv = rng.integers(0, steps + 1, (len(part), 2)) / steps
    numbers = rng.integers(1, 25, 300)
    u, v = rng.integers(0, 2 * steps + 1, (2, 300)) / (2 * steps)
    found = UVLookup(part.astype(np.uint8), uv).nearest(numbers, u, v)
    expected = _plain(part, uv, zip(numbers, u, v, strict=True))
    assert np.array_equal(found, expected)


def _surface(rng, parts=range(1, 25), size=500):
    part = rng.choice(list(parts), size)
    return BodySurface(
        name='points',
        part=part,
        uv=rng.random((size, 2)),
        vertex=rng.integers(0, 300, size),
        num_vertices=300,
    )


def test_the_table_is_exact_for_8_bits():
    rng = np.random.default_rng(0)
    surface = _surface(rng, parts=[1, 2, 7, 24])
    part = rng.choice([1, 2, 7, 24], 2000)
    u, v = rng.integers(0, 256, (2, 2000), dtype=np.uint8)
    found = surface.vertex_of_quantized(part, u, v)
    queries = zip(part, u / 255.0, v / 255.0, strict=True)
    expected = surface.vertex[_plain(surface.part, surface.uv, queries)]
    assert np.array_equal(found, expected)
    exact = surface.vertex_of(part, u / 255.0, v / 255.0)
    assert np.array_equal(found, exact)


def test_arguments_broadcast():
    surface = _surface(np.random.default_rng(1))
    vertex = surface.vertex_of(3, np.zeros((4, 1)), np.ones(5))
    assert vertex.shape == (4, 5)
    assert surface.entry_of(3, 0.5, 0.5).shape == ()
    assert surface.vertex_of(np.empty(0, int), [], []).shape == (0,)
    one = surface.vertex_of_quantized(
        np.full((2, 3), 3), np.uint8(0), np.uint8(255)
    )
    assert np.all(one == surface.vertex_of(3, 0, 1))


def test_no_vertex_stands_in_for_a_missing_part():
    surface = _surface(np.random.default_rng(2), parts=[1, 2])
    with pytest.raises(ValueError, match=r'part 3 \(right_hand\).*parts 1, 2'):
        surface.vertex_of([1, 3], 0.5, 0.5)
    zeros = np.zeros(3, dtype=np.uint8)
    vertex = surface.vertex_of_quantized(np.array([0, 3, 1]), zeros, zeros)
    assert vertex.tolist()[:2] == [-1, -1]
    assert vertex[2] >= 0


@pytest.mark.parametrize('part', [0, 25, -1])
def test_parts_out_of_range(part):
    surface = _surface(np.random.default_rng(3))
    with pytest.raises(ValueError, match=rf'in 1\.\.24, got {part}'):
        surface.vertex_of([1, part], 0.5, 0.5)
    if part:
        zeros = np.zeros(2, dtype=np.uint8)
        with pytest.raises(ValueError, match=rf'in 0\.\.24, got {part}'):
            surface.vertex_of_quantized(np.array([1, part]), zeros, zeros)


def test_wrong_kinds_of_numbers():
    surface = _surface(np.random.default_rng(4))
    with pytest.raises(ValueError, match='finite'):
        surface.vertex_of(1, [0.5, np.nan], 0.5)
    with pytest.raises(TypeError, match='integers, got an array of float64'):
        surface.vertex_of(1.0, 0.5, 0.5)
    with pytest.raises(TypeError, match=r'uint8.*float64'):
        surface.vertex_of_quantized(1, 0.5, 0.5)
