#!/bin/sh
# jnp.asarray of a NumPy array compiles a program for every new shape, if it is not told the type that the array has.
#
# jax and jaxlib 0.10.2, CPU. A float32 array needs no conversion, and jax.device_put, or jnp.asarray with dtype=float32,
# hands it over without compiling anything. Without a dtype the array goes through a program of its own, jit(stage), that
# does nothing; another shape is another program, of some 6 ms. Where a type has to be changed, jnp.asarray(x, dtype)
# compiles a conversion for each shape, too, while x.astype(dtype) in NumPy would do it at once. A start-up that makes some
# dozens of arrays of different shapes spends tenths of a second so.
#
# Expected: an array that has its type already is copied to the device, with dtype given or not. Seen: as above. Remedy:
# let NumPy convert, and say the dtype or use jax.device_put.
set -eu

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "jax==0.10.2" "jaxlib==0.10.2"

cat > "$folder/shapes.py" <<'PYTHON'
import jax
import jax.numpy as jnp
import numpy as np

compiled = []
jax.monitoring.register_event_duration_secs_listener(
    lambda event, seconds, **about: compiled.append(about.get("fun_name")) if "backend_compile" in event else None
)


def programs_for(convert, dtype):
    """What is compiled for four arrays of shapes that differ, after one that does not count."""
    convert(np.zeros(99, dtype))
    compiled.clear()
    for size in (3, 5, 7, 11):
        assert convert(np.zeros(size, dtype)).dtype == jnp.float32
    return list(compiled)


found = {
    "asarray(x)": programs_for(jnp.asarray, np.float32),
    "asarray(x, float32)": programs_for(lambda x: jnp.asarray(x, jnp.float32), np.float32),
    "device_put(x)": programs_for(jax.device_put, np.float32),
    "asarray(x of float64, float32)": programs_for(lambda x: jnp.asarray(x, jnp.float32), np.float64),
    "asarray(NumPy's conversion, float32)": programs_for(
        lambda x: jnp.asarray(x.astype(np.float32), jnp.float32), np.float64
    ),
}
for how, names in found.items():
    print(f"{how}: {len(names)} programs {sorted(set(names))}")
assert [len(names) for names in found.values()] == [4, 0, 0, 4, 0]
PYTHON
"$folder/venv/bin/python" "$folder/shapes.py"
