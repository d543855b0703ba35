"""The policy being aligned, and its weights on disk.

freeze       which parts of the model are trained
lora         the LoRA layer
policy       the opened model, and its reference
checkpoint   trained weights on disk, and their export
model_card   the README of an export
"""
