"""The catalogue: every named feature as an expression, and the named sets.

A definition is one function; its name, inputs, warm-up and printed form all come from it.
"""

# Entering features is what these are for, and they are listed in this order.
# isort: off
from pipelines.catalogue import prices, flow, times, quotes, alphas  # noqa: F401

# isort: on
from pipelines.catalogue.registry import (
    FAMILIES,
    QUOTE_COLUMNS,
    SETS,
    TRADE_COLUMNS,
    Family,
    Feature,
    expand,
    feature,
    feature_set,
    parse_feature,
)

__all__ = [
    "FAMILIES",
    "QUOTE_COLUMNS",
    "SETS",
    "TRADE_COLUMNS",
    "Family",
    "Feature",
    "expand",
    "feature",
    "feature_set",
    "parse_feature",
]

CORE17 = (
    "logret_1 logret_5 logret_20 klen ksft vwap_dev_20 rvol_20 rvol_ratio_5_20 rsi_wilder_14 rsv_20 slope_20 vol_z_20 "
    "ofi_trade ofi_20 dt_log tod_sin tod_cos"
)
TICKS60 = (
    "logret_1 gap_co kmid klen kup klow ksft vwap_dev_20 ma_dev_20 ema_dev_12 zscore_20 rvol_20 rvol_ratio_5_20 "
    "park_20 gk_20 bipow_20 jump_20 semivar_dn_20 rsi_wilder_14 macd_line_12_26_9 bb_pos_20 bb_width_20 "
    "atr_wilder_14 adx_14 stoch_k_14 rsv_20 aroon_20 slope_20 rsq_20 resi_20 rank_20 q80_20 q20_20 er_20 "
    "autocorr_20 var_ratio_20_5 roll_spread_20 cs_spread_20 dvol_20 vol_z_20 dollar_z_20 trade_rate "
    "size_mean_z_20 size_max_share ofi_trade ofi_20 cnt_imb_20 cvd_slope_20 vpin_20 bvc_imb_20 kyle_20 amihud_20 "
    "hasb_20 px_vol_corr_20 cord_20 run_len run_max_20 sign_entropy_60 zero_tick_share_20 dt_log dt_cv_20 "
    "intensity_ratio_10_900 hawkes_buy_10 hawkes_sell_10 tod_sin tod_cos dow_sin dow_cos"
)
QUOTES12 = (
    "spread_bps spread_z_20 mid_ret_1 microprice_dev qimb qimb_sum_20 ofi_quote ofi_quote_sum_20 eff_spread trade_loc "
    "quote_rate depth_z_20"
)
feature_set("core17", CORE17.split())
feature_set("ticks60", TICKS60.split())
feature_set("quotes12", QUOTES12.split())
