#!/bin/sh
# JAX's persistent compilation cache never replaces an entry that it cannot read.
#
# jax and jaxlib 0.10.2, CPU. Where an entry of the cache folder has been cut short (a process was killed as it wrote; the
# disk was full), JAX warns "Error reading persistent compilation cache entry", compiles, and gives the right value, as
# one would hope. But it then leaves the entry as it is, since a file of that name exists: every later process warns and
# compiles again, for as long as the folder lives. With an empty place for the same entry the second process finds it.
#
# Expected: the entry is written anew, or removed. Seen, of the two programs of each process: in a fresh folder no warning
# and no hit, then two hits; with both entries cut, two warnings and no hit, in one process after the other, and files of
# 100 bytes to the end. Remedy: take unreadable entries away before JAX looks.
set -eu

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "jax==0.10.2" "jaxlib==0.10.2"

cat > "$folder/compile.py" <<'PYTHON'
import sys
import warnings

import jax

jax.config.update("jax_compilation_cache_dir", sys.argv[1])
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)
events = []
jax.monitoring.register_event_listener(lambda event, **_: events.append(event))
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    value = float(jax.jit(lambda x: (x * 1.5).sum())(jax.numpy.arange(7.0)))
assert value == 31.5, value
said = sum("Error reading persistent compilation cache entry" in str(warning.message) for warning in told)
print(said, events.count("/jax/compilation_cache/cache_hits"))
PYTHON

compile() { JAX_PLATFORMS=cpu "$folder/venv/bin/python" "$folder/compile.py" "$folder/cache"; }

first=$(compile)
second=$(compile)
echo "whole:  warned and hits: $first, then $second"
for entry in "$folder"/cache/*-cache; do
    head -c 100 "$entry" > "$folder/cut"
    cp "$folder/cut" "$entry"
done
third=$(compile)
fourth=$(compile)
fifth=$(compile)
echo "broken: warned and hits: $third, then $fourth, then $fifth"
for entry in "$folder"/cache/*-cache; do
    test "$(wc -c < "$entry")" -eq 100
done
test "$first/$second" = "0 0/0 2"
test "$third/$fourth/$fifth" = "2 0/2 0/2 0"
echo "as described"
