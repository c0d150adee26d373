"""What the paper broker promises, and the conformance kit itself."""

REQUIREMENTS: dict[str, str] = {
    "brokers:kit:teeth": "The kit notices brokers that lose, repeat, invent, rename, confirm or keep wrongly.",
    "brokers:kit:mishaps": "Each mishap has a test that sees it happen; what is skipped is exactly what is declared.",
    "brokers:paper:kit": "The paper broker passes the conformance kit; what it cannot do wrong is declared.",
    "brokers:paper:stop": "A stop fills at its level and worse, or at the open that gapped beyond it.",
    "brokers:paper:stop-limit": "A stop-limit fills in the bar that triggers it only when the bar proves it could.",
    "brokers:paper:trailing": "A trailing stop follows earlier bars; of a bar's own extremes the worse order is taken.",
    "brokers:paper:oco": "A bar that meets stop and limit of one group gives the stop, unless its open gave the limit.",
    "brokers:paper:times": "Each time in force ends as it says: fok whole or not at all, gtd before its expiry.",
    "brokers:paper:rules": "The venue's own rules on lots, ticks, bounds, notional and lending are kept.",
    "brokers:paper:borrow": "Shares sold short pay for each night, once, with the purchase that gives them back.",
    "brokers:paper:replace": "A replacement takes over at once and loses its place; one that fails changes nothing.",
    "brokers:paper:restored": "A paper broker restored from a journal at any bar goes on exactly as the one before.",
}
