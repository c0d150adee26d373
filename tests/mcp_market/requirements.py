"""What the market servers promise; each id is carried by a test."""

from __future__ import annotations

REQUIREMENTS: dict[str, str] = {
    "market:eras": "Every market tool answers the same on both protocol eras, and says first as of when.",
    "market:bars": "Bars are the day's own, at the instrument's tick, exact in both forms.",
    "market:compact": "A hundred bars are at most 5,000 characters of text, their date written once.",
    "market:gaps": "A missing minute and a bar that still forms are marked.",
    "market:bar-pages": "Following the cursor of bars visits every bar of the span once.",
    "market:spans": "Relative times, local times and times with an offset mean the same span.",
    "market:look-ahead": "A time after the clock is refused with a text that names the clock.",
    "market:as-of": "What is asked again after the clock has moved is as of the new clock.",
    "market:asked-once": "The same bars at the same clock are not asked of the feed again.",
    "market:multi": "Charts of several symbols and timeframes are as of one instant, in order, with progress told.",
    "market:latest": "Latest bars, quotes and snapshots are the newest known ones.",
    "market:clock": "The clock tells mode, session and whether it is simulated; symbols are listed in pages.",
    "market:news": "News is newest first, of the symbols asked for, and a search needs all its words.",
    "market:news-pages": "Following the cursor of news visits every item once although the clock moves.",
    "market:fence": "No text from outside leaves its fence or carries anything that is not seen.",
    "market:releases": "What a release said is empty until it is out, and importance is at least what was asked.",
    "market:no-earnings": "A source without a calendar of earnings answers an empty page that says so.",
    "market:sessions": "Sessions to come are told with early closes, and their pages hold each once.",
    "market:resource": "A chart is readable as a resource, and who follows it is told when it changes.",
    "market:completion": "Symbols and timeframes are completed.",
    "market:brief": "The prompt for a morning brief names the clock, the symbols and what to distrust.",
    "market:live": "On a live feed the same tools are as of the wall clock, and nothing is called simulated.",
    "market:hostile": "Whatever is sent as arguments gets an answer or an error that teaches.",
    "market:definitions": "The tools' definitions keep to their size and are the same on every start.",
    "market:schema": "A compact schema says what is accepted, without titles and empty defaults.",
    "market:decimals": "Prices are written from integers as exactly as decimal arithmetic writes them.",
    "market:cursors": "A cursor holds its numbers and is refused where it does not belong.",
    "market:times": "A time is read in the venue's zone, and what is none is refused with an example.",
}
