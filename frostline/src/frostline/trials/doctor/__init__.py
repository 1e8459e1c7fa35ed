"""The doctor: will this function survive being frozen?

baseline   a function that is never frozen: is it healthy, and what does it connect to?
plan       which trials answer the question, and which cannot be made
checkup    carries the trials out, and gives what is known at any moment
verdict    what the trials say: one table, the findings, and what was not tried
"""
