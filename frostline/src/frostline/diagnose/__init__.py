"""What a story proves: from a timeline to findings.

`finding` says what a finding is, `rules` has one rule a module, `diagnosis` asks them all, `cures` knows which setting of which client a cure is.
"""
