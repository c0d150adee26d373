"""What holds the house together: the bans and the import table."""

REQUIREMENTS: dict[str, str] = {
    "house:wall-clock": "A module other than bus/clock.py that reads the wall clock or waits fails the check.",
    "house:randomness": "A module other than bus/ids.py that makes randomness or identifiers fails the check.",
    "house:imports": "Imports point only upwards in the design's table.",
    "house:lock": "The lock pins every package with a hash and names no address.",
    "house:install": "The core install is at most 60 packages.",
    "house:no-machine": "No tracked file names a path of a developer's machine or a package registry's host.",
    "house:controls": "The page of controls is current, and every reason code has a control that a test shows.",
}
