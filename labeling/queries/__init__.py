"""Reads that pages, REST and commands share. They return rows or small frozen records and never change anything."""
