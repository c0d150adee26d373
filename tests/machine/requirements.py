"""What the gate, both clients' gateways and their venues promise together, after any story."""

REQUIREMENTS: dict[str, str] = {
    "machine:story": "After any story of orders, mishaps, kills and restarts of all parts every limit and book held.",
    "machine:reach": "The stories come to every kind of order, denial, mishap, stop and restart that they are made of.",
}
