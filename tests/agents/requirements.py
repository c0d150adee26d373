"""What the agents' side must do."""

REQUIREMENTS: dict[str, str] = {
    "trace:same": "What may differ between two runs of a day is not in the event log.",
    "trace:resume": "An event log that is opened again goes on where it was.",
    "trace:altered": "An altered record breaks the chain at its place.",
    "trace:whole": "An instant is written whole or not at all.",
    "graph:order": "A cycle asks analyst, strategy, trader, sentiment, risk and execution in this order.",
    "graph:early": "A cycle that has nothing left to do ends early.",
    "graph:hold": "A stage that fails holds the cycle, and the event log says so.",
    "graph:gate-fails": "A gate or an execution that fails for good stops the run: it fails closed.",
    "graph:resume": "A cycle that was cut off resumes from its checkpoint at the stage it was at.",
    "model:protocol": "A real client asks an OpenAI-compatible server with a strict JSON schema and a seed.",
    "model:fails": "A model that is down, slow, refuses or answers nonsense is an error with that reason.",
    "model:retry": "A model server that is busy once is asked once more.",
    "model:key": "A key is sent to its server and appears nowhere else.",
    "model:names": "A model name that is none, or a model without what it needs, is refused with what is allowed.",
    "stage:held": "An analyst or a trader whose model fails holds, and its result says why.",
    "stage:repeat": "A repeated question has the same answer and does not ask a model again.",
    "stage:exact": "What a trader asks for reaches the gate exactly as asked, however unwise.",
    "stage:fence": "News reaches a model fenced, and cannot close its own fence.",
    "stage:veto": "The sentiment stage only ever takes orders away.",
    "scripted:seed": "The scripted model answers the same question the same, and differently with another seed.",
}
