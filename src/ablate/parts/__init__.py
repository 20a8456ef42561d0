"""Are the pretrained parts here? Asked before a run, answered by ``ablate fetch`` and ``ablate doctor``."""
