"""What may be made: written agreements of the people shown, and a content classifier of the user's own.

terms.py        the terms of use and where their acceptance is kept
consent.py      the file of ``--consent``: who agreed and until when; only its digest goes on
rules.py        the small TOML beside a classifier: labels, limits, how pictures are fed to it
classifier.py   the ONNX model itself
store.py        installing one, and finding the active one
gate.py         sources and targets are looked at before anything is rendered
"""
