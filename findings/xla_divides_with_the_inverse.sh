#!/bin/sh
# On a CPU XLA divides several numbers by one by multiplying them with its inverse, which rounds twice.
#
# jax and jaxlib 0.10.2, CPU, no option of fast arithmetic set. x / y with x of shape [1000] and y a number gives the bits
# of x * (1 / y), not those of the quotient as IEEE 754 rounds it and NumPy gives it: in single and in double precision
# a tenth to a third of the entries differ in the last digit, and x / x is not one for a tenth of the whole numbers below
# 1,000 if others are divided beside them. So it is for rows divided by a column of their sums. With a y of x's own shape
# the quotient is NumPy's to the bit; so a formula has other last digits where one operand is broadcast.
#
# Expected: the same bits as NumPy, as for sums and products of entries. Seen: as above. Remedy: compare quotients with a
# tolerance, or write x * (1 / y) on both sides.
set -eu

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "jax==0.10.2" "jaxlib==0.10.2"

cat > "$folder/quotients.py" <<'PYTHON'
import jax
import jax.numpy as jnp
import numpy as np

rng = np.random.default_rng(0)
for dtype in ("float32", "float64"):
    with jax.enable_x64(dtype == "float64"):
        rows = rng.random((1000, 7)).astype(dtype)
        for what, by in {"a number": rows[3, 3], "a column": rows[:, :1].copy()}.items():
            inverse = rows * (np.ones(1, dtype) / by)
            for divide in (jnp.divide, jax.jit(lambda x, y: x / y)):
                found = np.asarray(divide(jnp.asarray(rows), jnp.asarray(by)))
                off = (found != rows / by).mean()
                print(f"{dtype}, by {what}: {off:.0%} of the entries differ from NumPy's")
                assert 0.05 < off < 0.4
                assert (found == inverse).all()
            whole = np.broadcast_to(by, rows.shape).copy()
            assert (np.asarray(jnp.asarray(rows) / jnp.asarray(whole)) == rows / by).all()
        ones = np.arange(1, 1000, dtype=dtype)
        itself = [float((jnp.asarray(ones) / jnp.asarray(x))[i]) for i, x in enumerate(ones)]
        print(f"{dtype}: x / x is not 1 for {sum(one != 1 for one in itself)} of the whole numbers below 1,000")
        assert any(one != 1 for one in itself)
PYTHON
"$folder/venv/bin/python" "$folder/quotients.py"
