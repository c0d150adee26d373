"""What quant must do."""

REQUIREMENTS: dict[str, str] = {
    "quant:oracle": "Every indicator agrees with an independent library after its warm-up.",
    "quant:warm-up": "Before its warm-up an indicator is NaN, never a made-up number.",
    "quant:direction": "Strategies point the way they say: with a trend, or back to the mean.",
    "quant:incremental": "The incremental cross equals the averages it stands for at every bar.",
    "quant:lexicon": "The lexicon knows direction and negation, and is moved by words only.",
}
