"""What the attack corpus shows."""

REQUIREMENTS: dict[str, str] = {
    "corpus:refused": "Every attack of the corpus is refused, by gate or gateway, with a code that its file names.",
    "corpus:unchanged": "After an attack the broker, both journals, limits and kill switch are as they were before.",
    "corpus:alive": "After an attack the desk still trades what it may, or is still killed where it was.",
    "corpus:sockets": "The same attacks sent to the real sockets are refused there, and the services stay alive.",
    "corpus:files": "Every attack names where it comes from, and what it must be refused with.",
    "corpus:environment": "No variable in the gate's environment changes a limit or a verdict.",
}
