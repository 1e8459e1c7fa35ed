"""The recording of one run: everything that happened, in order. The one contract between doing and seeing.

`records` says what a line holds, `writer` appends lines, `reader` gives them back. A story is JSON lines, so that `jq` reads it too.
"""
