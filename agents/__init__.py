"""The agents: the graph, its stages and the port to a model. Not a place of limits, prices or keys."""
