"""The product's fork server, but for who stands behind some names: a hostile agent, a gateway to a counting broker.

What a stage's process does is the product's own (``outcry.stage_main``), confinement included.
"""

from __future__ import annotations

import sys
from typing import cast

from outcry import stages
from outcry.confine import close_to_others
from outcry.nursery import Nursery
from outcry.stage_main import run_stage

HOSTILE = "tests.hostile.agent:build_hostile"

_known = cast("dict[str, stages.Stage]", stages.STAGES)
for _stage in ("strategy", "trader"):
    _known[_stage] = _known[_stage]._replace(builder=HOSTILE, heavy=("tests.hostile.agent",))
_known["execution"] = _known["execution"]._replace(builder="tests.hostile.venue:build_wired_gateway")


if __name__ == "__main__":
    close_to_others()
    Nursery(run_stage, stages.import_stage, preload=("msgspec", "zmq")).serve()
    sys.exit(0)
