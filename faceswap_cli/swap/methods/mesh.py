"""The ``mesh`` method: no swap network, so what no photograph showed is only stretched."""

from __future__ import annotations

import math

from faceswap_cli.config import JobOptions, PasteOptions, mapper_share
from faceswap_cli.geometry import align
from faceswap_cli.records import F32, FaceCrop, RenderedFace, SourceIdentity
from faceswap_cli.swap import renderer
from faceswap_cli.swap.method import CodeSmoothing
from faceswap_cli.swap.source_face import SourceFace, source_face

_MIN_SIDE, _MAX_SIDE = 64, 768


class MeshMethod:
    """See the module docstring.  Stateless: safe to call from several threads."""

    name = "mesh"
    crop_scale = align.SWAP_SCALE
    light = True
    memory_mb = 200
    inputs_digest = ""
    smoothing = CodeSmoothing(renderer.BETA)

    def __init__(self, job: JobOptions, paste: PasteOptions) -> None:
        self._paste, self._mapper = paste, mapper_share(job.mapper)
        self._shares = renderer.default_shares(job)

    def crop_side(self, face_px: float) -> int:
        """As large as the face in the frame, in steps of 32, at most 768."""
        return crop_side(face_px)

    def prepare(self, source: SourceIdentity) -> SourceFace:
        """Fuse the photographs into one texture, or make one up from the embedding (``--mapper``)."""
        return source_face(source, self._mapper)

    def encode(self, prepared: SourceFace, crop: FaceCrop) -> F32:
        """(``renderer.CODE``,) light, sharpness and color of the target crop."""
        return renderer.measure(crop, self._paste).packed()

    def render(self, prepared: SourceFace, crop: FaceCrop, code: F32, seed: int) -> RenderedFace:
        """Draw the source into the target."""
        look = renderer.Look.unpacked(code)
        drawn = renderer.mesh_for(prepared, crop, self._shares)
        return renderer.render(prepared, crop, look, drawn, self._paste, seed)


def crop_side(face_px: float) -> int:
    """Side of a crop about as large as the face in the frame, in steps of 32, at most 768."""
    return int(min(max(math.ceil(face_px / 32) * 32, _MIN_SIDE), _MAX_SIDE))


def build_mesh(job: JobOptions, paste: PasteOptions) -> MeshMethod:
    """Builder for ``faceswap_cli.swap.METHODS``."""
    return MeshMethod(job, paste)
