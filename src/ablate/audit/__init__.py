"""Does each factor act? Asked of the code that trains, in a few steps, before anything is trained.

``checks`` reads configurations; ``probe`` takes a few real training steps; ``compare`` compares two of them
layer by layer; ``audit`` puts the questions and words the answers.
"""
