"""The feed: recorded days, their seal, the clock and point-in-time questions. Not a place of orders or opinions."""
