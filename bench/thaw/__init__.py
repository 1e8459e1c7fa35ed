"""The table of thaws: clients, fates, methods and idle times, each bare and with thawsafe. `bench/thaw_table.py` is its command line."""
