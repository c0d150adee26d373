"""The table: every indicator of the ``ta`` package, its parameters, its outputs, and where it is computed otherwise.

Not the arithmetic. ``why`` says how a row differs from ``ta`` 0.11 and for what reason; a row without it is ``ta``'s
own. Where TA-Lib has an indicator too, the tests hold both against it.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from quant import _catalogue_own as own
from quant import _talib_engine as talib
from quant._catalogue_types import Indicator, Output, Param, Params

__all__ = ["ROWS"]

_MOST = 500
_C = ("close",)
_HL = ("high", "low")
_HLC = ("high", "low", "close")
_CV = ("close", "volume")
_HLCV = ("high", "low", "close", "volume")

_SEED = "started from a simple average (TA-Lib, StockCharts); ta starts from the first value"
_FAKE = "ta shows values before its windows are full; those are blank here"
_WILDER = "started from a simple average as Wilder did; ta starts from 0"


def _n(default: int, name: str = "window", ta: str = "", low: int = 1) -> Param:
    return Param(name, default, low, _MOST, ta or name)


def _x(default: float, name: str, low: float, high: float, ta: str = "") -> Param:
    return Param(name, default, low, high, ta or name)


def _ema(window: int) -> int:
    return math.ceil(3.46 * (window + 1))


def _wilder(window: int) -> int:
    return math.ceil(6.91 * window)


def _w(extra: int = 0, name: str = "window") -> Callable[[Params], int]:
    return lambda p: p[name] + extra


def _fixed(bars: int) -> Callable[[Params], int]:
    return lambda _: bars


def _late_signal(p: Params) -> int:
    return p["slow"] + p["signal"] - 1


def _signal(name: str) -> tuple[Output, ...]:
    unit = "price" if name == "macd" else "percent"
    return (
        Output(name, name, unit, _w(0, "slow")),
        Output("signal", f"{name}_signal", unit, _late_signal),
        Output("diff", f"{name}_diff" if name == "macd" else f"{name}_hist", unit, _late_signal),
    )


_FAST_SLOW_SIGNAL = (
    _n(12, "fast", "window_fast"),
    _n(26, "slow", "window_slow"),
    _n(9, "signal", "window_sign"),
)


def _settled_signal(p: Params) -> int:
    return p["slow"] + p["signal"] + _ema(p["slow"]) + _ema(p["signal"])


def _kst_bars(p: Params) -> int:
    return max(p[f"roc{i}"] + p[f"window{i}"] for i in (1, 2, 3, 4))


def _stc_bars(p: Params) -> int:
    return p["slow"] + 2 * p["cycle"] + p["smooth1"] + p["smooth2"] - 4


def _keltner_bars(p: Params) -> int:
    return p["window"] if p["original"] else max(p["window"], p["atr"] + 1)


def _donchian_bars(p: Params) -> int:
    return p["window"] + p["offset"]


def _ahead(p: Params) -> int:
    return p["window2"] if p["visual"] else 0


# A table is read by rows, not by one value a line.
# fmt: off
ROWS: tuple[Indicator, ...] = (
    # --- momentum ---------------------------------------------------------------------------------------------------
    Indicator(
        "rsi", "momentum", "Wilder's relative strength index, 0 to 100; blank until a price changes", "RSIIndicator",
        _C, (_n(14, low=2),), (Output("rsi", "rsi", "percent", _w(1)),),
        lambda p: 1 + p["window"] + _wilder(p["window"]), talib.rsi, "talib",
        _WILDER + ", shows the first value a bar early and 100 where nothing moved",
    ),
    Indicator(
        "tsi", "momentum", "True strength index: twice smoothed momentum, -100 to 100", "TSIIndicator",
        _C, (_n(25, "slow", "window_slow"), _n(13, "fast", "window_fast")),
        (Output("tsi", "tsi", "percent", lambda p: p["slow"] + p["fast"]),),
        lambda p: p["slow"] + p["fast"] + _ema(p["slow"]) + _ema(p["fast"]),
    ),
    Indicator(
        "uo", "momentum", "Ultimate oscillator: buying pressure over three windows, 0 to 100", "UltimateOscillator",
        _HLC, (_n(7, "window1"), _n(14, "window2"), _n(28, "window3"), _x(4.0, "weight1", 0.01, 100),
               _x(2.0, "weight2", 0.01, 100), _x(1.0, "weight3", 0.01, 100)),
        (Output("uo", "ultimate_oscillator", "percent", lambda p: 1 + max(p["window1"], p["window2"], p["window3"])),),
        lambda p: 1 + max(p["window1"], p["window2"], p["window3"]), aliases=("ultimate_oscillator",),
    ),
    Indicator(
        "stoch", "momentum", "Stochastic oscillator: the close in its range (%K) and its mean (%D)",
        "StochasticOscillator", _HLC, (_n(14), _n(3, "smooth", "smooth_window")),
        (Output("stoch", "stoch", "percent", _w()),
         Output("signal", "stoch_signal", "percent", lambda p: p["window"] + p["smooth"] - 1)),
        lambda p: p["window"] + p["smooth"] - 1, shown=2, aliases=("stochastic",),
    ),
    Indicator(
        "kama", "momentum", "Kaufman's adaptive moving average", "KAMAIndicator",
        _C, (_n(10), _n(2, "fast", "pow1"), _n(30, "slow", "pow2")), (Output("kama", "kama", "price", _w()),),
        lambda p: p["window"] + 3 * _ema(p["slow"]), own.kama, "own",
        "ta lets the last close into the first window (np.roll), which later sums carry as rounding",
    ),
    Indicator(
        "roc", "momentum", "Rate of change over a window, in percent", "ROCIndicator",
        _C, (_n(12),), (Output("roc", "roc", "percent", _w(1)),), _w(1),
    ),
    Indicator(
        "awesome", "momentum", "Awesome oscillator: short less long mean of bar midpoints",
        "AwesomeOscillatorIndicator", _HL, (_n(5, "fast", "window1"), _n(34, "slow", "window2")),
        (Output("awesome", "awesome_oscillator", "price", lambda p: max(p["fast"], p["slow"])),),
        lambda p: max(p["fast"], p["slow"]), rising=("fast", "slow"), aliases=("ao", "awesome_oscillator"),
    ),
    Indicator(
        "williams_r", "momentum", "Williams %R: the close below the window's high, -100 to 0", "WilliamsRIndicator",
        _HLC, (_n(14, "window", "lbp"),), (Output("williams_r", "williams_r", "percent", _w()),), _w(),
        aliases=("wr", "willr"),
    ),
    Indicator(
        "stochrsi", "momentum", "Wilder's RSI in its own range, 0 to 1, and two smoothings", "StochRSIIndicator",
        _C, (_n(14, low=2), _n(3, "smooth1"), _n(3, "smooth2")),
        (Output("stochrsi", "stochrsi", "ratio", lambda p: 2 * p["window"]),
         Output("k", "stochrsi_k", "ratio", lambda p: 2 * p["window"] + p["smooth1"] - 1),
         Output("d", "stochrsi_d", "ratio", lambda p: 2 * p["window"] + p["smooth1"] + p["smooth2"] - 2)),
        lambda p: 2 * p["window"] + p["smooth1"] + p["smooth2"] + _wilder(p["window"]),
        own.stochrsi, "own", "of Wilder's RSI: " + _WILDER + "; blank where only rounding gives it a range", shown=3,
    ),
    Indicator(
        "ppo", "momentum", "Percentage price oscillator: MACD in percent of the slow average",
        "PercentagePriceOscillator", _C, _FAST_SLOW_SIGNAL, _signal("ppo"), _settled_signal,
        talib.ppo, "talib", _SEED, shown=3, rising=("fast", "slow"),
    ),
    Indicator(
        "pvo", "momentum", "Percentage volume oscillator: the same of volume", "PercentageVolumeOscillator",
        ("volume",), _FAST_SLOW_SIGNAL, _signal("pvo"), _settled_signal,
        talib.pvo, "talib", _SEED, shown=3, rising=("fast", "slow"),
    ),
    # --- volume -----------------------------------------------------------------------------------------------------
    Indicator(
        "adi", "volume", "Accumulation/distribution line", "AccDistIndexIndicator",
        _HLCV, (), (Output("adi", "acc_dist_index", "volume", _fixed(1)),), _fixed(1), cumulative=True, aliases=("ad",),
    ),
    Indicator(
        "obv", "volume", "On-balance volume", "OnBalanceVolumeIndicator",
        _CV, (), (Output("obv", "on_balance_volume", "volume", _fixed(1)),), _fixed(1),
        talib.obv, "talib", "ta adds the volume of a bar that closes unchanged; Granville leaves it out",
        cumulative=True,
    ),
    Indicator(
        "cmf", "volume", "Chaikin money flow, -1 to 1", "ChaikinMoneyFlowIndicator",
        _HLCV, (_n(20),), (Output("cmf", "chaikin_money_flow", "ratio", _w()),), _w(), aliases=("chaikin",),
    ),
    Indicator(
        "force_index", "volume", "Elder's force index: smoothed price change times volume", "ForceIndexIndicator",
        _CV, (_n(13),), (Output("force_index", "force_index", "number", _w(1)),),
        lambda p: 1 + p["window"] + _ema(p["window"]), aliases=("fi",),
    ),
    Indicator(
        "eom", "volume", "Ease of movement and its mean (volume in units of 100 million)", "EaseOfMovementIndicator",
        ("high", "low", "volume"), (_n(14),),
        (Output("eom", "ease_of_movement", "number", _fixed(2)),
         Output("mean", "sma_ease_of_movement", "number", _w(1))),
        _w(1), shown=2, aliases=("emv", "ease_of_movement"),
    ),
    Indicator(
        "vpt", "volume", "Volume-price trend; smoothing 0 is none", "VolumePriceTrendIndicator",
        _CV, (_n(0, "smoothing", "smoothing_factor", low=0),),
        (Output("vpt", "volume_price_trend", "volume", lambda p: 1 + max(p["smoothing"], 1)),),
        lambda p: 1 + max(p["smoothing"], 1), cumulative=True,
    ),
    Indicator(
        "nvi", "volume", "Negative volume index, from 1000", "NegativeVolumeIndexIndicator",
        _CV, (), (Output("nvi", "negative_volume_index", "number", _fixed(1)),), _fixed(1),
        own.nvi, "own", "the same values; ta takes 0.4 s for 10,000 bars", cumulative=True,
    ),
    Indicator(
        "mfi", "volume", "Money flow index, 0 to 100", "MFIIndicator",
        _HLCV, (_n(14),), (Output("mfi", "money_flow_index", "percent", _w(1)),), _w(1),
        own.mfi, "own",
        "ta is slow and shows the first value a bar early; it and TA-Lib take equal prices that only rounding tells "
        "apart for a rise or a fall",
    ),
    Indicator(
        "vwap", "volume", "Volume-weighted average price of the last bars (not since the open)",
        "VolumeWeightedAveragePrice", _HLCV, (_n(14),),
        (Output("vwap", "volume_weighted_average_price", "price", _w()),), _w(),
    ),
    # --- volatility -------------------------------------------------------------------------------------------------
    Indicator(
        "atr", "volatility", "Wilder's average true range", "AverageTrueRange",
        _HLC, (_n(14),), (Output("atr", "average_true_range", "price", _w(1)),),
        lambda p: 1 + p["window"] + _wilder(p["window"]), talib.atr, "talib",
        "ta fills the warm-up with 0 and counts the first bar, which has no true range",
    ),
    Indicator(
        "bbands", "volatility", "Bollinger bands: mean and standard deviations round it", "BollingerBands",
        _C, (_n(20, low=2), _x(2.0, "dev", 0.01, 20, "window_dev")),
        (Output("middle", "bollinger_mavg", "price", _w()), Output("upper", "bollinger_hband", "price", _w()),
         Output("lower", "bollinger_lband", "price", _w()), Output("width", "bollinger_wband", "percent", _w()),
         Output("percent", "bollinger_pband", "ratio", _w()),
         Output("above", "bollinger_hband_indicator", "flag", _w()),
         Output("below", "bollinger_lband_indicator", "flag", _w())),
        _w(), why=_FAKE + " (0 for above and below)", shown=3, aliases=("bollinger", "bollinger_bands", "bb"),
    ),
    Indicator(
        "keltner", "volatility", "Keltner channel: his own, or (original=false) EMA with ATR bands", "KeltnerChannel",
        _HLC, (_n(20), _n(10, "atr", "window_atr"), _x(2.0, "multiplier", 0.01, 20),
               Param("original", True, 0, 1, "original_version")),
        (Output("middle", "keltner_channel_mband", "price", _w()),
         Output("upper", "keltner_channel_hband", "price", _keltner_bars),
         Output("lower", "keltner_channel_lband", "price", _keltner_bars),
         Output("width", "keltner_channel_wband", "percent", _keltner_bars),
         Output("percent", "keltner_channel_pband", "ratio", _keltner_bars),
         Output("above", "keltner_channel_hband_indicator", "flag", _keltner_bars),
         Output("below", "keltner_channel_lband_indicator", "flag", _keltner_bars)),
        lambda p: p["window"] if p["original"] else p["window"] + max(_ema(p["window"]), _wilder(p["atr"])),
        own.keltner, "own",
        _FAKE + "; what only rounding puts beyond a band is not; with ATR bands: " + _SEED, shown=3, aliases=("kc",),
    ),
    Indicator(
        "donchian", "volatility", "Donchian channel: highest high and lowest low, offset bars ago", "DonchianChannel",
        _HLC, (_n(20), _n(0, "offset", low=0)),
        (Output("middle", "donchian_channel_mband", "price", _donchian_bars),
         Output("upper", "donchian_channel_hband", "price", _donchian_bars),
         Output("lower", "donchian_channel_lband", "price", _donchian_bars),
         Output("width", "donchian_channel_wband", "percent", _donchian_bars),
         Output("percent", "donchian_channel_pband", "ratio", _donchian_bars)),
        _donchian_bars, shown=3,
        why="a negative offset looks ahead: ta allows it, the table does not", aliases=("dc",),
    ),
    Indicator(
        "ulcer", "volatility", "Ulcer index: depth of drawdowns from the window's high, in percent", "UlcerIndex",
        _C, (_n(14),), (Output("ulcer", "ulcer_index", "percent", lambda p: 2 * p["window"] - 1),),
        lambda p: 2 * p["window"] - 1, own.ulcer, "own",
        "ta begins before the window of the high is full; it is blank here", aliases=("ui",),
    ),
    # --- trend ------------------------------------------------------------------------------------------------------
    Indicator(
        "macd", "trend", "Moving average convergence/divergence, its signal and their difference", "MACD",
        _C, _FAST_SLOW_SIGNAL, _signal("macd"), _settled_signal, talib.macd, "talib", _SEED,
        shown=3, rising=("fast", "slow"),
    ),
    Indicator(
        "sma", "trend", "Simple moving average", "SMAIndicator",
        _C, (_n(20),), (Output("sma", "sma_indicator", "price", _w()),), _w(), why="ta has no default window",
    ),
    Indicator(
        "ema", "trend", "Exponential moving average", "EMAIndicator",
        _C, (_n(14),), (Output("ema", "ema_indicator", "price", _w()),), lambda p: p["window"] + _ema(p["window"]),
        talib.ema, "talib", _SEED,
    ),
    Indicator(
        "wma", "trend", "Linearly weighted moving average", "WMAIndicator",
        _C, (_n(9, low=2),), (Output("wma", "wma", "price", _w()),), _w(),
        talib.wma, "talib", "the same values; ta takes 0.7 s for 10,000 bars",
    ),
    Indicator(
        "aroon", "trend", "Aroon: up less down, how long ago the extremes were", "AroonIndicator",
        _HL, (_n(25, low=2),),
        (Output("aroon", "aroon_indicator", "percent", _w(1)), Output("up", "aroon_up", "percent", _w(1)),
         Output("down", "aroon_down", "percent", _w(1))),
        _w(1), talib.aroon, "talib", "of equal extremes the latest counts; ta takes the oldest, and is slow", shown=3,
    ),
    Indicator(
        "adx", "trend", "Average directional index, +DI and -DI", "ADXIndicator",
        _HLC, (_n(14, low=2),),
        (Output("adx", "adx", "percent", lambda p: 2 * p["window"]), Output("pos", "adx_pos", "percent", _w(1)),
         Output("neg", "adx_neg", "percent", _w(1))),
        lambda p: 2 * p["window"] + 2 * _wilder(p["window"]), talib.adx, "talib",
        "ta fills the warm-up with 0 and takes 0.1 s for 10,000 bars; seeds differ; it and TA-Lib take equal moves up "
        "and down that only rounding tells apart for different ones",
        shown=3, aliases=("dmi",),
    ),
    Indicator(
        "cci", "trend", "Commodity channel index", "CCIIndicator",
        _HLC, (_n(20, low=2), _x(0.015, "constant", 0.0001, 1)), (Output("cci", "cci", "number", _w()),), _w(),
        talib.cci, "talib", "the same values; ta takes 0.1 s for 10,000 bars and shows rounding where nothing moves",
    ),
    Indicator(
        "psar", "trend", "Wilder's parabolic stop and reverse; up and down: by trend", "PSARIndicator",
        _HLC, (_x(0.02, "step", 0.001, 1), _x(0.2, "max_step", 0.001, 1)),
        (Output("psar", "psar", "price", _fixed(2)), Output("up", "psar_up", "price", _fixed(2)),
         Output("down", "psar_down", "price", _fixed(2)), Output("turned_up", "psar_up_indicator", "flag", _fixed(2)),
         Output("turned_down", "psar_down_indicator", "flag", _fixed(2))),
        _fixed(150), own.psar, "own",
        "ta takes 1 s, starts from the close, always upward, bounds the stop by one of the last two bars only, and "
        "with dates as index and pandas 3 writes to the wrong place. The values are TA-Lib's, which shows no trend",
        aliases=("sar", "parabolic_sar"),
    ),
    Indicator(
        "ichimoku", "trend", "Ichimoku cloud; visual=true: the spans where they are drawn, window2 bars on",
        "IchimokuIndicator", _HL,
        (_n(9, "window1"), _n(26, "window2"), _n(52, "window3"), Param("visual", False, 0, 1, "visual")),
        (Output("conversion", "ichimoku_conversion_line", "price", _w(0, "window1")),
         Output("base", "ichimoku_base_line", "price", _w(0, "window2")),
         Output("a", "ichimoku_a", "price", lambda p: max(p["window1"], p["window2"]) + _ahead(p)),
         Output("b", "ichimoku_b", "price", lambda p: p["window3"] + _ahead(p))),
        lambda p: max(p["window1"], p["window2"], p["window3"]) + _ahead(p), own.ichimoku, "own",
        "ta begins span b before its window is full, and fills moved spans with the mean of all bars, later ones too",
        shown=4,
    ),
    Indicator(
        "trix", "trend", "Change of the triple exponential average, in percent", "TRIXIndicator",
        _C, (_n(15),), (Output("trix", "trix", "percent", lambda p: 3 * p["window"] - 1),),
        lambda p: 3 * p["window"] + 3 * _ema(p["window"]), talib.trix, "talib", _SEED,
    ),
    Indicator(
        "mass_index", "trend", "Mass index: widening of the range", "MassIndex",
        _HL, (_n(9, "fast", "window_fast"), _n(25, "slow", "window_slow")),
        (Output("mass_index", "mass_index", "number", lambda p: 2 * p["fast"] + p["slow"] - 2),),
        lambda p: 2 * p["fast"] + p["slow"] + 2 * _ema(p["fast"]),
    ),
    Indicator(
        "dpo", "trend", "Detrended price: the close half a window ago less the mean now; looks at no later bar",
        "DPOIndicator", _C, (_n(20),),
        (Output("dpo", "dpo", "price", lambda p: max(p["window"], int(0.5 * p["window"] + 1) + 1)),),
        lambda p: p["window"] + 2, why="for windows below 3 ta fills with the mean of all bars; blank here",
    ),
    Indicator(
        "kst", "trend", "Know sure thing: four smoothed rates of change, and its signal", "KSTIndicator",
        _C, (*(_n(bars, f"roc{i}") for i, bars in ((1, 10), (2, 15), (3, 20), (4, 30))),
             *(_n(bars, f"window{i}") for i, bars in ((1, 10), (2, 10), (3, 10), (4, 15))), _n(9, "signal", "nsig")),
        (Output("kst", "kst", "number", _kst_bars),
         Output("signal", "kst_sig", "number", lambda p: _kst_bars(p) + p["signal"] - 1),
         Output("diff", "kst_diff", "number", lambda p: _kst_bars(p) + p["signal"] - 1)),
        lambda p: _kst_bars(p) + p["signal"], own.kst, "own",
        "ta fills the first bars' past with the mean of all bars, later ones too; blank here", shown=3,
    ),
    Indicator(
        "stc", "trend", "Schaff trend cycle, 0 to 100", "STCIndicator",
        _C, (_n(23, "fast", "window_fast"), _n(50, "slow", "window_slow"), _n(10, "cycle", low=2), _n(3, "smooth1"),
             _n(3, "smooth2")),
        (Output("stc", "stc", "percent", _stc_bars),),
        lambda p: _stc_bars(p) + 2 * _ema(p["slow"]), rising=("fast", "slow"), aliases=("schaff",),
    ),
    Indicator(
        "vortex", "trend", "Vortex: upward less downward movement, and both", "VortexIndicator",
        _HLC, (_n(14),),
        (Output("vortex", "vortex_indicator_diff", "ratio", _w(1)),
         Output("pos", "vortex_indicator_pos", "ratio", _w(1)),
         Output("neg", "vortex_indicator_neg", "ratio", _w(1))),
        _w(1), own.vortex, "own", "ta takes the mean of all closes, later ones too, for the close before the first bar",
        shown=3,
    ),
    # --- others -----------------------------------------------------------------------------------------------------
    Indicator(
        "daily_return", "others", "Change since the bar before, in percent (of any timeframe)", "DailyReturnIndicator",
        _C, (), (Output("daily_return", "daily_return", "percent", _fixed(2)),), _fixed(2), aliases=("return",),
    ),
    Indicator(
        "daily_log_return", "others", "The same as a logarithm, times 100", "DailyLogReturnIndicator",
        _C, (), (Output("daily_log_return", "daily_log_return", "percent", _fixed(2)),), _fixed(2),
        aliases=("log_return",),
    ),
    Indicator(
        "cumulative_return", "others", "Change since the first bar, in percent", "CumulativeReturnIndicator",
        _C, (), (Output("cumulative_return", "cumulative_return", "percent", _fixed(1)),), _fixed(1), cumulative=True,
    ),
)
# fmt: on
