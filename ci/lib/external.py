"""Rules of ci/external-check over text: each takes the text of a file and returns sentences about what is wrong in it.

`self_test` tries each rule on text that breaks it and on text that keeps it.
"""

import re
import tempfile
from pathlib import Path

KERNEL_SET = re.compile(r'^(CONFIG_[A-Z0-9_]+)=(y|m|-?[0-9]+|0x[0-9a-fA-F]+|"[^"]*")$')
KERNEL_UNSET = re.compile(r"^# (CONFIG_[A-Z0-9_]+) is not set$")
EXTERNAL_PATH = re.compile(r"\$\(BR2_EXTERNAL_AUDYN_PATH\)(/[^ \"]*)")
# Flags of the mount itself, not of a file system. The kernel hands rootflags= to the file system as it is, and erofs
# refuses what it doesn't know: the box would not start. Nothing but a boot without initrd shows it.
# Commands that BusyBox could have too, and that come from the packages in audyn_common.fragment.
ELSEWHERE = {"e2fsck", "mount", "umount", "mountpoint", "blkid", "fsck", "logger", "losetup", "ip", "nft", "wipefs"}
MOUNT_FLAGS = {"noatime", "nodiratime", "relatime", "strictatime", "nosuid", "nodev", "noexec", "ro", "rw", "sync", "async"}


def kernel_fragment(name, text):
    """({symbol: value}, findings) of one kernel fragment; n stands for `is not set`."""
    values, findings = {}, []
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        match = KERNEL_SET.match(line)
        unset = KERNEL_UNSET.match(line)
        if match or unset:
            symbol = (match or unset)[1]
            if symbol in values:
                findings.append(f"{name}:{number}: {symbol} stands there twice")
            values[symbol] = match[2] if match else "n"
        elif line and (not line.startswith("#") or re.match(r"#\s*CONFIG_\w+(=|\s+is\b)", line)):
            findings.append(f"{name}:{number}: this is no kernel configuration line: {line}")
    return values, findings


def missing_files(name, text, base):
    """Files that a configuration names below our tree and that aren't there."""
    return [f"{name} names {found}, which isn't there" for found in sorted(set(EXTERNAL_PATH.findall(text)))
            if not (base / found.lstrip("/")).exists()]


def absolute_paths(name, text):
    """Values that begin with a slash: a path of somebody's machine."""
    return [f"{name}:{number}: an absolute path: {line.strip()}" for number, line in enumerate(text.splitlines(), 1)
            if re.search(r'(=|="|[ "])/(?!\.)[a-z]+/', line) and not line.lstrip().startswith("#") and "://" not in line]


def kernel_archives(text):
    """Names of the kernel archives that a defconfig asks for."""
    found = [f"linux-{version}.tar.xz" for version in re.findall(r'^BR2_LINUX_KERNEL_CUSTOM_VERSION_VALUE="(.*)"', text, re.M)]
    found += [place.rpartition("/")[2] for place in re.findall(r'^BR2_LINUX_KERNEL_CUSTOM_TARBALL_LOCATION="(.*)"', text, re.M)]
    return found


def hash_lines(name, text):
    """({file: sha256}, findings) of a .hash file."""
    known, findings = {}, []
    for number, line in enumerate(text.splitlines(), 1):
        if line and not line.startswith("#"):
            match = re.match(r"^sha256  ([0-9a-f]{64})  (\S+)$", line)
            if match:
                known[match[2]] = match[1]
            else:
                findings.append(f"{name}:{number}: no line like `sha256  HASH  FILE`")
    return known, findings


def cmdline_findings(name, text):
    """What a kernel command line must not say (comments are stripped)."""
    words = re.sub(r"#.*", "", text).split()
    findings = []
    for word in words:
        key, _, value = word.partition("=")
        if key == "rootflags":
            findings += [f"{name}: rootflags={flag} is a flag of the mount, which erofs refuses when the kernel mounts the root itself"
                         for flag in value.split(",") if flag in MOUNT_FLAGS]
        # The kernel reads letters there as flags, so a list that begins with N is one it doesn't know.
        if key == "isolcpus" and re.search(r"(^|[a-z_],)N", value):
            findings.append(f"{name}: isolcpus={value}: the kernel takes this N for an unknown flag and isolates nothing")
    return findings


