"""The command line, the configuration and the supervisor. Not a place of trading decisions."""
