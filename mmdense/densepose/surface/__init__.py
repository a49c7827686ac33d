"""Body surfaces: meshes with charts, geodesics and symmetry."""
