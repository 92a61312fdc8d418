"""A run directory → one self-contained HTML file: scores, curves, pictures with boxes, rollouts, machine, timings."""

from mimovl.report.write import write_report

__all__ = ["write_report"]
