"""Pages with text, drawn: documents, tables, scenes, packages, formulas and handwriting, with the box of every word.

    a maker (pages, tables, scenes, formulas) ── Canvas ── augment ── questions ──▶ samples

MiMo-VL's OCR data (§2.2.3) is documents, tables, scenes, packaging and formulas, made harder by handwriting, deformed
fonts, blur and occlusion, with boxes to predict for a part. The report names no source; these are made here.
"""
