"""Body surfaces: meshes with charts, geodesics and symmetry."""

from .body_surface import BodySurface as BodySurface
from .build import build_surface as build_surface
from .build import build_symmetry as build_symmetry
from .geodesics import ComputedDistances as ComputedDistances
from .obj_file import read_obj as read_obj
from .official import load_official as load_official
from .official import load_uv_processed as load_uv_processed
from .surface_file import read_surface as read_surface
from .surface_file import write_surface as write_surface
from .symmetry import SymmetryTables as SymmetryTables
