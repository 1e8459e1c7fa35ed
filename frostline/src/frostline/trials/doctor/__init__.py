"""The doctor: will this function survive being frozen?

baseline   a function that is never frozen: is it healthy, and what does it connect to?
compiled   a Python function's code with its bytecode
limits     from which gap on a thing can happen to a connection
plan       which trials answer the question, and which cannot be made
scripts    what happens in a trial
checkup    carries the trials out, and gives what is known at any moment
verdict    what the trials say
table      the verdict as a table, for people
reports    the verdict for machines: JSON, JUnit, SARIF, annotations
pages      the timelines of failed trials
fix        the same question, with thawsafe switched on from outside
"""
