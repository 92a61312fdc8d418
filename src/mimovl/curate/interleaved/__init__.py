"""Interleaved documents (MiMo-VL §2.2.2): pages of texts and pictures in reading order, selected, scored and cut.

PDF, HTML, EPUB ── readers ──▶ document ── knowledge, text scores ──▶ kept kinds ── pictures, pairs ──▶ kept pictures
── cut ──▶ training samples
"""
