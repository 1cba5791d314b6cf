"""Packs the Python that runs this as Python builds are published: pack.py FOLDER VERSION.

It is told to say another version of itself, so that nobody can take it for the machine's own.
"""

import os
import pathlib
import pip
import shutil
import subprocess
import sys
import sysconfig
import tarfile

folder, version = pathlib.Path(sys.argv[1]), sys.argv[2]
name = "python%d.%d" % sys.version_info[:2]
tree = folder / "python"
library = tree / "lib" / name
skip = shutil.ignore_patterns("__pycache__", "test", "idlelib", "tkinter", "config-*", "*-packages")
shutil.copytree(sysconfig.get_path("stdlib"), library, ignore=skip, ignore_dangling_symlinks=True)
# Debian's own would install packages below `local`.
paths = library / "sysconfig.py"
paths.write_text(paths.read_text().replace("{base}/local/", "{base}/"))

programs = tree / "bin"
programs.mkdir()
own = sys.version.split()[0]
program = pathlib.Path(sys.executable).resolve().read_bytes()
(programs / name).write_bytes(program.replace(own.encode(), version.encode()))
(programs / "python3").symlink_to(name)
(programs / "pip").write_text(
    '#!/bin/sh\nexec "$(dirname "$(realpath "$0")")/python3" -m pip "$@"\n'
)
for program in (name, "pip"):
    (programs / program).chmod(0o755)

where = "import sysconfig; print(sysconfig.get_path('purelib'))"
packages = subprocess.check_output([programs / name, "-c", where], text=True).strip()
shutil.copytree(os.path.dirname(pip.__file__), pathlib.Path(packages) / "pip", ignore=skip)
with tarfile.open(folder / "python.tar.gz", "w:gz", compresslevel=1) as archive:
    archive.add(tree, "python")
