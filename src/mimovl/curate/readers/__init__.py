"""Readers of real data sets: files as people have them → samples, with every drop counted and listed."""

from mimovl.curate.readers.import_voc import ImportSummary, import_voc

__all__ = ["ImportSummary", "import_voc"]
