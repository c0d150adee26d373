"""What the desk behind the tools promises; each id is carried by a test."""

from __future__ import annotations

REQUIREMENTS: dict[str, str] = {
    "desk:teaches": "A service that refuses or does not answer becomes a text that says what to do.",
    "desk:loops": "A desk can be used from one event loop after another.",
    "desk:clock": "The clock of a recorded day can be read without asking, and is never behind the feed.",
    "desk:listens": "Published data reaches the event loop; a busy one gets the newest and how much it missed.",
}
