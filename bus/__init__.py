"""The bus: the one vocabulary and the sockets it travels on. Not a place of markets, limits or agents."""
