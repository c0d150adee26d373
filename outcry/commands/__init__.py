"""One module a command, each imported only when it is asked for. Not a library: call the packages below instead."""
