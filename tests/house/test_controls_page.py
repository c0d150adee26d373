"""The page of controls is what the gate's tables and the tests say now."""

from __future__ import annotations

import pytest

from risk.controls import CONTROLS
from risk.reasons import APPROVED, REASONS
from scripts.controls import TARGET, page
from tests.test_requirements import carried, declared


@pytest.mark.requirement("house:controls")
def test_the_page_of_controls_is_current() -> None:
    assert TARGET.read_text(encoding="utf-8") == page(), "run `make controls` and read the diff"


@pytest.mark.requirement("house:controls")
def test_every_reason_code_has_a_control_with_a_test() -> None:
    assert set(CONTROLS) == set(REASONS) - {APPROVED}
    shown = {key for key, _ in carried()}
    known = declared()
    for code, control in CONTROLS.items():
        assert control.requirement in shown & known.keys(), f"{code}: no test carries {control.requirement}"
        assert control.name, code
        assert control.allowed, code
