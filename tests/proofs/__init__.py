"""Proofs that hold through the real surface: web processes as operators run them, and clients on the network.

They are functions as the ledger's own are (``proofs``), and run the same way: at a reduced count by the tests
beside them, at full count by ``make prove``. An installation without this folder has the ledger's alone.
"""
