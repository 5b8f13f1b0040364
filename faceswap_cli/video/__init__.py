"""Video and picture files: the only package that imports ``av`` (and Pillow).

``probe`` -> ``read_frames`` -> ``write_segment`` -> ``assemble``; ``picture`` for stills.
"""
