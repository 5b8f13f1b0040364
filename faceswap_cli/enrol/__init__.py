"""A person enrolled once: photographs weighed and fused, codes refined, the network tuned to the face."""
