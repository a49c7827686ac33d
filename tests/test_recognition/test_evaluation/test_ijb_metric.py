"""The golden IJB toy through the metric, on any number of ranks."""

import itertools
import shutil

import numpy as np
import pytest
import torch
from mmengine.dataset import DefaultSampler
from mmengine.evaluator import Evaluator

from mmdense.distributed.collectives import rank
from mmdense.recognition.evaluation import IJBMetric
from mmdense.recognition.evaluation.ijb_protocol import IJBProtocol
from tests.golden import FOLDER, read_arrays, read_json

_META = FOLDER / 'partial_fc/ijb/meta'
_ALL = [f'N{n}D{d}F{f}' for n, d, f in itertools.product('01', repeat=3)]


def _golden():
    expected = read_json('partial_fc/ijb/expected.json')
    if expected is None:
        pytest.skip('no golden IJB protocol')
    return expected, read_arrays('partial_fc/ijb/ijb.npz')


def _name():
    return next(_META.glob('*_name_5pts_score.txt')).name.split('_')[0]


class _Sized:
    def __init__(self, size):
        self.size = size

    def __len__(self):
        return self.size


def _evaluate(variants, meta=str(_META), num_views=2, **kwargs):
    """One rank's part; returns what rank 0 keeps, too."""
    features = read_arrays('partial_fc/ijb/ijb.npz')['image_features']
    rows = np.concatenate(np.split(features, 2, axis=1))
    rows = torch.from_numpy(rows[: len(features) * num_views])
    metric = IJBMetric(variants=variants, device='cpu', **kwargs)
    evaluator = Evaluator([metric])
    evaluator.dataset_meta = dict(
        ijb_meta=meta, ijb_name=_name(), num_views=num_views
    )
    order = list(DefaultSampler(_Sized(len(rows)), shuffle=False))
    for start in range(0, len(order), 7):
        metric.process(
            None,
            [
                dict(embedding=rows[i], sample_idx=i)
                for i in order[start : start + 7]
            ],
        )
    results = evaluator.evaluate(len(rows))
    scores = {name: r.scores for name, r in metric.results_of.items()}
    return results, scores, rank()


@pytest.mark.golden
@pytest.mark.parametrize('size', [1, 2, 3])
def test_golden_table(ranks, size):
    expected, data = _golden()
    variants = list(expected['variants'])
    for results, scores, me in ranks(size)(_evaluate, variants):
        assert bool(scores) == (me == 0)
        for name in scores:
            np.testing.assert_allclose(
                scores[name], data[f'{name}_scores'], rtol=0, atol=1e-6
            )
        for name, facts in expected['variants'].items():
            prefix = f'{_name()}/{name}'
            for rule, key in (
                ('tar_nearest', 'tar_at_far_percent'),
                ('tar', 'tar_at_far_le_rule_percent'),
            ):
                for far, percent in facts[key].items():
                    got = results[f'{prefix}/{rule}@far={float(far):g}']
                    assert f'{100 * got:.2f}' == f'{percent:.2f}'
            assert results[f'{prefix}/auc'] == pytest.approx(facts['auc'])
        assert not any('rank-1' in key for key in results)


@pytest.fixture
def searched(tmp_path):
    """The toy with galleries: a template of each person, by halves."""
    _, data = _golden()
    meta = tmp_path / 'meta'
    shutil.copytree(_META, meta)
    person = dict(zip(data['templates'], data['identity'], strict=True))
    people = sorted(set(person.values()))
    mine = {p: [t for t in sorted(person) if person[t] == p] for p in people}
    galleries = {
        'G1': [mine[p][0] for p in people[::2]],
        'G2': [mine[p][0] for p in people[1::2]],
    }
    probes = [t for p in people for t in mine[p][1:]]
    for kind, templates in (
        *((f'gallery_{name}', rows) for name, rows in galleries.items()),
        ('probe_mixed', probes),
    ):
        (meta / f'{_name()}_1N_{kind}.csv').write_text(
            'TEMPLATE_ID,SUBJECT_ID\n'
            + ''.join(f'{t},{person[t] + 500}\n' for t in templates)
        )
    return meta, galleries, probes, person


