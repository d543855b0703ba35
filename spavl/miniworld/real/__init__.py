"""The miniature world in real language: its pictures shown to a pretrained language model that answers freely.

In reading order:

english     questions about pictures in English, and the sentences that the model is taught
lessons     conversations to learn from, and the model's own text answers, so that its English stays
packages    where the language model comes from, and what to install
assemble    the vision tower, a projector and the pretrained language model as one LLaVA checkpoint
teach       supervised fine-tuning of the projector and an adapter
__main__    `python -m spavl.miniworld.real`
"""
