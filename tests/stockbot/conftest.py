"""One tiny trained model for all tests that only read it."""

from pathlib import Path

import pytest

from pipelines.store import FeatureStore
from stockbot.bundle import Bundle
from tests.stockbot.markets import make_store, tiny_config, wave


@pytest.fixture(scope="session")
def wave_store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    """Two symbols, 260 rows each."""
    return make_store(tmp_path_factory.mktemp("wave"), {"AAA": wave(260), "BBB": wave(260, seed=1)})


@pytest.fixture(scope="session")
def sealed(wave_store: FeatureStore, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of one sealed model; copy it (`shutil.copytree`) before changing anything."""
    from stockbot.train import train

    return train(tiny_config(), wave_store, tmp_path_factory.mktemp("sealed") / "artifacts").path


@pytest.fixture(scope="session")
def sealed_bundle(sealed: Path) -> Bundle:
    """The same model, loaded."""
    return Bundle.load(sealed)
