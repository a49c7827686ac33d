"""The search in chunks and on ranks against the sorted full matrix."""

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from mmdense.distributed.collectives import rank, world_size
from mmdense.recognition.functional import search_gallery

_FIELDS = ('num_mates', 'rank', 'average_precision')


def _problem(seed=0, num_queries=37, num_gallery=90, num_identities=16):
    """Noisy identities, some of them not in the gallery."""
    generator = torch.Generator().manual_seed(seed)
    centers = torch.randn(
        num_identities, 12, dtype=torch.float64, generator=generator
    )
    parts = []
    for count, highest in (
        (num_queries, num_identities),
        (num_gallery, num_identities - 4),
    ):
        labels = torch.randint(highest, (count,), generator=generator)
        noise = torch.randn(
            count, 12, dtype=torch.float64, generator=generator
        )
        length = 0.1 + 5 * torch.rand(count, 1, generator=generator)
        parts += [(centers[labels] + 0.9 * noise) * length, labels]
    return parts


def _reference(queries, query_labels, gallery, gallery_labels, skip=None):
    """All fields by definition, from the whole matrix in float64."""
    queries, gallery = (
        x.double().numpy() / np.linalg.norm(x.double(), axis=1)[:, None]
        for x in (queries, gallery)
    )
    scores = queries @ gallery.T
    rows = []
    for i, label in enumerate(query_labels.tolist()):
        keep = np.ones(len(gallery), bool)
        if skip is not None:
            keep[skip[i]] = False
        mate = (gallery_labels.numpy() == label)[keep]
        mine = scores[i][keep]
        order = np.argsort(-mine)
        places = np.flatnonzero(mate[order]) + 1
        precisions = np.arange(1, len(places) + 1) / np.maximum(places, 1)
        rows.append(
            (
                len(places),
                places[0] if len(places) else 0,
                precisions.mean() if len(places) else 0,
                mine[mate].max(initial=-np.inf),
                mine[~mate].max(initial=-np.inf),
            )
        )
    return [np.array(column) for column in zip(*rows, strict=True)]


def _assert_equal(found, expected):
    for name, values in zip(_FIELDS, expected, strict=False):
        np.testing.assert_allclose(
            getattr(found, name), values, rtol=0, atol=1e-12, err_msg=name
        )
    np.testing.assert_allclose(
        found.mate_score, expected[3], rtol=0, atol=1e-12
    )
    np.testing.assert_allclose(
        found.other_score, expected[4], rtol=0, atol=1e-12
    )


@pytest.mark.parametrize('seed', range(3))
@pytest.mark.parametrize(('block', 'chunk'), [(512, 8192), (5, 7), (1, 1)])
def test_equals_the_full_matrix(seed, block, chunk):
    problem = _problem(seed)
    found = search_gallery(*problem, query_block=block, gallery_chunk=chunk)
    expected = _reference(*problem)
    assert 0 < (expected[0] == 0).sum() < len(expected[0])
    assert (expected[1] > 1).any()
    _assert_equal(found, expected)