def profile_findings(cargo, external_mk):
    """[profile.release] and the environment that restores it in Buildroot must say the same."""
    profile = cargo["profile"]["release"]
    said = dict(re.findall(r'CARGO_PROFILE_RELEASE_([A-Z_]+)="([^"]*)"', external_mk))
    # What holds for one crate stands in a table of its own, which no environment overrides.
    wanted = {key.upper().replace("-", "_"): str(value).lower() for key, value in profile.items() if not isinstance(value, dict)}
    wanted.setdefault("OPT_LEVEL", "3")
    return [f"external.mk: CARGO_PROFILE_RELEASE_{key} is {said.get(key)}, Cargo.toml has {wanted.get(key)}"
            for key in sorted(set(said) | set(wanted)) if said.get(key) != wanted.get(key)]


def package_findings(name, config_in, package_config, makefile, others):
    """The wiring of one package: sourced once, named as its folder, called for by something."""
    upper = name.upper().replace("-", "_")
    findings = []
    if config_in.count(f'/package/{name}/Config.in"') != 1:
        findings.append(f"Config.in must source package/{name}/Config.in once")
    if not re.search(rf"^config BR2_PACKAGE_{upper}$", package_config, re.M):
        findings.append(f"package/{name}/Config.in has no config BR2_PACKAGE_{upper}")
    if len(re.findall(r"^\$\(eval \$\((?:[a-z]+-)?(?:cargo|generic)-package\)\)$", makefile, re.M)) != 1:
        findings.append(f"package/{name}/{name}.mk must end in one $(eval $(…-package))")
    findings += [f"package/{name}/{name}.mk sets {variable}, which isn't {upper}_…"
                 for variable in re.findall(r"^([A-Z][A-Z0-9_]*)\s*[:+?]?=", makefile, re.M) if not variable.startswith(f"{upper}_")]
    if "cargo-package" in makefile:
        for need in ("_CARGO_ENV = $(AUDYN_CARGO_ENV)", "_PRE_CONFIGURE_HOOKS += AUDYN_CARGO_VENDOR", "_SUBDIR = "):
            if upper + need not in makefile:
                findings.append(f"package/{name}/{name}.mk lacks {upper}{need}")
        if "depends on BR2_PACKAGE_HOST_RUSTC_TARGET_ARCH_SUPPORTS" not in package_config or "select BR2_PACKAGE_HOST_RUSTC" not in package_config:
            findings.append(f"package/{name}/Config.in must depend on Rust's support of the processor, and select host-rustc")
    if not re.search(rf"^(BR2_PACKAGE_{upper}=y|\s*select BR2_PACKAGE_{upper}\b.*)$", others, re.M):
        findings.append(f"nothing turns BR2_PACKAGE_{upper} on")
    return findings


def busybox_config(base, fragment):
    """({symbol: set or not}, findings) of Buildroot's BusyBox configuration with our fragment merged in."""
    config = {line.split("=")[0].removeprefix("# ").split(" ")[0]: "=" in line and not line.startswith("#")
              for line in base.splitlines() if re.match(r"(# )?CONFIG_\w+( is not set|=)", line)}
    values, findings = kernel_fragment("busybox.fragment", fragment)
    for symbol, value in values.items():
        if symbol not in config:
            findings.append(f"busybox.fragment: BusyBox has no {symbol}")
        elif config[symbol] == (value != "n"):
            findings.append(f"busybox.fragment: {symbol} is {value} without it")
        config[symbol] = value != "n"
    return config, findings


def applets_missing(name, script, config):
    """Words of a script where a command stands, that BusyBox has an applet for and this one was built without; its own functions
    apart, which go before applets."""
    text = re.sub(r"(^|\s)#.*", "", script)
    words = "(?:then|do|else|if|elif|while|until|exec)"
    called = set(re.findall(rf"(?:^|[|;&({{`]|\b{words}\s)\s*(?!{words}\b)([a-z][a-z0-9_]+)(?=[\s;)]|$)", text, re.M))
    called -= set(re.findall(r"^([a-z][a-z0-9_]+)\(\)", text, re.M))
    return [f"{name} calls {word}, and BusyBox is built without" for word in sorted(called)
            if config.get(f"CONFIG_{word.upper()}") is False and word not in ELSEWHERE]


