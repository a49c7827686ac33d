"""--tta and --show-dir on configs of the hosts."""

from importlib.util import find_spec
from pathlib import Path

import pytest
from mmengine.config import Config

from mmdense.apis.config_check.check import check_config
from mmdense.apis.config_file import load_config
from mmdense.apis.evaluation_options import enable_tta, enable_visualization

CONFIGS = {
    'mmdet': 'mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py',
    'mmpretrain': 'resnet/resnet50_8xb32_in1k.py',
}
UV_RCNN = (
    Path(__file__).parents[2]
    / 'configs/uv_rcnn/uv-rcnn_r50_fpn_1xb8-12e_synthetic-bodies.py'
)


@pytest.fixture(params=sorted(CONFIGS))
def host(request):
    pytest.importorskip(request.param)
    return request.param


@pytest.fixture
def cfg(host):
    folder = Path(find_spec(host).origin).parent / '.mim' / 'configs'
    return load_config(str(folder / CONFIGS[host]))


def test_default_tta_flips_and_fits_the_host(host, cfg):
    model, last = cfg.model.type, cfg.test_dataloader.dataset.pipeline[-1].type
    enable_tta(cfg)
    expected = {
        'mmdet': 'DetTTAModel',
        'mmpretrain': 'mmpretrain.AverageClsScoreTTA',
    }
    assert cfg.model.type == expected[host]
    assert cfg.model.module.type == model
    augmentation = cfg.test_dataloader.dataset.pipeline[-1]
    flips, (pack,) = augmentation.transforms
    assert [flip.prob for flip in flips] == [1.0, 0.0]
    assert pack.type == last
    # All of it exists and takes the arguments given.
    assert check_config(cfg, 'tta') == []


def test_default_tta_of_dense_pose_is_refused():
    cfg = load_config(str(UV_RCNN))
    with pytest.raises(ValueError, match='loses dense pose'):
        enable_tta(cfg)
    cfg.tta_model = dict(type='Mine')
    enable_tta(cfg)
    assert cfg.model.type == 'Mine'


def test_tta_of_the_config_is_used(cfg):
    cfg.tta_model = dict(type='Mine')
    cfg.tta_pipeline = [dict(type='MyTransform')]
    enable_tta(cfg)
    assert cfg.model.type == 'Mine'
    assert cfg.test_dataloader.dataset.pipeline == cfg.tta_pipeline


def test_tta_reaches_the_innermost_dataset(cfg):
    inner = cfg.test_dataloader.dataset
    cfg.test_dataloader.dataset = dict(type='RepeatDataset', dataset=inner)
    enable_tta(cfg)
    assert 'pipeline' not in cfg.test_dataloader.dataset
    pipeline = cfg.test_dataloader.dataset.dataset.pipeline
    assert pipeline[-1].type == 'TestTimeAug'


def test_visualization_sets_what_the_hook_takes(host, cfg):
    enable_visualization(cfg, show=False, show_dir='d', wait_time=1.0)
    expected = {
        'mmdet': dict(draw=True, test_out_dir='d'),
        'mmpretrain': dict(enable=True, out_dir='d'),
    }
    hook = cfg.default_hooks.visualization
    assert expected[host].items() <= dict(hook).items()
    assert (hook.show, hook.wait_time) == (False, 1.0)
    assert check_config(cfg, 'show') == []


def test_visualization_of_dense_pose():
    cfg = load_config(str(UV_RCNN))
    enable_visualization(cfg, False, 'painted', 1.0)
    hook = cfg.default_hooks.visualization
    assert (hook.draw, hook.test_out_dir) == (True, 'painted')


def test_visualization_needs_a_hook():
    with pytest.raises(ValueError, match='need default_hooks'):
        enable_visualization(Config(), True, None, 1.0)


def test_tta_without_a_host_needs_a_model():
    dataset = dict(type='D', pipeline=[dict(type='T')])
    cfg = Config(
        dict(model=dict(type='M'), test_dataloader=dict(dataset=dataset))
    )
    with pytest.raises(ValueError, match='--tta needs `tta_model`'):
        enable_tta(cfg)


def _recognition_config():
    pytest.importorskip('mmpretrain')
    name = 'partial-fc_resnet18-cosface_1xb128-6e_glyphs.py'
    folder = Path(__file__).parents[2] / 'configs/partial_fc'
    return load_config(str(folder / name))


def test_default_tta_of_embeddings_adds_them():
    cfg = _recognition_config()
    enable_tta(cfg)
    assert cfg.model.type == 'mmdense.EmbeddingTTAModel'
    flips, (pack,) = cfg.test_dataloader.dataset.pipeline[-1].transforms
    assert [flip.prob for flip in flips] == [1.0, 0.0]
    assert pack.type == 'mmpretrain.PackInputs'
    assert check_config(cfg, 'tta') == []


def test_tta_of_embeddings_takes_the_head_as_a_class():
    from mmdense.recognition.heads import PartialFCHead

    cfg = _recognition_config()
    cfg.model.head.type = PartialFCHead
    enable_tta(cfg)
    assert cfg.model.type == 'mmdense.EmbeddingTTAModel'


def test_tta_of_the_config_is_used_for_embeddings():
    cfg = _recognition_config()
    cfg.tta_model = dict(type='Mine')
    cfg.tta_pipeline = [dict(type='MyTransform')]
    enable_tta(cfg)
    assert cfg.model.type == 'Mine'
