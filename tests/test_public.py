"""Public modules show their public names, and have them."""

import subprocess
import sys

import pytest

import a3cjax

MODULES = [
    "compute_times", "delays", "environments", "exact", "families", "networks", "optax", "policies", "remedies",
    "studies", "sweeps", "testing", "waits",
]  # fmt: skip


@pytest.mark.parametrize("name", MODULES)
def test_tab_completion_shows_what_is_public(name):
    module = getattr(a3cjax, name)
    assert dir(module) == sorted(set(module.__all__))
    assert all(hasattr(module, one) for one in dir(module))


def test_the_package_shows_these_modules():
    assert dir(a3cjax) == sorted(set(a3cjax.__all__))
    assert {*MODULES} <= {*dir(a3cjax)}
    assert all(hasattr(a3cjax, one) for one in dir(a3cjax))


def test_what_takes_long_to_import_is_imported_where_it_is_needed():
    script = (
        "import sys, a3cjax\n"
        "seldom = {'matplotlib', 'optax', 'pandas', 'rich', 'scipy', 'xarray', 'a3cjax.schedules.calibration'}\n"
        "a3cjax.simulate, a3cjax.A3C, a3cjax.ActorCritic, a3cjax.Schedule\n"
        "print(*sorted(seldom & set(sys.modules)))\n"
        "a3cjax.studies\n"
        "print(*sorted(seldom & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["", "a3cjax.schedules.calibration optax"]  # of which studies are made
