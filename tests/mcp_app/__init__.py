"""The servers' common stack: who may call, how often, from where, and what is written down."""
