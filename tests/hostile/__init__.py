"""A hostile agent on a real desk: what it tries, and by which means each try is refused."""
