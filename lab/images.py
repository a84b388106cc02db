"""Images of whole Debian hosts, made from packages: no image registry is needed."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from containers import LabError, Podman

REPOSITORY = "localhost/holdfast-lab"
CUSTOMIZE = Path(__file__).parent / "image" / "customize.sh"
BUILD_SECONDS = 1200
MMDEBSTRAP_OPTIONS = (
    "--quiet",
    "--variant=minbase",
    # The package lists stay, so that roles can install without a long update first.
    "--skip=cleanup/apt/lists",
    "--aptopt=Acquire::Languages none",
    "--aptopt=Acquire::GzipIndexes true",
    "--aptopt=APT::Install-Recommends false",
    "--dpkgopt=force-unsafe-io",
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
    "--dpkgopt=path-exclude=/usr/share/man/*",
)


def reference(suite: str, packages: Sequence[str]) -> str:
    """Return the image's name; its tag ends in a checksum of the recipe."""
    recipe = "\n".join([*MMDEBSTRAP_OPTIONS, *packages, CUSTOMIZE.read_text()])
    return f"{REPOSITORY}:{suite}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"


def build(podman: Podman, suite: str, packages: Sequence[str], log: Path) -> None:
    """Make the image of one suite and drop its older versions.

    :raises LabError: a package could not be had, or podman refused the image.
    """
    if not shutil.which("mmdebstrap"):
        raise LabError("mmdebstrap is not installed: run lab/bootstrap.sh lab")
    with log.open("w") as messages:
        builder = subprocess.Popen(
            [
                *("mmdebstrap", *MMDEBSTRAP_OPTIONS, f"--include={','.join(packages)}"),
                *(f"--customize-hook={CUSTOMIZE}", suite, "-"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=messages,
        )
        importer = subprocess.Popen(
            podman.command("import", "--quiet", "-"),
            stdin=builder.stdout,
            stdout=subprocess.PIPE,
            stderr=messages,
            text=True,
            env={**os.environ, **podman.env},
        )
        if builder.stdout:
            builder.stdout.close()
        imported = ""
        try:
            imported, _ = importer.communicate(timeout=BUILD_SECONDS)
            complete = builder.wait(timeout=10) == 0 and importer.returncode == 0
        except subprocess.TimeoutExpired:
            complete = False
        finally:
            importer.terminate()
            builder.terminate()
    # The name is given last: an image cut short must never be taken for a whole one.
    if not complete:
        podman.succeeds("rmi", *imported.split())
        raise LabError(f"the {suite} image could not be built: see {log}")
    image = reference(suite, packages)
    podman("tag", imported.strip().splitlines()[-1], image)
    for old in podman("images", "--format={{.Repository}}:{{.Tag}}", REPOSITORY).splitlines():
        if old.startswith(f"{REPOSITORY}:{suite}-") and old != image:
            # A lab that still runs on it keeps it.
            podman.succeeds("rmi", old)
