"""A store that is built in a bucket: finished partitions are put there at once, and the manifest last.

Files are named by their content and put if absent, so that a try that was interrupted, or another writer, can only have
put the same. The journal of what is finished lies beside them, an object a partition, so that another machine can go on
with the build. The manifest is put only if it is still the one that the build went on from.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from pipelines import store as stores
from pipelines.errors import DataError
from pipelines.files import canonical_json
from pipelines.journal import FOLDER
from pipelines.making import Record
from pipelines.manifest import items_of
from pipelines.objects import ObjectPath
from pipelines.parts import Entry

_DIGITS = 16  # of the identity of the plan, in the place of its journal


@dataclass(frozen=True)
class Upload:
    """Where the partitions of a build go.

    Attributes:
        out: the store. plan: identity of the build, which others do not go on with.
        version: of the manifest that it goes on from or replaces; None where there was none.
    """

    out: ObjectPath
    plan: str
    version: str | None

    @property
    def _journal(self) -> ObjectPath:
        return self.out / FOLDER / self.plan[:_DIGITS]

    def add(self, root: Path, name: str, record: Record) -> None:
        """Put the files of a finished partition, and then its record; the files below `root` are removed then."""
        items = items_of(record)
        for item in items:
            self._put(root, item)
        (self._journal / quote(name, safe="^") / f"{record['date']}.json").put(canonical_json(record))
        for item in items:
            (root / item["path"]).unlink(missing_ok=True)

    def _put(self, root: Path, item: Mapping[str, Any]) -> None:
        path = root / item["path"]
        if path.exists():
            (self.out / item["path"]).put_if_absent(Entry.of(item).read(path))

    def entered(self) -> list[tuple[str, Record]]:
        """(name, record) of all partitions that were finished, those of a name in the order of time."""
        found = []
        for key in sorted(self._journal.sizes()):
            record = json.loads((self._journal / key).read_bytes())
            found.append((unquote(key.partition("/")[0]), record))
        return found

    def publish(self, root: Path, manifest: dict[str, Any]) -> None:
        """Put what is left below `root`, and make all of it the store by a new manifest.

        Raises:
            DataError: another writer was first.
        """
        for item in stores.listed(manifest):
            self._put(root, item)
        sizes = self.out.sizes()
        missing = [item["path"] for item in stores.listed(manifest) if sizes.get(item["path"]) != item["size"]]
        if missing:
            raise DataError(f"{self.out / missing[0]}: was put, and is gone or altered; run the same command again")
        stores.write_manifest(root, manifest)
        data = (root / stores.MANIFEST).read_bytes()
        if not (self.out / stores.MANIFEST).put_if_still(data, self.version):
            raise DataError(
                f"{self.out}: another writer published while this build was under way, and this one is refused; run "
                "the same command again to go on from what is there now"
            )

    def clear(self) -> None:
        """Remove the journal, that of other plans too: what they went on from is no more."""
        (self.out / FOLDER).delete()

    def require_vacant(self) -> None:
        """Raises DataError when something is there that is neither a store nor what a build of one left."""
        foreign = sorted(name for name in self.out.sizes() if not stores.is_ours(name))
        if foreign:
            raise DataError(f"{self.out}: holds {foreign[0]} and is not a feature store; give another place with --out")
