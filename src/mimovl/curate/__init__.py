"""Raw data → samples: the embedded world, readers of real data sets, perceptual hashing."""

from mimovl.curate.phash import HeldoutMatches, phash64, phash64_clip, remove_heldout_matches

__all__ = ["HeldoutMatches", "phash64", "phash64_clip", "remove_heldout_matches"]
