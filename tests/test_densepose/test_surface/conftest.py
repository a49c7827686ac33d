import pytest


@pytest.fixture(autouse=True)
def cache_dir(tmp_path_factory, monkeypatch):
    """What is computed stays out of the user's cache."""
    folder = tmp_path_factory.mktemp('cache')
    monkeypatch.setenv('MMDENSE_CACHE_DIR', str(folder))
    return folder
