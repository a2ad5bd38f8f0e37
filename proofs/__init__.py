"""Proofs that the ledger keeps its promises, run by ``manage.py prove`` on an operator's own database and by our tests.

Each proof is a plain function that takes how often it is repeated, works on teams of its own, returns a sentence about
what it saw, and raises Disproved at the first contradiction.
"""
