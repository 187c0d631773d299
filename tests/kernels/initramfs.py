# SPDX-License-Identifier: Apache-2.0
"""The file system of the emulated machine: busybox, the agent, tools, kernel modules, captures, scenarios."""
import pathlib
import re
import shutil
import subprocess

HERE = pathlib.Path(__file__).resolve().parent
CAPTURES = HERE.parent / "captures"
TOOLS = ("ip", "tc", "jq")
MODULES = ("veth", "sch_ingress", "cls_bpf")
DIRECTORIES = ("bin", "dev", "proc", "run", "sys", "tmp", "root")


def libraries(binary):
    """The libraries that ldd lists, the dynamic loader included; none for a static binary."""
    listed = subprocess.run(["ldd", binary], text=True, capture_output=True).stdout
    return re.findall(r"(?:=> |^\s+)(/\S+) \(0x", listed, re.MULTILINE)


def copy_program(binary, name, root):
    target = root / "bin" / name
    shutil.copy(binary, target)
    for library in libraries(binary):
        destination = root / library.lstrip("/")
        if not destination.exists():
            destination.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(library, destination)
    return target


def with_dependencies(modules, depends):
    """Paths of the modules and of their dependencies. `depends` is modules.dep: lines of "path: path..."."""
    lines = dict(line.split(":") for line in depends.splitlines())
    for path, needed in lines.items():
        if pathlib.Path(path).name.split(".")[0] in modules:
            yield from (path, *needed.split())


def copy_modules(image, root):
    source, = (image / "lib" / "modules").iterdir()
    target = root / "lib" / "modules" / source.name
    for path in with_dependencies(MODULES, (source / "modules.dep").read_text()):
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source / path, target / path)
    for index in source.glob("modules.*"):
        shutil.copy(index, target)


def copy_captures(root):
    for capture in CAPTURES.rglob("*.pcap*"):
        target = root / "captures" / capture.relative_to(CAPTURES)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(capture, target)


def build(image, agent, scenarios, directory):
    """Builds the archive and returns its path. Uncompressed: under emulation, decompressing takes longer than reading."""
    root, archive = directory / "root", directory / "initramfs.cpio"
    shutil.rmtree(root, ignore_errors=True)
    for name in DIRECTORIES:
        (root / name).mkdir(parents=True)
    copy_program(shutil.which("busybox"), "busybox", root)
    for tool in TOOLS:
        copy_program(shutil.which(tool), tool, root)
    subprocess.run(["strip", copy_program(agent, "tcpwin-agent", root)], check=True)
    copy_modules(image, root)
    copy_captures(root)
    shutil.copy(HERE / "guest" / "init", root / "init")
    shutil.copytree(HERE / "guest", root / "tests")
    (root / "tests" / "scenarios").mkdir()
    for scenario in scenarios:
        shutil.copy(scenario, root / "tests" / "scenarios")
    with open(archive, "wb") as out:
        subprocess.run("find . | busybox cpio -o -H newc 2>/dev/null", shell=True, cwd=root, stdout=out, check=True)
    return archive
