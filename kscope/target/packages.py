"""The commands that would bring a kernel's debug info: its distribution's package, debuginfod."""

from kscope.model.target import Identity


def fetch_commands(identity: Identity) -> tuple[str, ...]:
    """The commands that would bring the vmlinux with debug info of this release, the likeliest
    first; told from how distributions name their releases."""
    release = identity.release
    fetch = []
    if not release:
        return ()
    if ".el" in release or ".fc" in release:
        fetch.append(f"dnf debuginfo-install kernel-core-{release}")
    elif "-default" in release or "-azure" in release:
        fetch.append(f"zypper install kernel-{release.rpartition('-')[2]}-debuginfo")
    elif "-generic" in release or "-aws" in release or "-gcp" in release:
        fetch.append(f"apt install linux-image-{release}-dbgsym")
    elif release.endswith(("-amd64", "-arm64")):
        fetch.append(f"apt install linux-image-{release}-dbg")
    target = {"kcore": "--live", "qemu": f"--qemu {identity.path}"}
    fetch.append(f"kscope --debuginfod {target.get(identity.format, identity.path)}")
    return tuple(fetch)
