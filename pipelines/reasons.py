"""Why a row may be no market data, and what is done with it: kept and counted, quarantined, or the end of the build."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pipelines.errors import DataError

Action = Literal["keep", "quarantine", "fail"]
ACTIONS: tuple[Action, ...] = ("keep", "quarantine", "fail")

RAGGED_ROW = "ragged_row"
MALFORMED_QUOTE = "malformed_quote"
UNPARSABLE_TIMESTAMP = "unparsable_timestamp"
TIMESTAMP_UNIT = "timestamp_unit"  # an epoch number of another unit than those of its file
AMBIGUOUS_LOCAL_TIME = "ambiguous_local_time"
NONEXISTENT_LOCAL_TIME = "nonexistent_local_time"
MISSING_VALUE = "missing_value"
NOT_FINITE = "not_finite"  # NaN, or infinite
UNPARSABLE_NUMBER = "unparsable_number"
ZERO_SIDED_QUOTE = "zero_sided_quote"
NON_POSITIVE_PRICE = "non_positive_price"
NEGATIVE_VOLUME = "negative_volume"
CROSSED_QUOTE = "crossed_quote"
INCONSISTENT_OHLC = "inconsistent_ohlc"
DUPLICATE_TRADE_ID = "duplicate_trade_id"
DUPLICATE_CANDLE = "duplicate_candle"
NON_MONOTONIC = "non_monotonic"  # its time steps back in its file
OUTLIER_PRINT = "outlier_print"  # its price leaves the local level and comes straight back
OUTSIDE_SESSION = "outside_session"  # of the exchange calendar that was given
LATE = "late"  # older than what the feature store already holds

# What is done unless the settings say otherwise. Rows of the first kind lack a time, a price or a volume that the
# canonical rows promise, or would count twice in a symbol's candles: they cannot be kept.
_UNUSABLE: dict[str, Action] = dict.fromkeys(
    (
        RAGGED_ROW, MALFORMED_QUOTE, UNPARSABLE_TIMESTAMP, TIMESTAMP_UNIT, AMBIGUOUS_LOCAL_TIME, NONEXISTENT_LOCAL_TIME,
        MISSING_VALUE, NOT_FINITE, UNPARSABLE_NUMBER, ZERO_SIDED_QUOTE, NON_POSITIVE_PRICE, NEGATIVE_VOLUME,
        DUPLICATE_CANDLE, LATE,
    ),
    "quarantine",
)  # fmt: skip
_USABLE: dict[str, Action] = {
    CROSSED_QUOTE: "quarantine",
    INCONSISTENT_OHLC: "quarantine",
    DUPLICATE_TRADE_ID: "quarantine",
    NON_MONOTONIC: "keep",
    OUTLIER_PRINT: "keep",
    OUTSIDE_SESSION: "keep",
}
DEFAULT_POLICY: dict[str, Action] = {**_UNUSABLE, **_USABLE}

# The bit of a reason in the column of a kept row's findings.
KEPT = "_kept"
KEPT_BITS = {reason: 1 << bit for bit, reason in enumerate(_USABLE)}


def kind_of(reason: str) -> str:
    """The reason without the column or the count that it names."""
    return reason.partition(":")[0]


def whole_policy(stated: Mapping[str, str]) -> dict[str, Action]:
    """The action for each reason, the defaults where none is stated.

    Raises:
        DataError: an unknown reason or action, or rows to keep that cannot be used.
    """
    policy = dict(DEFAULT_POLICY)
    for reason, action in stated.items():
        where = f"quality.policy.{reason}"
        if reason not in DEFAULT_POLICY:
            raise DataError(
                f"{where}: no such reason, expected one of {', '.join(DEFAULT_POLICY)}; received {reason!r}"
            )
        if action not in ACTIONS:
            raise DataError(f"{where}: expected one of {', '.join(ACTIONS)}, received {action!r}")
        if action == "keep" and reason in _UNUSABLE:
            raise DataError(
                f"{where}: such rows cannot be kept, for they hold no usable row; expected quarantine or fail, "
                "received 'keep'"
            )
        policy[reason] = action
    return policy


@dataclass(frozen=True, kw_only=True)
class Quality:
    """What is held against the rows of an archive.

    policy : what is done with rows of a reason; the whole of it once it is here
    calendar : of the exchange whose sessions the rows are of, as `exchange_calendars` names it
    max_gap_ns : longest step between rows that is no gap; None for the automatic rule

    Raises
    ------
    DataError : an unknown reason or action, or rows to keep that cannot be used.
    """

    policy: Mapping[str, Action] = field(default_factory=dict)
    calendar: str | None = None
    max_gap_ns: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "policy", whole_policy(self.policy))
