"""A person enrolled once: photographs weighed, fused and stored."""
