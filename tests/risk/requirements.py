"""What the gate promises."""

from __future__ import annotations

from risk.controls import CONTROLS

REQUIREMENTS: dict[str, str] = {
    "risk:ceilings": "Limits looser than a ceiling are refused at start with key, value and what is allowed.",
    "risk:limits:running": "No environment variable or message changes the limits of a running gate.",
    "risk:check:boundary": "Every control passes an order at its boundary and denies the one beyond it.",
    "risk:check:input": "A missing, stale, crossed or future price is a denial with its own code.",
    "risk:check:teaches": "Every denial says what was wrong and what to do next, and its code is documented.",
    "risk:check:failed": "An exception inside a check is a denial.",
    "risk:check:hostile": "Whatever integers and texts an intent carries, the answer is a verdict and never an error.",
    "risk:check:peers": "Every order that got past another system's gate is denied or bounded by this one.",
    "risk:book:gross": "Working orders are reserved gross per side, so no subset of fills breaks a limit.",
    "risk:book:release": "A reservation goes only on a definite answer, or once execution's clock is past the ticket.",
    "risk:book:events": "A gap in execution's events, or a fill that cannot be, settles nothing and approves nothing.",
    "risk:book:equity": "Cash, positions and equity come from the gate's own fills and marks.",
    "risk:loss:halt": "From the day's loss limit on, until the day ends, only orders that shrink a position pass.",
    "risk:ticket:bound": "An altered, foreign, expired or forged ticket, or one of other limits, is refused by name.",
    "risk:ticket:key": "The private key is nowhere but in the signer.",
    "risk:identity": "An order id is its first content's: repeated it gets its verdict, reused it is denied.",
    "risk:identity:forged": "A forged intent cannot spend the order id of another.",
    "risk:clock": "The gate judges only at its own settled clock, which the feed must confirm.",
    "risk:settle:same": "Settling the same instant again gives the same answer, whatever was approved since.",
    "risk:journal:closed": "A journal that cannot be written is a denial of the whole batch and reserves nothing.",
    "risk:journal:recompute": "A verdict is computed again from the inputs in the journal.",
    "risk:journal:foreign": "A journal of another client or run is refused.",
    "risk:restart": "A gate that was killed gives, on its files, the answers it gave, with new signatures.",
    "risk:kill": "The kill switch denies everything, cancels what works, and survives a restart.",
    "risk:kill:down": "The kill switch holds when execution or the disk fails, and cancels once execution answers.",
    "risk:preview:same": "A preview gives the codes and texts that a verdict would have, and leaves no trace.",
    "risk:limits:words": "The limits are told with what is used of them and their ceilings.",
    "risk:cancel": "Orders are canceled one by one with a ticket for each, also while killed; others are refused.",
    "risk:day:live": "On a live market the day, and the loss that halts it, ends at the venue's midnight.",
}

REQUIREMENTS.update(
    {
        "risk:restart:killed": "Killed -9 at every persistence point of a day, the gate answers and records the same.",
        "risk:journal:full": "On a disk that takes no more nothing passes, and when it does again nothing was lost.",
        "risk:journal:readonly": "A journal that may not be written starts no gate, and says so.",
        "risk:journal:damaged": "A damaged journal starts no gate; a record that a crash left half written is none.",
        "risk:journal:locked": "A journal that another process holds or writes closes the gate until it is free.",
        "risk:journal:room": "A log with its room ahead of it loses nothing; without that room nothing changes.",
        "risk:journal:replaced": "A journal that is taken away or replaced while the gate runs closes it.",
        "risk:kill:epoch": "A ticket from before a kill opens no door in its scope, not after the resume either.",
        "risk:kill:scope": "A scope is killed by itself: its orders are refused and canceled, and no others.",
        "risk:kill:reducing": "A scope that only reduces takes orders that shrink a position and never flip it.",
        "risk:kill:one-way": "No message makes what is stopped less stopped.",
        "risk:kill:cancels-pass": "A cancel is counted and never refused for a limit or a state.",
        "risk:kill:repeats": "A strategy that does the same too often is killed by the gate until a person resumes it.",
        "risk:kill:halted-account": "A gateway that halts its client engages that client's kill; resuming clears both.",
        "risk:messages": "Cancels count among the messages, and beyond their number a day no new order passes.",
        "risk:resume:proof": "A person with the run's key resumes a scope, and no two contents have one proof.",
        "risk:resume:refused": "A resume with a wrong, absent or used proof is refused, alarmed and changes nothing.",
        "risk:resume:scope": "Resuming one scope leaves the others stopped.",
        "risk:resume:key": "The resume key is its owner's alone, new at each start, and refused where others can read.",
        "risk:session": "Orders pass in the venue's sessions only, and never where nobody says when those are.",
        "risk:halted": "A symbol that its venue halted is refused until it is not.",
        "risk:market:same": "Followed tick by tick, the gate's prices are those of the feed's whole snapshot.",
        "risk:clients": "Each client has its own book, limits, gateway and tickets, and none another's.",
        "risk:clients:version": "Every verdict and ticket carries the version of all layers that apply to its client.",
        "risk:clients:desk": "The desk's limits hold over all clients together.",
        "risk:clients:layers": "A gate whose layers loosen each other, or whose client nobody serves, does not start.",
        "risk:explain": "A verdict is explained from the journal alone, by the limits it was given under.",
        "risk:replace": "A replacement is judged, journaled and ticketed like any order, and reserved with the old.",
        "risk:durable": "No verdict and no ticket is answered before its record is on disk.",
    }
)

REQUIREMENTS.update(
    (control.requirement, f"{control.name}: {control.allowed}")
    for control in CONTROLS.values()
    if control.requirement.startswith("gate:")
)

REQUIREMENTS.update(
    {
        "gate:eight": "The eight orders that were tried on another gate, which let seven of them through, are denied.",
        "gate:replace-worse": "A replacement is judged and reserved by the worse of the old order and the new one.",
        "gate:garbage": "Whatever a judge reads on its way to an approval, made no value or no number, is a denial.",
        "gate:reference": "For any state and order, the verdict is the one of a slow reference that was written apart.",
        "gate:controls": "Every reason code has a sentence, words, a control and a requirement that tests carry.",
        "gate:recompute": "A verdict is computed again from its inputs, whatever the order and the state.",
        "gate:order-id": "The judge derives the same order ids as everybody else.",
        "state:desk": "A desk is the sum of its clients, to the billionth.",
        "state:undo": "Taking an approval back leaves the state as if it had never been.",
        "state:worst": "Whatever happens, what is reserved is never below what the working orders could still do.",
        "state:promised": "What an entry filled is promised to its legs until they are there, or are not to come.",
        "state:group": "Orders of one group are reserved as the largest of them, not as their sum.",
        "state:bust": "A bust undoes the fill it names, and a correction puts the true one in its place.",
        "state:cash": "A deposit moves what losses are counted from; money that is taken out counts as a loss.",
        "state:carry": "After a restart from what was carried, approvals and events, the state is the same.",
        "state:resting": "Legs, stops that triggered and orders of others are in the market for self-trade prevention.",
        "state:trading": "Of all the trading states that apply to an order, the tightest is in force.",
        "model:search": "A search through every state of a small model of the book finds no violation.",
        "limits:layers": "A layer that loosens the one above it is refused with key, value and what is allowed.",
        "limits:effective": "The version changes with any limit of any layer of a client's, and with nothing else.",
    }
)
