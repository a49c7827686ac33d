"""Data sets of identities."""

from mmdense.compat.missing import register_missing
from mmdense.compat.versions import is_available
from mmdense.registry import DATASETS

from .noisy_labels import NoisyLabels as NoisyLabels
from .query_gallery import QueryGallery as QueryGallery

if is_available('mmpretrain'):
    from .glyphs import GlyphIdentities as GlyphIdentities
    from .ijb_images import IJBImages as IJBImages
    from .list_dataset import ListDataset as ListDataset
    from .recordio_dataset import RecordIODataset as RecordIODataset
    from .verification_packs import VerificationPacks as VerificationPacks
else:
    register_missing(
        DATASETS,
        'mmpretrain',
        [
            'GlyphIdentities',
            'IJBImages',
            'ListDataset',
            'RecordIODataset',
            'VerificationPacks',
        ],
    )
