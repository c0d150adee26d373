"""Write ``docs/controls.md``: every reason code of the gate with the rule that asks for it and the test that shows it.

Not the controls and not a claim of compliance: it says which article a control answers to, as far as we have read it.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from risk.controls import CONTROLS
from risk.reasons import APPROVED, REASONS
from tests.test_requirements import carried

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "docs" / "controls.md"
_HEAD = """# The gate's controls

Made by `make controls` from `risk/reasons.py`, `risk/controls.py` and the tests; a test fails when it is not current.
A denial names its code, what was wrong, what is allowed and what to do next; `outcry explain ORDER_ID` shows it with
its inputs and computes it again.

Sources: RTS 6 is Commission Delegated Regulation (EU) 2017/589; SEC 15c3-5 the Market Access Rule; SGX 2.2 and 2.3 the
pre-trade practice notes; FIX the 4.4 specification. An empty cell: no rule that we have read asks for it. Articles
15(4) to (6) and 16 of RTS 6 and the full text of 15c3-5 were not read.

| code | denies when | passes | asked for by | shown by |
|---|---|---|---|---|
"""


def page() -> str:
    """Return the page."""
    files: dict[str, list[str]] = {}
    for key, where in carried():
        path = where.partition(":")[0]
        if path not in files.setdefault(key, []):
            files[key].append(path)
    rows: list[str] = []
    for code, sentence in REASONS.items():
        if code == APPROVED:
            continue
        control = CONTROLS[code]
        tests = ", ".join(f"`tests/{path}`" for path in files.get(control.requirement, ()))
        shown = f"`{control.requirement}` in {tests}"
        cells = (f"`{code}`", sentence, control.allowed, control.source, shown)
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return _HEAD + "\n".join(rows) + f"\n\n{len(rows)} controls.\n"


def main() -> int:
    """Write the page."""
    TARGET.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"{TARGET.relative_to(ROOT)}: {len(REASONS) - 1} controls\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
