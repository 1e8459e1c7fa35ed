"""The ring around the core: takes events in, asks the core, carries effects out. Owns time, tasks and servers.

Where to begin reading: `ring.Ring.feed` is the one place where the core is asked and its effects are carried out; `plane.ControlPlane` puts the parts together.
"""
