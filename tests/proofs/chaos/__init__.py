"""A site whose parts are killed, stopped, filled, cut and slowed at random, under load; then its books are audited.

``python -m tests.proofs.chaos --minutes 10 --seed 7``. ``site`` starts the parts, ``wire`` is the network between
them, ``faults`` is what can happen, ``clients`` who calls meanwhile and what they saw, ``auditor`` what must be so at
the end.
"""