def _search_on_ranks(uneven, leave_one_out, block, chunk):
    problem = _problem(1)
    ids = [None, None]
    if leave_one_out:
        problem = [*problem[2:], *problem[2:]]
        numbers = torch.arange(len(problem[0])) * 7 % 1000
        ids = [numbers, numbers]
    size, me = world_size(), rank()
    parts = []
    for i, x in enumerate([*problem[:2], ids[0], *problem[2:], ids[1]]):
        if x is None:
            parts.append(None)
        elif not uneven:
            parts.append(x[me::size])
        else:
            # Rank 0 has no query, and the last none of the gallery.
            order = list(range(size))[:: 1 if i >= 3 else -1]
            sizes = [len(x) // 2 ** (j + 1) for j in range(size)]
            sizes[-1] = 0
            sizes[0] = len(x) - sum(sizes[1:])
            start = sum(sizes[: order[me]])
            parts.append(x[start : start + sizes[order[me]]])
    found = search_gallery(
        parts[0], parts[1], parts[3], parts[4], parts[2], parts[5],
        query_block=block, gallery_chunk=chunk,
    )  # fmt: skip
    return found, parts[0]


@pytest.mark.parametrize(
    ('size', 'uneven'),
    [(1, False), (2, False), (2, True), (3, False), (3, True)],
)
@pytest.mark.parametrize('leave_one_out', [False, True])
def test_ranks_equal_the_full_matrix(ranks, size, uneven, leave_one_out):
    results = ranks(size)(_search_on_ranks, uneven, leave_one_out, 8, 10)
    problem = _problem(1)
    if leave_one_out:
        problem = [*problem[2:], *problem[2:]]
    # In rank order, so the queries come as the ranks have them.
    queries = torch.cat([part for _, part in results])
    order = [int((problem[0] == row).all(dim=1).nonzero()) for row in queries]
    assert sorted(order) == list(range(len(problem[0])))
    expected = _reference(
        *problem, skip=range(len(problem[0])) if leave_one_out else None
    )
    for found, _ in results:
        _assert_equal(found, [column[order] for column in expected])


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
@pytest.mark.parametrize('chunk', [1, 3, 100])
def test_a_collapsed_network_gets_no_credit(dtype, chunk):
    """Equal scores: the others come first, whatever rounding does."""
    generator = torch.Generator().manual_seed(0)
    row = torch.randn(1, 301, generator=generator, dtype=dtype)
    lengths = 1 + torch.rand(20, 1, generator=generator, dtype=dtype)
    labels = torch.arange(20) % 5
    found = search_gallery(
        row * lengths[:6], labels[:6], row * lengths, labels,
        gallery_chunk=chunk,
    )  # fmt: skip
    assert (found.rank == 17).all()
    assert found.cmc(16)[-1] == 0
    places = np.arange(1, 5)
    precision = np.mean(places / (places + 16))
    np.testing.assert_allclose(found.average_precision, precision)


def test_identical_images_of_one_identity():
    problem = _problem(2)
    problem[2][:5] = problem[2][0]
    problem[3][:5] = problem[3][0]
    _assert_equal(search_gallery(*problem), _reference(*problem))


class _Largest(TorchDispatchMode):
    """Records the most elements of a tensor that any operation makes."""

    elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for x in tree_leaves(out):
            if isinstance(x, torch.Tensor):
                storage = x.untyped_storage().nbytes() // x.element_size()
                self.elements = max(self.elements, storage)
        return out


@pytest.mark.parametrize('num_gallery', [3000, 12000])
def test_memory_does_not_grow_with_the_gallery(num_gallery):
    """No tensor has more than two numbers per score of a block."""
    generator = torch.Generator().manual_seed(0)
    gallery = torch.randn(num_gallery, 2, generator=generator)
    labels = torch.arange(num_gallery)
    queries = torch.randn(700, 2, generator=generator)
    with _Largest() as largest:
        found = search_gallery(
            queries, labels[:700], gallery, labels,
            query_block=50, gallery_chunk=300,
        )  # fmt: skip
    assert (found.num_mates == 1).all()
    assert largest.elements <= 2 * 50 * 300


def _with_nan_on_rank_1():
    problem = _problem()
    if rank() == 1:
        problem[2][3, 1] = float('nan')
    search_gallery(*problem)


def test_errors_are_raised_on_all_ranks(ranks):
    for outcome in ranks(2).outcomes(_with_nan_on_rank_1):
        assert 'embedding of the gallery is NaN' in str(outcome)


def test_bad_arguments_are_refused():
    queries, labels, gallery, gallery_labels = _problem()
    with pytest.raises(ValueError, match=r'queries .*\(37,\) and \(36,\)'):
        search_gallery(queries[:, 0], labels[1:], gallery, gallery_labels)
    with pytest.raises(ValueError, match='12 dimensions, the gallery 3'):
        search_gallery(queries, labels, gallery[:, :3], gallery_labels)
    with pytest.raises(ValueError, match='no query on any'):
        search_gallery(queries[:0], labels[:0], gallery, gallery_labels)
    with pytest.raises(ValueError, match='no gallery sample on any'):
        search_gallery(queries, labels, gallery[:0], gallery_labels[:0])


def _found(seed=0):
    problem = _problem(seed, num_queries=60)
    return search_gallery(*problem), problem


def test_cmc_and_map_by_definition():
    found, problem = _found()
    expected = _reference(*problem)
    mated = expected[0] > 0
    cmc = found.cmc(30)
    for k in range(1, 31):
        assert cmc[k - 1] == pytest.approx(np.mean(expected[1][mated] <= k))
    assert found.mean_average_precision == pytest.approx(
        expected[2][mated].mean()
    )


@pytest.mark.parametrize('rank_', [1, 3])
def test_tpir_is_the_best_within_the_fpir(rank_):
    found, problem = _found(1)
    _, ranks_, _, mates, others = _reference(*problem)
    mated = ranks_ > 0
    fpirs = [0, 0.05, 0.1, 0.3, 0.5, 0.99]
    for fpir, got in zip(fpirs, found.tpir(fpirs, rank_), strict=True):
        best = max(
            np.mean((mates > threshold) & (ranks_ <= rank_), where=mated)
            for threshold in [*others, *mates[mated]]
            if np.mean(others[~mated] > threshold) <= fpir
        )
        assert got == pytest.approx(best), fpir


def test_what_cannot_be_said_is_refused():
    found, _ = _found()
    with pytest.raises(ValueError, match='fpir must be in'):
        found.tpir([1.0])
    queries, labels, gallery, gallery_labels = _problem()
    none = search_gallery(queries, labels + 100, gallery, gallery_labels)
    for ask in (
        lambda: none.cmc(1),
        lambda: none.mean_average_precision,
        lambda: none.tpir([0.1]),
    ):
        with pytest.raises(ValueError, match='none of 37 queries has a mate'):
            ask()
    all_ = search_gallery(gallery, gallery_labels, gallery, gallery_labels)
    with pytest.raises(ValueError, match='every query has a mate'):
        all_.tpir([0.1])
