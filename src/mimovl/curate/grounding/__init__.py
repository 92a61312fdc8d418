"""Grounding: boxes read from any form and checked, and questions whose answer is a box, several, or none.

    meta["objects"] ── check_boxes ──▶ believed boxes ── ground ──▶ samples in pixels of the smart-resized picture

MiMo-VL's grounding data (§2.2.3) is open data of single and several objects with intricate expressions, in absolute
coordinates. The expressions here are composed and evaluated, so that each has exactly one answer.
"""
