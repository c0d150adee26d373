"""Binance's spot REST service on loopback: its paths, JSON, signatures, error codes and limits.

Not a matching engine: orders are filled when a test says so.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, unquote

from bus.clock import NS, wall_ns

__all__ = ["Binance", "Row", "Trade", "pair"]

_ID = re.compile(r"[a-zA-Z0-9\-_]{1,36}")
_ENDED = ("FILLED", "CANCELED", "EXPIRED", "REJECTED")
_NEEDS = {
    "MARKET": ("quantity",),
    "LIMIT": ("timeInForce", "quantity", "price"),
    "STOP_LOSS": ("quantity", "stopPrice"),
    "STOP_LOSS_LIMIT": ("timeInForce", "quantity", "price", "stopPrice"),
}
_WEIGHTS = {
    ("GET", "exchangeInfo"): 20,
    ("GET", "klines"): 2,
    ("GET", "account"): 20,
    ("GET", "order"): 4,
    ("GET", "openOrders"): 6,
    ("GET", "allOrders"): 20,
    ("GET", "myTrades"): 20,
}
_EVERY_SYMBOL = 80


class Refusal(Exception):
    """An answer of the exchange's that is an error."""

    def __init__(self, code: int, msg: str, status: int = 400, headers: dict[str, str] | None = None) -> None:
        super().__init__(msg)
        self.body = {"code": code, "msg": msg}
        self.status = status
        self.headers = headers or {}


@dataclass
class Trade:
    """One execution."""

    trade_id: int
    order_id: int
    symbol: str
    price: Decimal
    qty: Decimal
    commission: Decimal
    coin: str
    time: int
    buyer: bool
    maker: bool = True

    def json(self) -> dict[str, Any]:
        return {
            "symbol": self.symbol,
            "id": self.trade_id,
            "orderId": self.order_id,
            "orderListId": -1,
            "price": f"{self.price:.8f}",
            "qty": f"{self.qty:.8f}",
            "quoteQty": f"{self.price * self.qty:.8f}",
            "commission": f"{self.commission:.8f}",
            "commissionAsset": self.coin,
            "time": self.time,
            "isBuyer": self.buyer,
            "isMaker": self.maker,
            "isBestMatch": True,
        }


@dataclass
class Row:
    """One order."""

    order_id: int
    symbol: str
    client_id: str
    side: str
    kind: str
    tif: str
    qty: Decimal
    price: Decimal
    stop: Decimal
    time: int
    status: str = "NEW"
    filled: Decimal = Decimal(0)
    spent: Decimal = Decimal(0)
    update_time: int = 0
    sticky: bool = False
    triggered: bool = False

    def json(self) -> dict[str, Any]:
        return {
            "symbol": self.symbol,
            "orderId": self.order_id,
            "orderListId": -1,
            "clientOrderId": self.client_id,
            "price": f"{self.price:.8f}",
            "origQty": f"{self.qty:.8f}",
            "executedQty": f"{self.filled:.8f}",
            "origQuoteOrderQty": "0.00000000",
            "cummulativeQuoteQty": f"{self.spent:.8f}",
            "status": self.status,
            "timeInForce": self.tif,
            "type": self.kind,
            "side": self.side,
            "stopPrice": f"{self.stop:.8f}",
            "icebergQty": "0.00000000",
            "time": self.time,
            "updateTime": self.update_time or self.time,
            "isWorking": not self.stop or self.triggered,
            "workingTime": self.time,
            "selfTradePreventionMode": "EXPIRE_MAKER",
        }


@dataclass
class Balance:
    free: Decimal = Decimal(0)
    locked: Decimal = Decimal(0)


