#!/bin/sh
# A function under jax.jit with compiler_options can be given to jax.vmap, and not to jax.grad.
#
# jax and jaxlib 0.10.2, CPU. `jax.jit(f)` may stand anywhere: called, inside of another jit, under vmap or grad. With
# `compiler_options` it can be called, and vmap of it, with no other jit in sight, is compiled as asked. But grad of it,
# at the top level as well, raises "`compiler_options` can only be passed to top-level `jax.jit` ... specified on a nested
# jit". With grad inside of the jit all is well. So a library cannot say once, where it defines a function, how that is to
# be compiled, without taking the function's derivative from its users.
#
# Expected: what vmap does, for this jit is the outermost; or a message that names the derivative. Seen: ValueError about a
# nested jit. Remedy: keep a second jit without options, and call that one wherever an argument is a tracer.
set -eu

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "jax==0.10.2" "jaxlib==0.10.2"

cat > "$folder/derive.py" <<'PYTHON'
import jax
import jax.numpy as jnp

options = {"xla_backend_optimization_level": 2}
plain = jax.jit(lambda x: x * x)
told = jax.jit(lambda x: x * x, compiler_options=options)
inside = jax.jit(jax.grad(lambda x: x * x), compiler_options=options)
assert float(told(3.0)) == 9.0
assert jax.vmap(told)(jnp.arange(3.0)).tolist() == [0.0, 1.0, 4.0]
assert float(jax.grad(plain)(3.0)) == float(inside(3.0)) == 6.0
print("called, under vmap, and with grad inside: compiled")
for name, derived in (("grad", jax.grad), ("value_and_grad", jax.value_and_grad)):
    try:
        derived(told)(3.0)
    except ValueError as error:
        text = str(error)
        assert "can only be passed to top-level" in text and "nested jit" in text, text
        print(f"{name}: refused as a nested jit")
    else:
        raise SystemExit(f"{name} of a jit with compiler_options is compiled now")
PYTHON

JAX_PLATFORMS=cpu "$folder/venv/bin/python" "$folder/derive.py"
echo "as described"
