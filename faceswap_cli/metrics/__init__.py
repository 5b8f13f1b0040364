"""Measuring a finished swap: what ``faceswap evaluate`` and ``faceswap bench`` print.

``evaluate`` reads result and target in lockstep, looks at both with the same detector and
without smoothing, keeps one row per target face and frame (``observations``), and computes
each figure of ``figures.METRICS`` from those rows.  ``bench`` measures time instead.
"""
