"""First draft driver."""
import argparse, asyncio, json, sys, tempfile, time
from pathlib import Path
from thaw.cells import CLIENTS, FATES, IDLES_S, as_json, reached
from thaw.lives import Wanted, carry_out
p = argparse.ArgumentParser()
p.add_argument("--client", action="append"); p.add_argument("--fate", action="append"); p.add_argument("--idle", action="append", type=float); p.add_argument("--trials", type=int, default=1); p.add_argument("--json", action="store_true")
a = p.parse_args()
w = Wanted(clients=tuple(c for c in CLIENTS if not a.client or c.name in a.client), fates=tuple(a.fate or FATES), idles=tuple(a.idle or IDLES_S), trials=a.trials)
began = time.time()
with tempfile.TemporaryDirectory(prefix="frostline-thaw-") as f:
    told = asyncio.run(carry_out(w, Path(f), lambda n: print(n, "lives", file=sys.stderr), lambda t: print(f"{time.time()-began:.1f}", t, file=sys.stderr)))
for n in told.notes: print(n, file=sys.stderr)
for c in told.cells:
    print(c.client, c.fate, c.method, c.idle_s, f"bare {c.bare_ok}/{c.trials} safe {c.safe_ok}/{c.trials} twice {c.seen_twice},{c.bare_seen_twice} extra {c.extra_ms} ({c.bare_extra_ms}) connect {c.connect_ms} opened {c.opened} ({c.bare_opened}) waited {c.waited}", c.errors, c.bare_errors)
print(reached(told.cells), time.time() - began)
