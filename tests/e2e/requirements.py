"""What a person sees of a whole run."""

REQUIREMENTS: dict[str, str] = {
    "run:demo": "The sample day runs without a key: orders are filled and at least one is denied with a reason.",
    "run:stages": "Every stage has a process of its own, and none is left when the run ends.",
    "run:json": "`outcry run --json` prints exactly one JSON object with the declared keys.",
    "run:files": "The run directory holds the journals, the event log, the summary and a self-contained report.",
    "run:replay": "The same day, model and seed give the same trace hash, in many processes or in one.",
    "run:seed": "Another seed or another day gives another trace hash.",
    "run:no-look-ahead": "When every record after an instant is altered, the trace up to that instant is unchanged.",
    "run:killed-stage": "A stage killed with kill -9 is restarted and the run ends with the same trace.",
    "run:calendar": "The result is the same on any day of the week and in any time zone.",
    "run:real-days": "Real recorded days import, check and run to the end.",
    "run:bad-day": "A day that is broken in any way is refused with a clear message before anything starts.",
    "run:bad-config": "A configuration that cannot be followed is refused with the key, the value and what is allowed.",
    "run:port": "A port in use is named, the exit code is 2 and nothing is left running.",
    "run:model": "A model server that is down, slow or talks nonsense holds the cycle, and the run says so.",
    "run:interrupt": "Ctrl-C stops a run cleanly with exit code 130.",
    "run:orphans": "A supervisor killed with kill -9 leaves no process and no socket.",
    "run:kill-switch": "The kill switch refuses every later order, and the run says so with exit code 3.",
}
