"""boot: when the boot's scripts run, and what the lab's kernel is told, so that a panic leaves its reason."""

from units_checks.overlay import ROOT, UNITS, of, units


def judge(unit):
    """What is wrong with the boot's units. UNIT: text by name → a path-like with its settings, as `of` takes it."""
    found = []

    def has(name, section, key, value):
        if value not in " ".join(of(unit(name), section, key)).split():
            found.append(f"{name}: {key}={value} is missing")

    for key in ("Wants", "After"):
        has("efi.mount", "Unit", key, "audyn-esp-check.service")
        has("audyn-boot-report.service", "Unit", key, "audyn-boot-early.service")
    has("audyn-esp-check.service", "Unit", "Before", "efi.mount")
    if "yes" in of(unit("audyn-esp-check.service"), "Service", "RemainAfterExit"):
        found.append("audyn-esp-check.service would run once a boot; the ESP is mounted many times")
    if "nofail" not in ",".join(of(unit("efi.mount"), "Mount", "Options")).split(","):
        found.append("efi.mount would hold up local-fs.target")
    for name in ("audyn-esp-check.service", "audyn-boot-early.service"):
        has(name, "Unit", "DefaultDependencies", "no")
    for after in ("audyn-state.service", "efi.automount"):
        has("audyn-boot-early.service", "Unit", "After", after)
    if " ".join(of(unit("audyn-boot-early.service"), "Unit", "After")).split() != ["audyn-state.service", "efi.automount"]:
        found.append("audyn-boot-early.service waits for more than /state and the ESP")
    has("audyn-boot-early.service", "Install", "WantedBy", "local-fs.target")
    if of(unit("audyn-boot-report.service"), "Unit", "ConditionPathExists"):
        found.append("audyn-boot-report.service has a condition; without it nobody reports")
    # The bus starts RAUC when somebody asks it: whoever comes After= it waits for nothing.
    found += [f"{name} is After=rauc.service, which orders nothing" for name in units() if "rauc.service" in " ".join(of(unit(name), "Unit", "After")).split()]
    return found


def run(verdict, work):
    found = judge(lambda name: UNITS / name)
    verdict.check("boot: the ESP is checked before each mount, a good version's count goes back early", not found, "; ".join(found))
    for what, name, old, new in (
        ("an unchecked ESP", "efi.mount", "Wants=audyn-esp-check.service", ""),
        ("a late count", "audyn-boot-early.service", "After=audyn-state.service", "After=multi-user.target audyn-state.service"),
        ("an order behind RAUC", "audyn-health.service", "After=", "After=rauc.service "),
        ("a report on condition", "audyn-boot-report.service", "[Service]", "ConditionPathExists=/usr/lib/audyn/release\n[Service]"),
    ):
        broken = work / "broken-boot"
        broken.write_text((UNITS / name).read_text().replace(old, new))
        verdict.check(f"boot refuses {what}", bool(judge(lambda one, name=name, broken=broken: broken if one == name else UNITS / one)))

    lab = ROOT / "board/lab"
    missing = [path.name for path in sorted(lab.glob("cmdline.*")) if "efi=runtime" not in path.read_text().split()]
    modules = [line.split("#")[0].split() for line in (lab / "modules").read_text().splitlines()]
    verdict.check("boot: the lab's kernels keep a panic's last words", not missing and ["efi_pstore", "initrd"] in modules, ", ".join(missing))
    common = (ROOT / "buildroot-external/configs/audyn_common.fragment").read_text().splitlines()
    verdict.check("boot: fsck.fat is in every image", "BR2_PACKAGE_DOSFSTOOLS_FSCK_FAT=y" in common
                  and "dosfstools" in (lab / "packages").read_text().splitlines())
