"""The pointer moves whole or not at all, only to bundles that pass their checks, and every move is written down."""

import json
import shutil
from pathlib import Path

import pytest
from filelock import FileLock

from stockbot.bundle import Bundle
from stockbot.errors import ArtifactError, StockbotError
from stockbot.promote import current, exclusive, promote, rollback
from stockbot.sealing import seal


@pytest.fixture
def artifacts(sealed: Path, tmp_path: Path) -> Path:
    """Two bundles that differ in their log."""
    models = tmp_path / "artifacts" / "models"
    shutil.copytree(sealed, models / sealed.name)
    staging = shutil.copytree(sealed, models / "staging")
    manifest = json.loads((staging / "manifest.json").read_bytes())
    (staging / "manifest.json").unlink()
    (staging / "training_log.txt").write_text("the second\n")
    seal(staging, models, manifest)
    return models.parent


def ids(artifacts: Path, sealed: Path) -> tuple[str, str]:
    second = next(path for path in (artifacts / "models").iterdir() if path.name != sealed.name)
    return Bundle.load(sealed).id, Bundle.load(second).id


def test_promote_and_rollback_move_the_pointer_and_the_log(artifacts: Path, sealed: Path) -> None:
    first, second = ids(artifacts, sealed)
    assert current(artifacts) is None
    promote(artifacts, first[:16], "the first one")
    pointer = promote(artifacts, second, "a better one", {"loss": 0.5})
    assert json.loads((artifacts / "current.json").read_bytes()) == pointer
    assert pointer | {"promoted_at": ""} == {
        "model": second, "previous": first, "reason": "a better one", "metrics": {"loss": 0.5}, "promoted_at": "",
    }  # fmt: skip
    assert rollback(artifacts, "too nervous")["model"] == first
    assert rollback(artifacts, "calm again")["model"] == current(artifacts) == second
    lines = (artifacts / "promotions.log").read_text().splitlines()
    assert [line.split()[1] for line in lines] == ["promote", "promote", "rollback", "rollback"]
    assert lines[2].endswith(f"rollback model={first} previous={second} reason=too nervous")


def test_promoting_the_current_model_again_keeps_the_way_back(artifacts: Path, sealed: Path) -> None:
    first, second = ids(artifacts, sealed)
    promote(artifacts, first, "one")
    promote(artifacts, second, "two")
    assert promote(artifacts, second, "again")["previous"] == first
    assert len((artifacts / "promotions.log").read_text().splitlines()) == 2


def test_an_altered_bundle_is_not_promoted(artifacts: Path, sealed: Path) -> None:
    first, second = ids(artifacts, sealed)
    promote(artifacts, first, "one")
    (artifacts / "models" / second[:16] / "model.onnx").write_bytes(b"")
    before = (artifacts / "current.json").read_bytes()
    with pytest.raises(ArtifactError, match=r"model\.onnx: altered"):
        promote(artifacts, second, "two")
    assert (artifacts / "current.json").read_bytes() == before


def test_there_must_be_an_earlier_model_to_return_to(artifacts: Path, sealed: Path) -> None:
    promote(artifacts, ids(artifacts, sealed)[0], "one")
    with pytest.raises(ArtifactError, match="no earlier model to return to"):
        rollback(artifacts, "nerves")


@pytest.mark.parametrize("content", ["{", "\x00\xff", "[]", '{"model": 3}', '{"model": "a", "previous": 3}'])
def test_a_damaged_pointer_is_named_and_a_promotion_mends_it(artifacts: Path, sealed: Path, content: str) -> None:
    (artifacts / "current.json").write_text(content)
    with pytest.raises(ArtifactError, match=r"current\.json: (not valid|expected).*`stockbot-hp promote MODEL`"):
        current(artifacts)
    with pytest.raises(ArtifactError, match=r"current\.json: (not valid|expected)"):
        rollback(artifacts, "nerves")
    first, _ = ids(artifacts, sealed)
    with pytest.raises(ArtifactError, match=r"current\.json: (not valid|expected)"):
        promote(artifacts, first, "compared with what was current", instead_of=None)
    assert promote(artifacts, first, "by hand")["previous"] is None
    assert current(artifacts) == first


def test_a_second_holder_of_the_lock_is_turned_away(tmp_path: Path) -> None:
    with (
        FileLock(tmp_path / ".lock"),
        pytest.raises(StockbotError, match="another run holds this lock"),
        exclusive(tmp_path / ".lock", timeout=0.0),
    ):
        pytest.fail("the lock was given twice")


def test_an_artifacts_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "artifacts").write_text("a file")
    with pytest.raises(ArtifactError, match=r"artifacts: cannot be written: .* --artifacts"):
        promote(tmp_path / "artifacts", "latest", "one")
