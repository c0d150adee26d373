"""What an agent that runs any code as its stage cannot do."""

REQUIREMENTS: dict[str, str] = {
    "hostile:fills": "Whatever a hostile stage does, the broker receives what the gate approved and nothing else.",
    "hostile:files": "A hostile stage reads no key, journal, log or recorded day, and changes no file but its own.",
    "hostile:processes": "A hostile stage looks into no other process of the desk, and signals none.",
    "hostile:sockets": "A hostile stage takes no other service's place and no endpoint answers it with an order.",
    "hostile:tickets": "Forged, altered, replayed and foreign tickets are refused whoever brings them.",
    "hostile:switch": "A hostile stage can engage the kill switch and cannot clear it.",
    "hostile:broker": "A hostile stage that reaches the broker's address has no key that it takes.",
    "hostile:memory": "A broker's key is in its own gateway's memory and nowhere else on the desk.",
    "hostile:second-line": "Without Landlock the memory of other processes and tracing them are still closed.",
}
