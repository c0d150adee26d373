"""What the kill matrix shows."""

from __future__ import annotations

__all__ = ["REQUIREMENTS"]

REQUIREMENTS: dict[str, str] = {
    "matrix:paper": "Killed at every point with the paper broker, gateway, gate and both lose and double no order.",
    "matrix:brokers": "Killed at some points with each real broker's protocol, no order is lost or doubled.",
    "matrix:sees": "The matrix sees a lost, a doubled and a stray order, a wrong position and a wrong cash.",
    "matrix:points": "The points are before and after every commit, write, rename, broker call and piece sent.",
    "matrix:exec": "A gateway that was killed is a new process that trades again within a few seconds.",
}
