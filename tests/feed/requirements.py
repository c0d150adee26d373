"""What the feed must do."""

REQUIREMENTS: dict[str, str] = {
    "feed:seal": "A day whose manifest or file was changed is refused, whatever was changed.",
    "feed:rules": "A day that breaks a rule is refused with the file, the row and the rule.",
    "feed:whole": "A day is written whole or not at all, and the same data gives the same bytes.",
    "feed:sample": "The sample day is the same to the byte for a seed, in any time zone, and says it is synthetic.",
    "feed:point-in-time": "Nothing whose available_time is after the clock is ever served.",
    "feed:advance": "Moving the clock is idempotent and survives a restart.",
    "feed:unknown": "A symbol the day does not have is refused with those it has.",
    "feed:import": "Every folder of recorded data imports: equities, quotes only, 24-hour, hourly, daily, ticks.",
    "feed:missing": "A minute that is missing stays missing.",
    "feed:zip": "A zip of a day is a day.",
    "feed:default": "With no configuration a day is traded in its eight symbols of highest turnover.",
}
