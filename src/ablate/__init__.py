"""ablate: which training choices of a latent diffusion model helped, by how much, how sure are we?"""

__version__ = "0.1.0"