def _search(searched):
    """1:N by sorting all similarities, for the first variant."""
    _, galleries, probes, person = searched
    _, data = _golden()
    row = {t: i for i, t in enumerate(data['template_ids'].tolist())}
    features = data['N1D1F1_template_features']
    first, rates = [], []
    for templates in galleries.values():
        mates, strangers = [], []
        for probe in probes:
            scores = {
                t: features[row[probe]] @ features[row[t]] for t in templates
            }
            ranked = sorted(templates, key=scores.get, reverse=True)
            same = [person[t] == person[probe] for t in ranked]
            if any(same):
                first.append(same.index(True) + 1)
                mates.append((first[-1], scores[ranked[same.index(True)]]))
            else:
                strangers.append(scores[ranked[0]])
        threshold = sorted(strangers)[-1 - int(0.1 * len(strangers))]
        rates.append(np.mean([r == 1 and s > threshold for r, s in mates]))
    return np.array(first), np.mean(rates)


@pytest.mark.golden
@pytest.mark.parametrize('size', [1, 2])
def test_search_equals_sorting(ranks, searched, size):
    first, rate = _search(searched)
    for results, _, _ in ranks(size)(_evaluate, ['N1D1F1'], str(searched[0])):
        for k in (1, 5, 10):
            assert results[f'{_name()}/rank-{k}'] == np.mean(first <= k)
        assert results[f'{_name()}/tpir@fpir=0.1'] == pytest.approx(rate)


@pytest.mark.golden
def test_embeddings_are_saved_image_by_image(tmp_path):
    _, data = _golden()
    path = tmp_path / 'new' / 'embeddings.npy'
    _evaluate(['N1D1F1'], save_embeddings=str(path))
    saved = np.load(path)
    assert saved.shape[:2] == (len(data['templates']), 2)
    assert np.array_equal(
        saved.reshape(len(saved), -1), data['image_features']
    )


@pytest.mark.golden
def test_without_mirror_images(ranks):
    _golden()
    results, _, _ = _evaluate(['N1D1F0'], num_views=1)
    both, _, _ = _evaluate(_ALL)
    for key, value in results.items():
        name, figure = key.split('/')
        assert both[f'{name}/N1D1F0/{figure}'] == value
    for outcome in ranks(2).outcomes(_evaluate, ['N1D1F1'], str(_META), 1):
        assert 'adds the embeddings of mirror images' in str(outcome)


@pytest.mark.golden
def test_templates_without_images_are_refused(tmp_path):
    _golden()
    meta = tmp_path / 'meta'
    shutil.copytree(_META, meta)
    (meta / f'{_name()}_template_pair_label.txt').write_text('1 999 1\n')
    with pytest.raises(ValueError, match='pairs name template 1, which has'):
        IJBProtocol(meta, _name())


@pytest.mark.golden
def test_another_number_of_images_is_refused(tmp_path):
    _golden()
    meta = tmp_path / 'meta'
    shutil.copytree(_META, meta)
    for kind in ('name_5pts_score', 'face_tid_mid'):
        path = meta / f'{_name()}_{kind}.txt'
        lines = path.read_text().splitlines(keepends=True)
        last = lines[-1].replace(lines[-1].split()[0], 'new.jpg', 1)
        path.write_text(''.join([*lines, last]))
    with pytest.raises(ValueError, match=r'embeddings of .* images, but'):
        _evaluate(['N1D1F1'], str(meta))


def test_bad_settings_are_refused():
    with pytest.raises(ValueError, match='variants is empty'):
        IJBMetric(variants=())
    with pytest.raises(ValueError, match="got variant 'N1'"):
        IJBMetric(variants=['N1'])
    with pytest.raises(ValueError, match="needs 'ijb_meta'"):
        IJBMetric().evaluate(3)
