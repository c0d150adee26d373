"""An exhaustive search through a small model of the gate's book. See ``search``."""
