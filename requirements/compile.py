"""Write the lock files: `python requirements/compile.py`, with pip-tools beside it (`make lock` sees to that).

With `--keep` every version stays as it is locked, and only what is new is resolved.

lock.txt       what `kedge[demo]` needs, without torch
torch-cpu.txt  torch built for CPU alone, which an index of its own serves; its hashes are kept in torch-cpu.sha256
torch.txt      torch as the package index serves it: on Linux built for CUDA
cuda.txt       what only the CUDA build of torch needs
dev.txt        what the tests need on top
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path

HERE = Path(__file__).parent
PROJECT = tomllib.loads((HERE.parent / "pyproject.toml").read_text())
CUDA = re.compile(r"(cuda|nvidia)-|triton$")
COMPILE = [
    "-m",
    "piptools",
    "compile",
    "--quiet",
    "--generate-hashes",
    "--allow-unsafe",
    "--strip-extras",
    "--no-header",
    "--no-emit-index-url",
    "--no-emit-find-links",
    "--no-emit-trusted-host",
    "--annotation-style=line",
]


def flatten(requirements: Iterable[str]) -> list[str]:
    """The requirements with `kedge[extra]` replaced by what the extra lists."""
    extras: Mapping[str, list[str]] = PROJECT["project"]["optional-dependencies"]
    flat: set[str] = set()
    for requirement in requirements:
        own = re.fullmatch(r"kedge\[(.+)\]", requirement)
        flat.update(flatten(r for e in own[1].split(",") for r in extras[e.strip()]) if own else [requirement])
    return sorted(flat)


def compiled(requirements: Iterable[str], pins: Iterable[str]) -> dict[str, list[str]]:
    """Every package needed, by name, with the hashes of all its files; `pins` holds versions as `name==version`."""
    with tempfile.TemporaryDirectory() as folder:
        wanted, pinned, out = (Path(folder) / name for name in ("wanted.in", "pins.txt", "out.txt"))
        wanted.write_text("\n".join(requirements) + "\n")
        pinned.write_text("\n".join(pins) + "\n")
        command = [sys.executable, *COMPILE, "--constraint", str(pinned), "--output-file", str(out), str(wanted)]
        subprocess.run(command, check=True)
        blocks = re.findall(r"^(\S+==\S+(?: ; [^\\\n]+)?) \\\n((?:    --hash=.+\n)+)", out.read_text(), re.MULTILINE)
    return {pin: re.findall(r"sha256:[0-9a-f]{64}", hashes) for pin, hashes in blocks}


def cpu_builds(version: str) -> list[str]:
    """The hashes of the CPU builds of torch, which an index of its own serves."""
    lines = (HERE / "torch-cpu.sha256").read_text().splitlines()
    return [f"sha256:{line.split()[0]}" for line in lines if f"torch-{version}+cpu-" in line]


def write(name: str, about: str, packages: Mapping[str, list[str]]) -> None:
    """One lock file, sorted, nothing but pins and hashes."""
    blocks = [" \\\n".join([pin, *(f"    --hash={hash_}" for hash_ in packages[pin])]) for pin in sorted(packages)]
    (HERE / name).write_text(f"# {about} Written by requirements/compile.py.\n" + "\n".join(blocks) + "\n")


def locked() -> list[str]:
    """What the lock files pin now, as `name==version`."""
    files = [HERE / name for name in ("lock.txt", "torch.txt", "cuda.txt", "dev.txt")]
    return [line.split()[0] for file in files for line in file.read_text().splitlines() if "==" in line]


def main() -> None:
    """Resolve once for the demo and once more for the tests, and sort the packages into the files."""
    kept = locked() if "--keep" in sys.argv[1:] else []
    project = PROJECT["project"]
    demo = flatten([*project["dependencies"], "kedge[demo]", *PROJECT["build-system"]["requires"]])
    everything = compiled(demo, kept)
    tests = compiled([*demo, *flatten(PROJECT["dependency-groups"]["dev"])], {*kept, *everything})
    torch = next(pin for pin in everything if pin.startswith("torch=="))
    cuda = {pin for pin in everything if CUDA.match(pin.partition("==")[0])}
    write("torch-cpu.txt", "torch built for CPU alone.", {f"{torch}+cpu": cpu_builds(torch.partition("==")[2])})
    write("torch.txt", "torch as the package index serves it.", {torch: everything[torch]})
    write("cuda.txt", "What the CUDA build of torch needs.", {pin: everything[pin] for pin in cuda})
    write("lock.txt", "What kedge[demo] needs.", {p: h for p, h in everything.items() if p not in {torch, *cuda}})
    write("dev.txt", "What the tests need on top.", {p: h for p, h in tests.items() if p not in everything})


if __name__ == "__main__":
    main()
