"""Recognition with millions of identities for OpenMMLab.

Importing the package is cheap: it checks the installed stack, lets configs
inherit ours as `_base_ = 'mmdense::...'` and prepares the stand-in for
mmcv's compiled ops. mmdet, mmpretrain and mmcv are imported only when a type
that needs them is built.
"""

from .compat.versions import check_stack
from .version import __version__

check_stack()

# After the check, so that a missing mmengine gives its advice.
from mmengine.config import utils as _config_utils  # noqa: E402

from .compat.mmcv_ext import install_finder  # noqa: E402

# mmengine refuses `_base_ = 'pkg::...'` for packages outside this table.
_config_utils.MODULE2PACKAGE.setdefault('mmdense', 'mmdense')
install_finder()

__all__ = ['__version__']
