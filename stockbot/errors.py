"""The exception family of the application; each class carries the exit code of the command line."""


class StockbotError(Exception):
    """The work failed: one line that says what, where, expected, received, and how to mend it."""

    exit_code = 1


class UsageError(StockbotError):
    """The command was called wrongly."""

    exit_code = 2


class TerminatedError(BaseException):
    """SIGTERM arrived: the work ends as it does on Ctrl-C, and says so."""

    exit_code = 143

    def __init__(self) -> None:
        super().__init__("terminated")


class ConfigError(UsageError):
    """`config.yaml` or an override of it is not valid."""


class ArtifactError(StockbotError):
    """A run, bundle or pointer under `artifacts/` is missing, altered or does not fit."""


class PromotionRefusedError(StockbotError):
    """The candidate did not earn the place of the current model."""


class AuditError(StockbotError):
    """Something of the future may reach training."""


class PrunedError(StockbotError):
    """A trial of a search was ended because others were further at the same epoch."""
