"""The way of a frame that stays on the device: up once as decoded, down once as the encoder takes it.

Between the two everything with pixels is done there in batches over frames and faces: crops, colour,
networks, masks, detail, the mark and the paste.  What knows landmarks only (matrices, outlines, proportions,
the ledger, smoothing over time) is reckoned on the host, as everywhere.  Nothing on the way asks the device
for a number: what a branch would decide is weighed by masks.

Steps follow those of ``swap``, ``geometry`` and ``colour`` and take their numbers from there; linear
operations of OpenCV (blurs, changes of size) are its own, as matrices.  The same code runs on the processor,
where it is tested against them.

Axes: N faces, F frames, S crop side, H, W.  Pictures are (N, C, H, W) float32 unless a name says otherwise.
"""
