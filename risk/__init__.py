"""The gate: ceilings, limits, the exposure book, checks and tickets. Nothing here knows that language models exist."""
