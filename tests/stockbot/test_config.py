"""Settings: defaults, overrides, and what is said of a mistake."""

from pathlib import Path

import pytest
import yaml

from pipelines.parquet_writer import Encoding
from stockbot.config import Config, duration_ns, load_config, parse_config
from stockbot.errors import ConfigError


def test_resolved_copy_reads_back_equal(tmp_path: Path) -> None:
    overrides = {"windows.lookback": 10, "split.test": "2024-01-01", "bars.kind": "tick", "bars.size": 5}
    config = load_config(None, overrides)
    (tmp_path / "resolved.yaml").write_text(config.to_yaml())
    assert load_config(tmp_path / "resolved.yaml") == config
    assert config.windows.lookback == 10


def test_flags_override_the_file_and_none_does_not(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("training: {epochs: 3, seed: 1}\n")
    config = load_config(tmp_path / "config.yaml", {"training.epochs": 7, "training.seed": None})
    assert (config.training.epochs, config.training.seed) == (7, 1)


def test_an_empty_file_is_all_defaults(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("# nothing yet\n")
    assert load_config(tmp_path / "config.yaml") == Config()


def test_a_section_of_comments_alone_is_defaults_too(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("source:\n  # timezone: UTC\n")
    assert load_config(tmp_path / "config.yaml") == Config()
    assert load_config(tmp_path / "config.yaml", {"source.timezone": "UTC"}).source.timezone == "UTC"
    (tmp_path / "config.yaml").write_text("features:\n")
    with pytest.raises(ConfigError, match="`features`: Input should be a valid list; received None"):
        load_config(tmp_path / "config.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("windows: {lookbak: 3}", "`windows.lookbak` is not a setting; did you mean `lookback`?"),
        ("windos: {}", "`windos` is not a setting; did you mean `windows`?"),
        ("zzz: 1", "`zzz` is not a setting; known here: source, quality, bars"),
        ("windows: {lookback: ten}", "`windows.lookback`: Input should be a valid integer"),
        ("windows: {lookback: 0}", "`windows.lookback`: Input should be greater than or equal to 1; received 0"),
        (
            "quality: {policy: {missing_value: keep}}",
            "`quality.policy`: missing_value: such rows cannot be kept, for they hold no usable row; expected "
            "quarantine or fail, received 'keep'",
        ),
        ("quality: {policy: {crossed: keep}}", "`quality.policy`: crossed: no such reason, expected one of ragged_row"),
        ("quality: {policy: 3}", "`quality.policy`: Input should be a valid dictionary; received 3"),
        (
            "quality: {max_gap: long}",
            "`quality.max_gap`: expected auto or a duration such as 30s, 10m or 3d, received 'long'",
        ),
        ("windows: {max_gap: 5}", "`windows.max_gap`: expected auto or a duration such as 30s, 10m or 3d, received 5"),
        ("windows: 3", "`windows`: Input should be"),
        ("bars: {size: 1x}", "`bars`: expected a duration such as 500ms, 1s, 5m, 1h or 1d, received '1x'"),
        ("bars: {kind: tick, size: 1.5}", "expected a whole number of ticks, received 1.5"),
        ("bars: {kind: volume, size: -1}", "expected a number above 0, received -1"),
        ("store: {codec: gzip}", "`store.codec`: Input should be 'none', 'snappy', 'lz4' or 'zstd'; received 'gzip'"),
        ("store: {level: 3}", "`store`: `level` of lz4: expected null, levels are of zstd; received 3"),
        ("store: {codec: zstd, level: 0}", "`store.level`: Input should be greater than or equal to 1; received 0"),
        ("store: {row_group_rows: 10}", "`store.row_group_rows`: Input should be greater than or equal to 1024"),
        ("store: {rows: 10}", "`store.rows` is not a setting; known here: materialize, codec, level"),
        ("split: {test: 1.5}", "`split.test`: Input should be less than 1; received 1.5"),
        ("model: {dropout: .nan}", "`model.dropout`: Input should be a finite number"),
        (
            "model: {loss: bce}",
            "`model.loss`: expected one of mean_squared_error, mse, mean_absolute_error, mae, huber, "
            "log_cosh, auto for labels.objective regression, received 'bce'",
        ),
        ("model: {metrics: [mae, accuracy]}", "`model.metrics`: expected one of mean_absolute_error, mae"),
        ("{labels: {objective: direction}, model: {loss: huber}}", "expected one of binary_crossentropy, bce"),
        ("model: {metrics: [luck]}", "for labels.objective regression, received 'luck'"),
        (
            "training: {batch_size: 4, accumulate: 5}",
            "`training.accumulate`: expected at most training.batch_size (4), received 5",
        ),
        ("training: {accumulate: 2, xla: true}", "`training.xla`: expected auto or false where training.accumulate"),
        ("training: {weights: [class]}", "`training.weights`: class weights need labels.objective direction"),
        ("training: {clip_norm: 0}", "`training.clip_norm`: Input should be greater than 0; received 0"),
        ("windows: [", "config.yaml: not valid YAML at line 2"),
        ("- 1", "expected sections such as `windows:`, received a list"),
    ],
)
def test_mistakes_are_explained_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text + "\n")
    with pytest.raises(ConfigError) as error:
        load_config(path)
    assert message in str(error.value)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
    assert error.value.exit_code == 2


def test_the_store_is_encoded_as_its_writer_would() -> None:
    assert Encoding(**Config().store.model_dump(exclude={"materialize"})) == Encoding()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: cannot be read: No such file"):
        load_config(tmp_path / "none.yaml")


def test_every_knob_of_the_seed_is_there() -> None:
    text = yaml.safe_dump(Config().model_dump(mode="json"))
    for knob in ("lookback", "horizon", "batch_size", "epochs", "learning_rate", "lstm_units", "dropout", "loss",
                 "metrics", "split", "features", "bars", "costs"):  # fmt: skip
        assert f"{knob}:" in text


@pytest.mark.parametrize(("text", "ns"), [("500ms", 5 * 10**8), ("1m", 60 * 10**9), ("2d", 2 * 86400 * 10**9)])
def test_durations(text: str, ns: int) -> None:
    assert duration_ns(text) == ns


def test_values_are_checked_whatever_their_origin() -> None:
    with pytest.raises(ConfigError, match=r"bundle: `training\.epochs`"):
        parse_config({"training": {"epochs": 0}}, "bundle")
