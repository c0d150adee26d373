"""Indicators, strategies and sentiment: functions of data. No I/O, no orders, no clock."""
