"""REST version 1. Each endpoint says what it asks of the caller; `endpoint.py` sees to it, in one order for all.

Acts are those of the pages and commands; nothing here writes a row by itself.
"""
