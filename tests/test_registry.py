"""Types are found without importing what they do not need."""

import inspect
import subprocess
import sys
import textwrap

import pytest
from mmengine.registry import Registry

from mmdense.registry import LazyRegistry


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, '-c', textwrap.dedent(code)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_type_of_recognition_does_not_import_mmdet():
    run("""
        import sys
        import mmdense
        from mmdense.registry import MODELS
        MODELS.get('mmdense.ArcFaceLoss')
        assert 'mmdet' not in sys.modules
    """)


def test_recognition_works_where_mmdet_is_broken():
    run("""
        import sys
        import mmdense
        from mmdense.registry import MODELS
        class Broken:
            def find_spec(self, name, path=None, target=None):
                if name == 'mmdet.models':
                    raise ImportError('mmdet is broken')
        sys.meta_path.insert(0, Broken())
        MODELS.get('mmdense.ArcFaceLoss')
        MODELS.get('mmdense.DensePointsLoss')
    """)


def test_dense_pose_without_mmdet():
    run("""
        import importlib.util
        import sys
        find_spec = importlib.util.find_spec
        importlib.util.find_spec = (
            lambda name, *args: None
            if name == 'mmdet'
            else find_spec(name, *args)
        )
        sys.modules['mmdet'] = None
        import mmdense
        from mmdense.registry import MODELS
        names = 'ASPPTrunk ConvTrunk PanopticFPNDecoder UVHead UVRoIHead'
        for name in names.split():
            try:
                MODELS.build({'type': f'mmdense.{name}'})
            except ImportError as error:
                assert f'mmdense.{name} needs mmdet' in str(error), error
            else:
                raise AssertionError(name)
        MODELS.build({'type': 'mmdense.DensePointsLoss'})
        assert 'UVHead' in MODELS.module_dict
    """)


def test_every_model_of_dense_pose_is_known_as_missing_without_mmdet():
    from mmdense.densepose import models, roi_heads

    text = inspect.getsource(models)
    for name, value in vars(roi_heads).items():
        if inspect.isclass(value):
            assert f"'{name}'" in text


MODULE = """
import tests.test_registry as test
class {name}: pass
test.REGISTRY.register_module(module={name})
"""
REGISTRY = LazyRegistry(
    'thing',
    parent=Registry('thing', scope='lazy_parent'),
    scope='lazy_scope',
    locations=['lazy_a', 'lazy_broken', 'lazy_b'],
)


def test_order_and_errors(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    for name in 'ab':
        text = MODULE.format(name=name.upper())
        (tmp_path / f'lazy_{name}.py').write_text(text)
    (tmp_path / 'lazy_broken.py').write_text('import not_there_at_all')
    assert REGISTRY.get('A').__name__ == 'A'
    assert 'lazy_b' not in sys.modules
    # What cannot be imported matters only to types that are nowhere else.
    assert REGISTRY.get('lazy_scope.B').__name__ == 'B'
    with pytest.raises(ImportError, match='not_there_at_all'):
        REGISTRY.get('C')
    REGISTRY.parent.register_module(name='D', module=dict)
    assert REGISTRY.get('D') is dict
