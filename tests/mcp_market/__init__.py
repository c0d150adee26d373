"""Tests of the market servers: ohlc, news and calendar."""
