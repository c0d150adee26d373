"""What the FIX 4.4 session promises, after QuickFIX's acceptance scenarios (named in the tests)."""

from __future__ import annotations

__all__ = ["REQUIREMENTS"]

REQUIREMENTS: dict[str, str] = {
    "fix:logon": "A session logs on with the numbers it left off with, and takes only a valid Logon as the answer.",
    "fix:numbers": "Every message of theirs is processed once, in the order of its number, whatever order it came in.",
    "fix:resend": "A gap is asked for once, and again when nothing comes; ours are gap-filled, never sent again.",
    "fix:seen": "After a Logon no order is sent before it is known what of ours they missed.",
    "fix:dup": "A possible duplicate is processed when it was missing and passed over when it was not.",
    "fix:garbled": "Bytes that are no whole message are passed over as if they had not come, and the next one is read.",
    "fix:identity": "Messages with other CompIDs, times or begin strings end the session with a reason.",
    "fix:fields": "What cannot be understood is rejected with FIX's reason; unknown tags are passed over.",
    "fix:time": "Heartbeats, test requests and giving up come when they are due, by a clock that is handed in.",
    "fix:reset": "Sequence resets go forward only; a Logon with ResetSeqNumFlag starts both numbers at 1.",
    "fix:logout": "A Logout is answered and ends the session; its words are shown without the keys.",
    "fix:store": "Numbers, messages and executions are durable before anything acts on them, with one holder.",
    "fix:keys": "Username and password are in the Logon and nowhere else.",
    "fix:values": "Times and decimals are exact, and anything that is not plainly one is refused.",
    "fix:settings": "A setting that is missing, unknown or out of range is refused with what is allowed.",
    "fix:wire": "No value can put a field of its own on the wire.",
}
