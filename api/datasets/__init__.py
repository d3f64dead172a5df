"""Datasets: resolutions and annotations as files that never change.

`definition` checks what is asked for, `reading` decides which value an item has, `rows` shapes rows, `formats` writes
them, `building` is the job, `manifest` says what is inside, `comparing` tells two versions apart, `withdrawing` keeps
track of items that left.
"""
