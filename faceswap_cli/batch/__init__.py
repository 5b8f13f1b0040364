"""Many targets in one process: what to do (``manifest``, ``targets``, ``rows``), doing it (``runner``),
what is done (``records``), and what to report (``summary``)."""
