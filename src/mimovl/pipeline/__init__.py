"""Whole runs: a recipe from data to report. ``pipeline.run.run`` is the command ``mimovl run``."""
