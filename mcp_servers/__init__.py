"""The front door for models: one module a server, each tool a thin, well-described call over the bus.

Not a place of data or decisions: the feed, the gate and execution have those. Nothing here imports risk or execution.
"""
