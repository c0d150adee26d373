"""What the indicator catalogue and its server promise; each id is carried by a test."""

from __future__ import annotations

REQUIREMENTS: dict[str, str] = {
    "indicators:complete": "Every class, output and parameter of the ta package has its place in the catalogue.",
    "indicators:definition": "Values are those of the published definitions, worked out by hand.",
    "indicators:talib": "Where TA-Lib has an indicator too, the values agree with it.",
    "indicators:ta": "Values agree with ta once warm, and where they do not the table says why.",
    "indicators:psar": "The parabolic stop is right with dates as index, where ta's is silently wrong.",
    "indicators:no-look-ahead": "No value changes when later bars come.",
    "indicators:warm-up": "There is no value before there are bars enough for it, and never a zero in its place.",
    "indicators:settle": "With the history the table asks for, older bars no longer matter.",
    "indicators:missing": "A bar that lacks a number is passed over; what divides by nothing has no value.",
    "indicators:tiny": "Prices and volumes of a billionth give the values of large ones.",
    "indicators:parameters": "A parameter that is unknown, of a wrong type or out of range is refused with its range.",
    "indicators:names": "An unknown indicator or output is refused with the nearest names.",
    "indicators:light": "Nothing imports pandas, ta or TA-Lib before somebody asks for values.",
    "indicators:list": "A model can list the catalogue, whole or by group or word, in little text.",
    "indicators:several": "Several indicators of any timeframe come in one table, each value that of the catalogue.",
    "indicators:history": "Enough history is fetched for warm-up, and values that lack it are marked.",
    "indicators:pages": "Earlier rows follow by cursor, without gap or overlap and with the same values.",
    "indicators:time": "Everything is as of the clock; a time after it is refused.",
    "indicators:volume": "What needs volume is refused by name where the venue has none.",
    "indicators:compact": "Definitions and answers are short; the structured form is described and cheap to check.",
    "indicators:hostile": "Hostile input gets an answer that teaches, never a traceback.",
}
