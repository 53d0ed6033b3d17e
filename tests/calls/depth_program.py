"""A small program whose frames GCC says (``-fstack-usage``), for tests of depths."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

SOURCE = """
#define F __attribute__((noipa)) void
void use(void *);
F use(void *p) { __asm__ volatile("" :: "r"(p) : "memory"); }
F small(void) { char a[40]; use(a); }
F large(void) { char a[400]; use(a); small(); use(a); }
F jumps(void) { __asm__ volatile("" ::: "rbx", "r12"); use(0); large(); }
F both(void) { char a[24]; use(a); jumps(); large(); use(a); }
F again(int n) { char a[72]; use(a); if (n) again(n - 1); use(a); }
F ping(int n);
F pong(int n) { char a[56]; use(a); if (n) ping(n - 1); use(a); }
F ping(int n) { char a[88]; use(a); if (n) pong(n - 1); large(); use(a); }
F pointer(void (*f)(void)) { char a[136]; use(a); f(); use(a); }
F dynamic(int n) { char a[n]; use(a); small(); use(a); }
F top(int n) { char a[8]; pointer(large); ping(n); use(a); }
int main(void) { both(); again(3); dynamic(9); top(2); return 0; }
"""


def built(folder: Path) -> tuple[Path, dict[str, int]]:
    """The program, for x86-64, and each function's frame; skips where there is no GCC."""
    if not shutil.which("gcc"):
        pytest.skip("gcc is missing")
    (folder / "a.c").write_text(SOURCE)
    options = ["-O2", "-fno-stack-protector", "-fcf-protection=none", "-fstack-usage", "-static"]
    command = ["gcc", *options, "-nostdlib", "-Wl,-e,main", "a.c", "-o", "a"]
    subprocess.run(command, cwd=folder, check=True)
    usage = next(folder.glob("*.su")).read_text().splitlines()
    sizes = {line.split("\t")[0].rsplit(":")[-1]: int(line.split("\t")[1]) for line in usage}
    return folder / "a", sizes
