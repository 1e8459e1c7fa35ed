"""Trials: one environment's life, lived many times, with what came of each.

trial      what a trial is: a function, and a script of invocations with gaps between them; what its result is
gaps       how time passes in a gap
listening  hears what environments send
runner     many trials side by side on one control plane, under the same conditions
recording  the story of a run: the findings of each trial, and one trial's story by itself
ready      bundled functions with their dependencies, made ready once in the user's cache
incidents  the two incidents: what is run, and what it shows
"""
