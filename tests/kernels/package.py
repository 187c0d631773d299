# SPDX-License-Identifier: Apache-2.0
"""Debian kernels, downloaded once and cached below the build directory."""
import re
import shutil
import subprocess

# The suites that have each kernel. They are read with a private apt state; that of the machine is neither used nor changed.
SUITES = {
    "6.1": ["debian bookworm", "debian-security bookworm-security"],
    "6.12": ["debian trixie", "debian-security trixie-security"],
    "newest": ["debian sid"],
}
MIRROR = "http://deb.debian.org"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
METAPACKAGE = "linux-image-cloud-amd64"  # depends on the newest kernel
NETWORK_TIMEOUT = 300


class Unavailable(Exception):
    """The kernel is not available on this machine: a reason to skip, not a failure."""


class Apt:
    """apt, limited to the suites of one kernel."""

    def __init__(self, directory, suites):
        (directory / "lists" / "partial").mkdir(parents=True, exist_ok=True)
        sources = directory / "sources.list"
        sources.write_text("".join(f"deb [arch=amd64 signed-by={KEYRING}] {MIRROR}/{suite} main\n" for suite in suites))
        settings = (f"Dir::Etc::sourcelist={sources}", "Dir::Etc::sourceparts=-", f"Dir::State::lists={directory}/lists",
                    "Dir::Cache::pkgcache=", "Dir::Cache::srcpkgcache=", "APT::Sandbox::User=root", "Acquire::Retries=1",
                    "Acquire::http::Timeout=15", "Acquire::Check-Valid-Until=false")  # mirrors lag behind unstable
        self.options = [word for setting in settings for word in ("-o", setting)]

    def run(self, tool, *arguments, **options):
        try:
            done = subprocess.run([tool, *self.options, "-qq", *arguments], text=True, capture_output=True,
                                  timeout=NETWORK_TIMEOUT, **options)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Unavailable(str(error)) from error
        if done.returncode != 0:
            raise Unavailable(f"{tool} {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout


def download(directory, suites):
    """The packages of the newest kernel. From Linux 7 on, kernel and modules are in packages of their own."""
    apt = Apt(directory / "apt", suites)
    apt.run("apt-get", "--error-on=any", "update")
    depends = apt.run("apt-cache", "depends", METAPACKAGE)
    name = re.search(r"Depends: (linux-image-\S+)", depends)
    if not name:
        raise Unavailable(f"{METAPACKAGE} depends on no kernel: {depends!r}")
    parts = re.findall(r"Depends: (linux-(?:binary|modules)-\S+)", apt.run("apt-cache", "depends", name[1]))
    apt.run("apt-get", "download", name[1], *parts, cwd=directory)
    return sorted(directory.glob("*.deb"))


def unpack(packages, directory):
    for package in packages:
        subprocess.run(["dpkg-deb", "--extract", package, directory], check=True)
    if not (directory / "lib").exists():
        (directory / "lib").symlink_to("usr/lib")
    # Installing the package would create modules.dep.
    release, = (directory / "lib" / "modules").iterdir()
    subprocess.run(["busybox", "depmod", "-b", directory, release.name], check=True)
    if not (directory / "boot").exists():
        (directory / "boot").mkdir()
        shutil.copy(release / "vmlinuz", directory / "boot" / f"vmlinuz-{release.name}")


def kernel_image(version, cache):
    """Directory of the unpacked kernel package. The cache is never updated: remove it to get a newer kernel."""
    image, unfinished = cache / version / "image", cache / version / "unfinished"
    if not image.exists():
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        unpack(download(unfinished, SUITES[version]), unfinished / "image")
        (unfinished / "image").rename(image)
        shutil.rmtree(unfinished)
    return image
