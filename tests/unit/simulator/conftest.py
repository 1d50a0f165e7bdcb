from __future__ import annotations

from pathlib import Path

import pytest
from virtual_client import SMALL, device

from sharpeyes.domain.camera import Codec
from sharpeyes.simulator.clip import ClipLibrary


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip cache of the session, with the small clips in it."""
    folder = tmp_path_factory.mktemp("clips")
    ClipLibrary(folder).prepare([SMALL, device(codec=Codec.H265).channels[0].streams[0][1]])
    return folder
