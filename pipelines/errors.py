"""The exceptions of the data layer; kept apart so that catching them imports nothing heavy."""


class DataError(Exception):
    """Bad input data: one line that names file, line or column, what was expected, what came, and the mend."""


class DamagedError(DataError):
    """A source whose bytes are not what their format promises, as after a broken transfer."""
