"""The ccxt source against loopback servers that speak Kraken's and Binance's public protocols."""
