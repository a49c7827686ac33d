"""check_config on configs of the hosts, and how it reads signatures."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from mmdense.apis.config_check.binding import accepted_arguments
from mmdense.apis.config_check.check import check_file


class Base:
    def __init__(self, a, b=1):
        pass


class Forwards(Base):
    def __init__(self, c, **kwargs):
        super().__init__(c, **kwargs)


class Skips(Forwards):
    def __init__(self, d, **kwargs):
        super(Forwards, self).__init__(b=d, **kwargs)


class Keeps(Base):
    def __init__(self, **kwargs):
        self.kept = kwargs


def test_arguments_that_bases_take():
    accepted = accepted_arguments(Forwards)
    # `a` is passed by position, so it cannot be given again.
    assert (accepted.names, accepted.is_open) == ({'c', 'b'}, False)
    assert accepted.required == {'c'}
    accepted = accepted_arguments(Skips)
    assert (accepted.names, accepted.is_open) == ({'d', 'a'}, False)
    assert accepted.required == {'d', 'a'}
    assert accepted_arguments(Keeps).is_open


# Each is large and has something of its own: wrappers, several heads, loops
# and hooks of the host, lists of evaluators, nested augmentation.
HOST_CONFIGS = [
    'mmdet/mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py',
    'mmdet/cascade_rcnn/cascade-mask-rcnn_x101-32x4d_fpn_20e_coco.py',
    'mmdet/dino/dino-4scale_r50_8xb2-12e_coco.py',
    'mmdet/yolox/yolox_s_8xb8-300e_coco.py',
    'mmdet/rtmdet/rtmdet_s_8xb32-300e_coco.py',
    'mmdet/soft_teacher/soft-teacher_faster-rcnn_r50-caffe_fpn_180k_'
    'semi-0.1-coco.py',
    'mmdet/guided_anchoring/ga-faster-rcnn_r50-caffe_fpn_1x_coco.py',
    'mmdet/mask2former/mask2former_r50_8xb2-lsj-50e_coco-panoptic.py',
    'mmpretrain/resnet/resnet50_8xb32_in1k.py',
    'mmpretrain/resnest/resnest50_32xb64_in1k.py',
    'mmpretrain/convnext/convnext-tiny_32xb128_in1k.py',
    'mmpretrain/vision_transformer/vit-base-p16_32xb128-mae_in1k.py',
    'mmpretrain/arcface/resnet50-arcface_8xb32_inshop.py',
    'mmpretrain/mocov3/mocov3_resnet50_8xb512-amp-coslr-100e_in1k.py',
]


@pytest.mark.parametrize('config', HOST_CONFIGS)
def test_configs_of_the_hosts_have_no_problem(config):
    library, _, path = config.partition('/')
    pytest.importorskip(library)
    folder = Path(find_spec(library).origin).parent / '.mim' / 'configs'
    assert [str(p) for p in check_file(str(folder / path))] == []


def test_a_mistake_that_a_host_ships():
    pytest.importorskip('mmdet')
    folder = Path(find_spec('mmdet').origin).parent / '.mim' / 'configs'
    config = (
        folder / 'pascal_voc' / 'faster-rcnn_r50_fpn_1x_voc0712-cocofmt.py'
    )
    found = [p.message for p in check_file(str(config))]
    # It inherits `eval_mode` from a config with another metric.
    assert found == ['CocoMetric takes no `eval_mode`'] * 2
