"""Which file systems machines share: by a table of mounts as Linux gives it."""

from __future__ import annotations

from pathlib import Path

import pytest

from ablate.errors import UserError
from ablate.mounts import network_kind
from ablate.record.databases import refuse_shared

TABLE = r"""
/dev/vda / ext4 rw,relatime 0 0
server:/home /home nfs4 rw,vers=4.2,local_lock=none 0 0
/dev/vdb /home/scratch xfs rw 0 0
10.0.0.1@tcp:/fs /lustre lustre rw,flock 0 0
gpfs0 /gpfs/with\040space gpfs rw 0 0
fuse-overlayfs /container fuse.fuse-overlayfs rw 0 0
bucket /mnt/bucket fuse.s3fs rw 0 0
tmpfs /covered tmpfs rw 0 0
server:/covered /covered nfs rw 0 0
""".lstrip()


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/srv/study", ""),
        ("/home/ada/study/.ablate", "nfs4"),
        ("/homestead", ""),
        ("/home/scratch/study", ""),
        ("/lustre/study", "lustre"),
        ("/gpfs/with space/study", "gpfs"),
        ("/container/study", ""),
        ("/mnt/bucket", "fuse.s3fs"),
        ("/covered/study", "nfs"),
    ],
)
def test_the_innermost_mount_says_what_a_path_lies_on(path: str, kind: str) -> None:
    assert network_kind(Path(path), TABLE) == kind


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "study").symlink_to("/lustre/study")
    assert network_kind(tmp_path / "study" / "store", TABLE) == "lustre"


def test_this_machine_says_what_is_mounted(tmp_path: Path) -> None:
    assert network_kind(tmp_path) == network_kind(tmp_path, Path("/proc/self/mounts").read_text())


def test_sqlite_on_a_network_file_system_is_refused_with_the_reason() -> None:
    refuse_shared(Path("/srv/mlflow.db"), TABLE)
    with pytest.raises(UserError, match=r"network file system \(nfs4\) breaks: locks do not hold") as error:
        refuse_shared(Path("/home/ada/mlflow.db"), TABLE)
    assert "--tracking-uri" in error.value.fix and "--study-storage" in error.value.fix