@dataclass
class Binance:
    """The exchange's books, with one account.

    Attributes:
        key: The account's API key; ``secret`` signs.
        arrived: How often each client order id was taken.
        asked: Method and path of every request, with its parameters.
        skew_ms: By how much its clock is ahead of this machine's.
        hidden: Executions that are not told yet.
        commission: The share that is taken of what is received; ``fee_coin`` pays it instead, where it is set.
    """

    key: str
    secret: str
    pairs: dict[str, dict[str, Any]]
    balances: dict[str, Balance] = field(default_factory=dict[str, Balance])
    book: dict[str, tuple[Decimal, Decimal]] = field(default_factory=dict[str, tuple[Decimal, Decimal]])
    rows: dict[int, Row] = field(default_factory=dict[int, Row])
    trades: list[Trade] = field(default_factory=list[Trade])
    hidden: set[int] = field(default_factory=set[int])
    arrived: Counter[str] = field(default_factory=Counter[str])
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list[tuple[str, str, dict[str, str]]])
    skew_ms: int = 0
    commission: Decimal = Decimal(0)
    fee_coin: str = ""
    next_id: int = 28_000
    next_trade: int = 500
    weight_limit: int = 6_000
    used_weight: int = 0
    order_limit: int = 100
    fill_on_arrival: bool = False
    candles: dict[str, Decimal] = field(default_factory=dict[str, Decimal])

    def now_ms(self) -> int:
        return wall_ns() // (NS // 1000) + self.skew_ms

    def coin(self, name: str) -> Balance:
        return self.balances.setdefault(name, Balance())

    # --- requests -----------------------------------------------------------------------------------------------------

    def answer(self, method: str, path: str, raw: str, api_key: str) -> Any:
        """Return the JSON of an answer.

        Raises:
            Refusal: It is an error.
        """
        params = dict(parse_qsl(raw, keep_blank_values=True))
        self.asked.append((method, path, params))
        every = path.endswith("/openOrders") and "symbol" not in params
        self.used_weight += _EVERY_SYMBOL if every else _WEIGHTS.get((method, path.rpartition("/")[2]), 1)
        if self.used_weight > self.weight_limit:
            text = f"Too much request weight used; current limit is {self.weight_limit} request weight per 1 MINUTE."
            raise Refusal(-1003, text, 429, {"Retry-After": "7"})
        public: dict[str, Callable[[dict[str, str]], Any]] = {
            "/api/v3/ping": self._ping,
            "/api/v3/time": self._time,
            "/api/v3/exchangeInfo": self._info,
            "/api/v3/klines": self._klines,
        }
        private: dict[tuple[str, str], Callable[[dict[str, str]], Any]] = {
            ("GET", "/api/v3/account"): self._account,
            ("POST", "/api/v3/order"): self._place,
            ("GET", "/api/v3/order"): self._get,
            ("DELETE", "/api/v3/order"): self._cancel,
            ("GET", "/api/v3/openOrders"): self._open,
            ("GET", "/api/v3/allOrders"): self._all,
            ("GET", "/api/v3/myTrades"): self._my_trades,
        }
        if path in public:
            return public[path](params)
        handler = private.get((method, path))
        if handler is None:
            raise Refusal(-1020, "This operation is not supported.", 404)
        self._check(raw, params, api_key)
        if "symbol" in params and params["symbol"] not in self.pairs:
            raise Refusal(-1121, "Invalid symbol.")
        return handler(params)

    def _check(self, raw: str, params: dict[str, str], api_key: str) -> None:
        if api_key != self.key:
            raise Refusal(-2015, "Invalid API-key, IP, or permissions for action.", 401)
        signed, _, signature = raw.rpartition("&signature=")
        right = hmac.new(self.secret.encode(), signed.encode(), hashlib.sha256).hexdigest()
        if not hmac.compare_digest(right, unquote(signature)):
            raise Refusal(-1022, "Signature for this request is not valid.")
        window, stamp, now = int(params.get("recvWindow", "5000")), int(params["timestamp"]), self.now_ms()
        if not stamp < now + 1_000:
            raise Refusal(-1021, "Timestamp for this request was 1000ms ahead of the server's time.")
        if now - stamp > window:
            raise Refusal(-1021, "Timestamp for this request is outside of the recvWindow.")

    def _ping(self, params: dict[str, str]) -> Any:
        return params and {}

    def _time(self, params: dict[str, str]) -> Any:
        del params
        return {"serverTime": self.now_ms()}

    def _info(self, params: dict[str, str]) -> Any:
        del params
        return {"timezone": "UTC", "serverTime": self.now_ms(), "symbols": list(self.pairs.values())}

    def _get(self, params: dict[str, str]) -> Any:
        return self._found(params, -2013, "Order does not exist.").json()

    def _account(self, params: dict[str, str]) -> Any:
        del params
        rows = [
            {"asset": name, "free": f"{each.free:.8f}", "locked": f"{each.locked:.8f}"}
            for name, each in self.balances.items()
        ]
        return {
            "makerCommission": 10,
            "takerCommission": 10,
            "canTrade": True,
            "canWithdraw": False,
            "updateTime": self.now_ms(),
            "accountType": "SPOT",
            "balances": rows,
            "permissions": ["SPOT"],
        }

    def _klines(self, params: dict[str, str]) -> Any:
        at = int(params["startTime"])
        price = f"{self.candles.get(params['symbol'], Decimal(1)):.8f}"
        return [[at, price, price, price, price, "1.0", at + 59_999, "1.0", 1, "0", "0", "0"]]

    # --- orders -------------------------------------------------------------------------------------------------------

    def _place(self, params: dict[str, str]) -> Any:
        kind, listing = params.get("type", ""), self.pairs[params["symbol"]]
        if kind not in listing["orderTypes"]:
            raise Refusal(-1116, "Invalid orderType.")
        for name in _NEEDS[kind]:
            if name not in params:
                raise Refusal(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")
        for name in ("timeInForce", "price", "stopPrice"):
            if name in params and name not in _NEEDS[kind]:
                raise Refusal(-1106, f"Parameter '{name}' sent when not required.")
        client_id = params.get("newClientOrderId", f"and_{self.next_id}")
        if _ID.fullmatch(client_id) is None:
            raise Refusal(-1100, "Illegal characters found in parameter 'newClientOrderId'.")
        if params.get("timeInForce", "GTC") not in ("GTC", "IOC", "FOK"):
            raise Refusal(-1115, "Invalid timeInForce.")
        qty, price = Decimal(params["quantity"]), Decimal(params.get("price", "0"))
        stop = Decimal(params.get("stopPrice", "0"))
        self._filters(listing, qty, price, stop)
        if sum(self.arrived.values()) >= self.order_limit:
            raise Refusal(-1015, "Too many new orders; current limit is 100 orders per TEN_SECONDS.", 429)
        if any(row.client_id == client_id and row.status not in _ENDED for row in self.rows.values()):
            raise Refusal(-2010, "Duplicate order sent.")
        bid, ask = self.book.get(params["symbol"], (Decimal(1), Decimal(1)))
        if stop and (stop <= ask if params["side"] == "BUY" else stop >= bid):
            raise Refusal(-2010, "Stop price would trigger immediately.")
        row = self.add(
            params["symbol"], client_id, params["side"], kind, qty, price or ask, tif=params.get("timeInForce")
        )
        row.price, row.stop = price, stop
        self.arrived[client_id] += 1
        if self.fill_on_arrival:
            self.fill_on_arrival = False
            self.fill(row, row.qty, row.price or ask)
        mine = [each for each in self.trades if each.order_id == row.order_id]
        fills = [
            {
                "price": each["price"],
                "qty": each["qty"],
                "commission": each["commission"],
                "commissionAsset": each["commissionAsset"],
                "tradeId": each["id"],
            }
            for each in (trade.json() for trade in mine)
        ]
        return {**row.json(), "transactTime": row.time, "fills": fills}

    def add(
        self, symbol: str, client_id: str, side: str, kind: str, qty: Decimal, price: Decimal, *, tif: str | None = None
    ) -> Row:
        """Put an order into the books; what it may cost is locked."""
        listing = self.pairs[symbol]
        coin, cost = (listing["quoteAsset"], qty * price) if side == "BUY" else (listing["baseAsset"], qty)
        if self.coin(coin).free < cost:
            raise Refusal(-2010, "Account has insufficient balance for requested action.")
        self.coin(coin).free -= cost
        self.coin(coin).locked += cost
        self.next_id += 1
        row = Row(self.next_id, symbol, client_id, side, kind, tif or "GTC", qty, price, Decimal(0), self.now_ms())
        self.rows[row.order_id] = row
        self._locks[row.order_id] = cost
        return row

    def __post_init__(self) -> None:
        self._locks: dict[int, Decimal] = {}

    def _filters(self, listing: dict[str, Any], qty: Decimal, price: Decimal, stop: Decimal) -> None:
        rules = {each["filterType"]: each for each in listing["filters"]}
        lot, tick = rules["LOT_SIZE"], rules["PRICE_FILTER"]
        if not Decimal(lot["minQty"]) <= qty <= Decimal(lot["maxQty"]) or qty % Decimal(lot["stepSize"]):
            raise Refusal(-1013, "Filter failure: LOT_SIZE")
        for value in (price, stop):
            outside = not Decimal(tick["minPrice"]) <= value <= Decimal(tick["maxPrice"])
            if value and (outside or value % Decimal(tick["tickSize"])):
                raise Refusal(-1013, "Filter failure: PRICE_FILTER")
        if price and price * qty < Decimal(rules["NOTIONAL"]["minNotional"]):
            raise Refusal(-1013, "Filter failure: NOTIONAL")

    def _found(self, params: dict[str, str], code: int, msg: str) -> Row:
        order_id, client_id = params.get("orderId"), params.get("origClientOrderId")
        if order_id is None and client_id is None:
            raise Refusal(-1102, "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!")
        for row in reversed(list(self.rows.values())):
            mine = str(row.order_id) == order_id if order_id is not None else row.client_id == client_id
            if row.symbol == params["symbol"] and mine:
                return row
        raise Refusal(code, msg)

    def _cancel(self, params: dict[str, str]) -> Any:
        row = self._found(params, -2011, "Unknown order sent.")
        if row.status in _ENDED:
            raise Refusal(-2011, "Unknown order sent.")
        if row.sticky:
            row.sticky = False
            raise Refusal(-2011, "Order was not canceled due to cancel restrictions.")
        self.end(row, "CANCELED")
        return {**row.json(), "origClientOrderId": row.client_id, "clientOrderId": "pAyRanDomCanCeLiD0001"}

    def end(self, row: Row, status: str) -> None:
        """End an order and give back what it locked."""
        row.status = status
        row.update_time = self.now_ms()
        listing = self.pairs[row.symbol]
        coin = self.coin(listing["quoteAsset"] if row.side == "BUY" else listing["baseAsset"])
        left = self._locks.pop(row.order_id, Decimal(0))
        coin.locked -= left
        coin.free += left

    def fill(self, row: Row, qty: Decimal, price: Decimal) -> Trade:
        """Fill so much of an order, which may have ended."""
        listing = self.pairs[row.symbol]
        base, quote = self.coin(listing["baseAsset"]), self.coin(listing["quoteAsset"])
        buy, worth = row.side == "BUY", qty * price
        pays, gets = (quote, base) if buy else (base, quote)
        paid, got = (worth, qty) if buy else (qty, worth)
        locked = min(self._locks.get(row.order_id, Decimal(0)), paid)
        pays.locked -= locked
        pays.free -= paid - locked
        if row.order_id in self._locks:
            self._locks[row.order_id] -= locked
        gets.free += got
        name = self.fee_coin or (listing["baseAsset"] if buy else listing["quoteAsset"])
        same = name == (listing["baseAsset"] if buy else listing["quoteAsset"])
        fee = ((got if same else worth) * self.commission).quantize(Decimal("0.00000001"))
        self.coin(name).free -= fee
        row.filled += qty
        row.spent += worth
        row.update_time = self.now_ms()
        if row.status not in ("CANCELED", "EXPIRED"):
            row.status = "FILLED" if row.filled == row.qty else "PARTIALLY_FILLED"
        if row.filled == row.qty:
            self.end(row, row.status)
        self.next_trade += 1
        trade = Trade(self.next_trade, row.order_id, row.symbol, price, qty, fee, name, self.now_ms(), buy)
        self.trades.append(trade)
        return trade

    # --- lists --------------------------------------------------------------------------------------------------------

    def _open(self, params: dict[str, str]) -> Any:
        symbol = params.get("symbol")
        rows = [row for row in self.rows.values() if row.status not in _ENDED and symbol in (None, row.symbol)]
        return [row.json() for row in rows]

    def _all(self, params: dict[str, str]) -> Any:
        since = int(params.get("startTime", "0"))
        rows = [row for row in self.rows.values() if row.symbol == params["symbol"] and row.time >= since]
        return [row.json() for row in rows][: int(params.get("limit", "500"))]

    def _my_trades(self, params: dict[str, str]) -> Any:
        if "fromId" in params and "startTime" in params:
            raise Refusal(-1128, "Combination of optional parameters invalid.")
        found = [each for each in self.trades if each.symbol == params["symbol"] and each.trade_id not in self.hidden]
        if "orderId" in params:
            found = [each for each in found if each.order_id == int(params["orderId"])]
        found = [each for each in found if each.time >= int(params.get("startTime", "0"))]
        limit = int(params.get("limit", "500"))
        if "fromId" in params:
            return [each.json() for each in found if each.trade_id >= int(params["fromId"])][:limit]
        return [each.json() for each in (found[:limit] if "startTime" in params else found[-limit:])]


def pair(base: str, quote: str, tick: str = "0.01", lot: str = "0.00001") -> dict[str, Any]:
    """Return a symbol as exchangeInfo lists it."""
    return {
        "symbol": base + quote,
        "status": "TRADING",
        "baseAsset": base,
        "baseAssetPrecision": 8,
        "quoteAsset": quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8,
        "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"],
        "icebergAllowed": True,
        "ocoAllowed": True,
        "quoteOrderQtyMarketAllowed": True,
        "allowTrailingStop": True,
        "cancelReplaceAllowed": True,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": "1000000.00000000", "tickSize": tick},
            {"filterType": "LOT_SIZE", "minQty": lot, "maxQty": "9000.00000000", "stepSize": lot},
            {"filterType": "MARKET_LOT_SIZE", "minQty": "0.00000000", "maxQty": "100.0", "stepSize": "0.00000000"},
            {"filterType": "NOTIONAL", "minNotional": "5.00000000", "applyMinToMarket": True, "maxNotional": "9000000"},
        ],
        "permissions": ["SPOT"],
    }
