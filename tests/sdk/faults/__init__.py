"""What can be wrong, class by class, and that each gives the right error.

A module here that has FAULTS, of objects with a `name`, has a part of the table; test_table.py adds them up.
"""
