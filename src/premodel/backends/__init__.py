"""One file per inference runtime, behind the contract of base.py."""
