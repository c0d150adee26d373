"""Execution: the order path from a gate's ticket to a broker. Not a judge of orders: that is the gate."""
