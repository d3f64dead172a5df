"""Room 1, intake: a file's rows become items, or existing labels a closed batch.

Two passes: the whole file is checked before anything is written; then rows are written in small transactions and stay
invisible until the run is done. The same command resumes an interrupted run; `discard_import` takes it back.
"""
