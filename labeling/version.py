"""The code's version: stored beside every computed result, so that a figure says which code made it."""

CODE_VERSION = "0.1.0"