def self_test():
    """Each rule must find what breaks it, and must let through what keeps it."""
    good = 'CONFIG_A=y\n# a comment\n# CONFIG_B is not set\nCONFIG_C="x"\nCONFIG_D=0x1f\n'
    assert kernel_fragment("f", good) == ({"CONFIG_A": "y", "CONFIG_B": "n", "CONFIG_C": '"x"', "CONFIG_D": "0x1f"}, [])
    for bad in ("CONFIG_A=y\nCONFIG_A=m", "CONFIG_A", "CONFIG_a=y", "CONFIG_A=n", "# CONFIG_A=y", "#CONFIG_A is not set", "A=y"):
        assert kernel_fragment("f", bad)[1], f"not found: {bad}"
    with tempfile.TemporaryDirectory() as base:
        (Path(base) / "there").touch()
        assert not missing_files("f", "X=$(BR2_EXTERNAL_AUDYN_PATH)/there", Path(base))
        assert missing_files("f", 'X="$(BR2_EXTERNAL_AUDYN_PATH)/there $(BR2_EXTERNAL_AUDYN_PATH)/gone"', Path(base))
    assert absolute_paths("f", 'A="/home/me/x"') and absolute_paths("f", 'A="$(X)/y /opt/z"') and absolute_paths("f", "A = /srv/x")
    assert not absolute_paths("f", 'A="$(X)/y/z"\n# see /usr/lib\nB="https://x.org/a/b"')
    assert kernel_archives('BR2_LINUX_KERNEL_CUSTOM_VERSION_VALUE="6.12.1"') == ["linux-6.12.1.tar.xz"]
    assert kernel_archives('BR2_LINUX_KERNEL_CUSTOM_TARBALL_LOCATION="$(call github,a,b,c)/linux-c.tar.gz"') == ["linux-c.tar.gz"]
    assert hash_lines("f", "# x\nsha256  " + "0" * 64 + "  a.tar")[0] == {"a.tar": "0" * 64} and hash_lines("f", "sha256 00 a")[1]
    assert cmdline_findings("f", "ro rootflags=noatime,x") and cmdline_findings("f", "isolcpus=domain,managed_irq,N")
    assert not cmdline_findings("f", "rootflags=x # rootflags=ro\nisolcpus=domain,managed_irq,,N nohz_full=N")
    base = "CONFIG_TIMEOUT=y\n# CONFIG_STAT is not set\n"
    assert busybox_config(base, "# CONFIG_TIMEOUT is not set\n") == ({"CONFIG_TIMEOUT": False, "CONFIG_STAT": False}, [])
    assert busybox_config(base, "CONFIG_GONE=y")[1] and busybox_config(base, "CONFIG_TIMEOUT=y")[1]
    config = busybox_config(base, "")[0]
    assert applets_missing("f", "timeout 5 true\nif stat x; then :; fi", config) and applets_missing("f", "a=$(stat x)", config)
    assert not applets_missing("f", "stat() {\n  :\n}\nif true; then\n  stat x\nfi\n  stat\n", config)
    assert not applets_missing("f", "timeout 5 echo stat # stat x\n", config)
    profile = {"profile": {"release": {"lto": "thin", "codegen-units": 4}}}
    right = 'CARGO_PROFILE_RELEASE_LTO="thin" CARGO_PROFILE_RELEASE_CODEGEN_UNITS="4" CARGO_PROFILE_RELEASE_OPT_LEVEL="3"'
    assert not profile_findings(profile, right) and profile_findings(profile, right.replace("thin", "fat"))
    assert profile_findings(profile, right + ' CARGO_PROFILE_RELEASE_PANIC="abort"')
    source, config = 'source "$X/package/a-b/Config.in"', "config BR2_PACKAGE_A_B\n"
    make = "A_B_VERSION = 1\n$(eval $(generic-package))\n"
    assert not package_findings("a-b", source, config, make, "BR2_PACKAGE_A_B=y")
    for broken in (("", config, make, "BR2_PACKAGE_A_B=y"), (source, "", make, "BR2_PACKAGE_A_B=y"), (source, config, "", "BR2_PACKAGE_A_B=y"),
                   (source, config, make + "OTHER = 1\n", "BR2_PACKAGE_A_B=y"), (source, config, make, "BR2_PACKAGE_A=y"),
                   (source, config, make.replace("generic", "cargo"), "BR2_PACKAGE_A_B=y")):
        assert package_findings("a-b", *broken), f"not found: {broken}"
