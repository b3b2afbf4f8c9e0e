"""The exceptions of the data layer; kept apart so that catching them imports nothing heavy."""


class DataError(Exception):
    """Bad input data: one line that names file, line or column, what was expected, what came, and the mend."""


class DamagedError(DataError):
    """A source that no setting makes readable, as after a broken transfer; others of its archive can do without it."""
