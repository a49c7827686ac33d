"""Record files (`.rec`, `.idx`) of mxnet and InsightFace, without mxnet.

Nothing here needs mmpretrain.
"""

from .container import RecordError as RecordError
from .header import ImageRecord as ImageRecord
from .header import pack_image as pack_image
from .header import unpack_image as unpack_image
from .images import decode_image as decode_image
from .layout import Layout as Layout
from .layout import read_labels as read_labels
from .layout import read_layout as read_layout
from .reader import RecordReader as RecordReader
from .scan import scan_records as scan_records
from .writer import RecordWriter as RecordWriter
