"""A portrait made to move: pose, speech, blinks and gaze from one photograph and its face mesh.

The photograph is taken apart once into layers (still room, head with hair and neck, collar in
front of the neck), then every frame is put together by backward warps of these layers:

    expression   upper face, lower jaw, two upper lids and two eyeballs slide over one another, so
                 that a lid covers the iris and an opening mouth shows teeth and a dark inside
    pose         the head, with the depth of its own mesh, is turned in space over the still room

Coordinates are canvas pixels (twice the size of the frames), x to the right, y down; depth z in
the same unit, smaller is nearer.  Left and right in names are those of the picture.
"""
