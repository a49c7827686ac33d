"""Embeddings of all views are added up, as the golden figures are made."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.structures import BaseDataElement

from mmdense.distributed.sharding import ShardedTable
from mmdense.distributed.table_state import tables_of
from mmdense.recognition.embedding_tta import EmbeddingTTAModel
from mmdense.registry import MODELS
from tests.golden import read_arrays


class _Network(torch.nn.Module):
    """Hands out the embeddings of the golden data by image and view."""

    def __init__(self, arrays):
        super().__init__()
        self.arrays = arrays

    def test_step(self, data):
        return [
            BaseDataElement(
                metainfo=dict(sample_idx=i, flip=flip),
                embedding=torch.from_numpy(
                    self.arrays['emb_flip' if flip else 'emb'][i]
                ),
                topk_label=torch.tensor([i, int(flip)]),
            )
            for i, flip in data['inputs']
        ]


@pytest.mark.golden
def test_golden_sum_of_views():
    data = read_arrays('partial_fc/verification/verification.npz')
    model = EmbeddingTTAModel(_Network(data))
    count = len(data['emb'])
    # As TestTimeAug and pseudo_collate deliver it: a list for each view.
    views = [[(i, flip) for i in range(count)] for flip in (True, False)]
    merged = model.test_step(dict(inputs=views))
    assert [sample.sample_idx for sample in merged] == list(range(count))
    total = torch.stack([sample.embedding for sample in merged])
    np.testing.assert_allclose(
        torch.nn.functional.normalize(total.double()),
        data['normalised_sum'],
        atol=1e-6,
    )
    both = np.stack([data['emb'], data['emb_flip']]).astype('f8')
    np.testing.assert_allclose(
        [sample.embedding_norm for sample in merged],
        np.linalg.norm(both, axis=2).mean(axis=0),
        rtol=1e-6,
    )
    assert 'topk_label' not in merged[0]


def test_a_model_without_embeddings_is_refused():
    model = EmbeddingTTAModel(_Network({}))
    sample = BaseDataElement(pred_score=torch.zeros(2))
    with pytest.raises(ValueError, match=r"predicts \['pred_score'\]"):
        model.merge_preds([[sample, sample]])


def test_it_is_registered():
    model = MODELS.build(
        dict(type='mmdense.EmbeddingTTAModel', module=_Network({}))
    )
    assert isinstance(model, EmbeddingTTAModel)


def test_centers_keep_their_name():
    """A checkpoint of the plain model is loaded into the wrapped one."""
    network = torch.nn.Module()
    network.centers = ShardedTable(5, 3)
    network.test_step = None
    runner = SimpleNamespace(model=EmbeddingTTAModel(network))
    assert tables_of(runner) == {'centers': network.centers}
