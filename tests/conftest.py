import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # reference, ordered, capi and the other helpers

import host  # noqa: E402


@pytest.fixture
def rng():
    return np.random.default_rng(20260101)


@pytest.fixture
def root():
    return host.ROOT


@pytest.fixture(scope="session")
def core_archive(tmp_path_factory):
    """The core, compiled for the host as a firmware project would compile it."""
    return host.build_library(tmp_path_factory.mktemp("core"))
