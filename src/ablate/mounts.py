"""Which file system a path lies on. Where machines share it, the kernel's locks may not hold."""

from __future__ import annotations

import re
from pathlib import Path

TABLE = Path("/proc/self/mounts")
"""Linux keeps here what is mounted where."""

NETWORK = re.compile(
    r"nfs\d*|cifs|smb\d*|smbfs|lustre|gpfs|beegfs\w*|ceph|glusterfs|pvfs2|orangefs|panfs|wekafs|afs|9p|virtiofs"
    r"|fuse\.(?!fuse-overlayfs$).+"
)
"""Types of file systems that may be shared by machines. What is mounted by FUSE counts as one of them."""


def network_kind(path: Path, table: str | None = None) -> str:
    """The type of the network file system that a path lies on, which need not exist: ``nfs4``; "" for a local
    disk, and where the system does not say.

    Args:
        table: what is mounted, as in ``/proc/self/mounts``; by default what that file says.
    """
    if table is None:
        try:
            table = TABLE.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
    place, found, kind = path.resolve(), Path(), ""
    for line in table.splitlines():
        _, mount, type_, *_ = line.split(" ")
        folder = Path(re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), mount))
        # Of two that are mounted on each other, the later one is seen.
        if place.is_relative_to(folder) and len(folder.parts) >= len(found.parts):
            found, kind = folder, type_
    return kind if NETWORK.fullmatch(kind) else ""
