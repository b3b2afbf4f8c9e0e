"""What belongs to an archive: each file once, data and not what lies beside it, trades told by their ids."""

import errno
import gzip
import json
import os
import zipfile
from pathlib import Path

import pytest

from pipelines.errors import DataError
from pipelines.ingest import SourceHints, expand_sources, read_archive

TRADES = "time,price\n1600000000,1\n1600000001,2\n"


def _file(path: Path, text: str = TRADES) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_file_of_two_spellings_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _file(tmp_path / "ticks" / "A.csv")
    monkeypatch.chdir(tmp_path)
    spellings = [path, "ticks/A.csv", "ticks/../ticks/A.csv", tmp_path / "ticks"]
    assert len(expand_sources(spellings)) == 1
    assert read_archive(spellings).rows_in == 2


def test_a_link_and_its_file_are_one_and_keep_the_name_of_the_file(tmp_path: Path) -> None:
    path = _file(tmp_path / "z.csv")
    (tmp_path / "a.csv").symlink_to(path)
    assert expand_sources([tmp_path]) == [path]
    assert expand_sources([tmp_path / "a.csv"]) == [tmp_path / "a.csv"]


def test_copies_are_refused_by_both_names(tmp_path: Path) -> None:
    copy, original = _file(tmp_path / "data (1).csv"), _file(tmp_path / "data.csv")
    with pytest.raises(DataError, match="holds the same rows as") as caught:
        read_archive([tmp_path])
    assert str(copy) in str(caught.value)
    assert str(original) in str(caught.value)


def test_a_file_beside_its_compressed_copy_is_refused(tmp_path: Path) -> None:
    text = "timestamp,price,volume\n1700000000,5,1\n1700000001,6,2\n1700000002,7,1\n"
    (tmp_path / "a.csv").write_text(text)
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(text.encode()))
    with pytest.raises(DataError, match=r"a\.csv\.gz: holds the same rows as .*a\.csv, which would count twice"):
        read_archive([tmp_path])


def test_an_unknown_zone_is_refused_also_where_times_need_none(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("timestamp,price,volume\n1700000000,5,1\n1700000001,6,2\n")
    with pytest.raises(DataError, match="--timezone Foo/Bar: unknown time zone"):
        read_archive([tmp_path], SourceHints(timezone="Foo/Bar"))


def test_equal_bytes_of_two_days_are_no_copies(tmp_path: Path) -> None:
    days = [_file(tmp_path / f"2020010{day}_trades.csv", "8715,1,5\n9000,2,5\n") for day in (2, 3)]
    found = read_archive(days, SourceHints(timezone="UTC"))
    assert found.frame["timestamp"].dt.day().to_list() == [2, 2, 3, 3]


def test_row_numbers_called_id_do_not_lose_the_second_file(tmp_path: Path) -> None:
    head = "id,timestamp,price\n"
    _file(tmp_path / "a.csv", head + "".join(f"{i},{1_600_000_000 + i},5\n" for i in range(10)))
    _file(tmp_path / "b.csv", head + "".join(f"{i},{1_600_001_000 + i},5\n" for i in range(10)))
    found = read_archive([tmp_path], SourceHints(symbol="A"))
    assert (found.rows_in, found.frame.height, found.rejected.height) == (20, 20, 0)


def test_documents_and_stores_beside_data_are_passed_over_and_named(tmp_path: Path) -> None:
    data = _file(tmp_path / "A.csv")
    readme = _file(tmp_path / "README.txt", "A, B\nC\n")
    licence = _file(tmp_path / "more" / "LICENSE-MIT.txt", "words")
    store = tmp_path / "features"
    for name in ("manifest.json", "feature_columns.json"):
        _file(store / name, json.dumps({}))
    _file(store / "symbol=A" / "date=2020-01-01" / "part-0.csv")
    found = read_archive([tmp_path])
    assert [report.path for report in found.sources] == [data]
    assert found.passed_over == [readme, store, licence]
    assert expand_sources([str(tmp_path / "*")]) == [data]
    assert expand_sources([str(tmp_path / "**" / "*.csv")]) == [data]
    for place in (store, tmp_path / "more"):
        with pytest.raises(DataError, match="only documents or a feature store"):
            expand_sources([place])


def test_a_file_that_is_named_is_never_passed_over(tmp_path: Path) -> None:
    path = _file(tmp_path / "README.txt")
    assert read_archive([path]).rows_in == 2


def test_documents_in_a_zip_are_passed_over_and_named(tmp_path: Path) -> None:
    path = tmp_path / "A.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("A/data.csv", TRADES)
        archive.writestr("A/README.md", "# words")
        archive.writestr("LICENSE", "words")
    found = read_archive([path])
    assert found.rows_in == 2
    assert found.sources[0].description.endswith("; passed over: A/README.md, LICENSE")


def test_files_of_unknown_endings_are_passed_over_and_named(tmp_path: Path) -> None:
    data, packed = _file(tmp_path / "A.csv"), _file(tmp_path / "more" / "A.csv.zst")
    _file(tmp_path / ".hidden.zst")
    _file(tmp_path / "_more" / "A.csv.zst")
    found = read_archive([tmp_path])
    assert ([report.path for report in found.sources], found.passed_over) == ([data], [packed])
    with pytest.raises(DataError, match=r"holds no market data, .* \(A\.csv\.zst, \.\.\.\); expected files .* \.csv"):
        expand_sources([tmp_path / "more"])


def test_linked_folders_are_entered_and_none_twice(tmp_path: Path) -> None:
    year = _file(tmp_path / "old" / "2019.csv")
    _file(tmp_path / "ticks" / "2020.csv", TRADES.replace("16", "17"))
    (tmp_path / "ticks" / "2019").symlink_to(year.parent)
    (tmp_path / "ticks" / "loop").symlink_to(tmp_path / "ticks")
    names = [str(path.relative_to(tmp_path)) for path in expand_sources([tmp_path / "ticks"])]
    assert names == ["ticks/2019/2019.csv", "ticks/2020.csv"]


def test_a_link_to_nothing_is_refused(tmp_path: Path) -> None:
    _file(tmp_path / "A.csv")
    (tmp_path / "notes").symlink_to("nowhere")
    assert expand_sources([tmp_path]) == [tmp_path / "A.csv"]
    (tmp_path / "B.csv").symlink_to("nowhere")
    with pytest.raises(DataError, match=r"B\.csv: a link to no file; .* mend the link, or remove it"):
        expand_sources([tmp_path])


def test_a_folder_that_cannot_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _file(tmp_path / "A.csv")
    _file(tmp_path / "locked" / "B.csv")
    listed = os.scandir

    def scandir(folder: str) -> object:  # rights do not keep root out
        if str(folder).endswith("locked"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
        return listed(folder)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(DataError, match=r"locked: cannot be read: Permission denied; check the folder and its rights"):
        expand_sources([tmp_path])


@pytest.mark.parametrize(("name", "told"), [(b"caf\xe9.csv", r"caf\?\.csv"), (b"a\nb.csv", r"a\?b\.csv")])
def test_a_name_that_no_line_of_text_holds_is_refused(tmp_path: Path, name: bytes, told: str) -> None:
    path = _file(tmp_path / os.fsdecode(name))
    with pytest.raises(DataError, match=rf"{told}: its name has control characters, or bytes .*: rename it"):
        expand_sources([path])
