"""Fixtures that every test may use."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from pipelines.catalogue import FAMILIES, SETS
from tests.pipelines.bucket import bucket, served  # noqa: F401 fixtures

settings.register_profile("stockbot", deadline=None)  # the first example of a kernel compiles it
settings.load_profile("stockbot")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def market_data() -> Path:
    """The folder of real recorded market data; tests that need it are skipped on machines without it."""
    folder = Path(os.environ.get("STOCKBOT_MARKET_DATA", ROOT.parent / "shared" / "market-data"))
    if not folder.is_dir():
        pytest.skip("needs the real market data folder (set STOCKBOT_MARKET_DATA)")
    return folder


@pytest.fixture
def catalogue() -> Iterator[None]:
    """What a test enters is taken out again."""
    families, sets = dict(FAMILIES), dict(SETS)
    yield
    for registry, saved in ((FAMILIES, families), (SETS, sets)):
        registry.clear()
        registry.update(saved)
