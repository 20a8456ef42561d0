"""The diffusers schedulers that can sample here, by name, so that a spec is checked without torch.

They take a β schedule and a prediction type, and denoise. Left out: inverse and inpainting
schedulers, those of flow matching, and those of one model family. A test compares the names with
the installed diffusers.
"""

from __future__ import annotations

from typing import Literal

Scheduler = Literal[
    "DDIMParallelScheduler",
    "DDIMScheduler",
    "DDPMParallelScheduler",
    "DDPMScheduler",
    "DEISMultistepScheduler",
    "DPMSolverMultistepScheduler",
    "DPMSolverSinglestepScheduler",
    "EulerAncestralDiscreteScheduler",
    "EulerDiscreteScheduler",
    "HeunDiscreteScheduler",
    "KDPM2AncestralDiscreteScheduler",
    "KDPM2DiscreteScheduler",
    "LCMScheduler",
    "LMSDiscreteScheduler",
    "PNDMScheduler",
    "SASolverScheduler",
    "TCDScheduler",
    "UniPCMultistepScheduler",
]
