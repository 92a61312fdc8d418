"""Captions (MiMo-VL §2.2.1): text filter, duplicates, recaptioning, language and repetition filters, balancing."""
