"""The one exception of the data layer; kept apart so that catching it imports nothing heavy."""


class DataError(Exception):
    """Bad input data: one line that names file, line or column, what was expected, what came, and the mend."""
