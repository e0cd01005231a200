"""scripts/sign: keys where they may be, and bundles signed by file, token and offline that RAUC itself believes."""

import os
import shutil
import subprocess

from .tools import REPO

SIGN = REPO / "scripts/sign"


def sign(work, *args, env=None):
    environment = {**os.environ, "AUDYN_KEYS": str(work / "keys")} | (env or {})
    return subprocess.run([SIGN, *map(str, args)], capture_output=True, text=True, check=False, env=environment, stdin=subprocess.DEVNULL, cwd=work)


def refused(check, name, result, words):
    """One sentence of ours: none of openssl's lines, with their routines and files of source."""
    lines = result.stderr.strip().splitlines()
    check(f"sign: refused, {name}", result.returncode == 1 and len(lines) == 1 and lines[0].startswith("Refused: ")
          and lines[0].endswith(".") and words in lines[0] and ":error:" not in lines[0] and "routines" not in lines[0] and "../" not in lines[0], f"{result.returncode} {result.stdout}{result.stderr}")


def mode(path):
    return path.stat().st_mode & 0o777


def subject(pem, *what):
    return subprocess.run(["openssl", "x509", "-in", pem, "-noout", *what], capture_output=True, text=True, check=True).stdout


def authorities(work, check):
    result = sign(work, "development")
    keys = work / "keys/development"
    check("sign: the development authority is made at first need", result.returncode == 0 and result.stdout.strip() == str(keys), result.stderr)
    check("sign: keys for nobody else", mode(keys) == 0o700 and mode(keys / "ca.key") == 0o600 and mode(keys / "signer.key") == 0o600)
    before = (keys / "signer.key").read_bytes()
    check("sign: and once", sign(work, "development").stdout.strip() == str(keys) and (keys / "signer.key").read_bytes() == before)
    check("sign: its certificates say what it is", "DEVELOPMENT" in subject(keys / "ca.pem", "-subject") and "DEVELOPMENT" in subject(keys / "signer.pem", "-subject"))
    text = subject(keys / "signer.pem", "-text")
    check("sign: the signer may sign code, and nothing but sign", "Code Signing" in text and "Digital Signature" in text and "CA:FALSE" in text and "Certificate Sign" not in text)
    refused(check, "overwriting an authority", sign(work, "authority", "development"), "exists already")
    refused(check, "keys in this repository", sign(work, "authority", "development", "--dir", REPO / "target/keys"), "repository or build tree")
    build = work / "buildroot-output"
    (build / "build").mkdir(parents=True)
    (build / ".config").write_text("")
    refused(check, "keys in a build tree", sign(work, "authority", "development", "--dir", build / "images/keys"), "repository or build tree")
    check("sign: nothing was made there", not (build / "images").exists() and not (REPO / "target/keys").exists())
    refused(check, "a release authority without a passphrase", sign(work, "authority", "release", "--dir", work / "safe"), "passphrase")
    (work / "passphrase").write_text("correct horse\n")
    result = sign(work, "authority", "release", "--dir", work / "safe", "--passphrase", work / "passphrase")
    check("sign: a release authority", result.returncode == 0 and "ENCRYPTED" in (work / "safe/signer.key").read_text() and "ENCRYPTED" in (work / "safe/ca.key").read_text(), result.stderr)
    refused(check, "a development keyring in a release", sign(work, "check-release", keys / "keyring.pem"), "development certificate")
    refused(check, "a development signer for a release", sign(work, "check-release", keys / "signer.pem", work / "safe/keyring.pem"), "development certificate")
    both = work / "both.pem"
    both.write_text((work / "safe/keyring.pem").read_text() + (keys / "keyring.pem").read_text())
    refused(check, "a keyring that has both", sign(work, "check-release", both), "development certificate")
    (work / "empty.pem").write_text("")
    refused(check, "an empty keyring", sign(work, "check-release", work / "empty.pem"), "no certificate")
    check("sign: the release authority may be in a release", sign(work, "check-release", work / "safe/signer.pem", work / "safe/keyring.pem").returncode == 0)
    (work / "zeros").write_bytes(bytes(5000))
    refused(check, "zeros for a bundle", sign(work, "show", "zeros"), "is no bundle")
    check("sign: nonsense is usage", sign(work, "fly").returncode == 64 and sign(work).returncode == 64 and sign(work, "bundle", "x").returncode == 64)
    check("sign: --help", "scripts/sign offline attach" in sign(work, "--help").stdout)


def bundles(work, check, tools):
    """In the tools, with RAUC as the judge."""
    source = work / "in"
    source.mkdir()
    manifest = (REPO / "board/common/rauc/manifest.raucm.in").read_text()
    for name, value in (("COMPATIBLE", "audyn-lab"), ("VERSION", "2.0.0"), ("BOARD", "lab"), ("KIND", "lab")):
        manifest = manifest.replace(f"@AUDYN_{name}@", value)
    (source / "manifest.raucm").write_text(manifest)
    (source / "rootfs.img").write_bytes(os.urandom(1 << 20))
    (source / "kernel.img").write_bytes(os.urandom(1 << 18))
    dev, safe = work / "keys/development", work / "safe"
    made = tools.shell(f"rauc --cert {dev}/signer.pem --key {dev}/signer.key --keyring {dev}/keyring.pem bundle in dev.raucb", check=False)
    check("sign: RAUC makes a bundle with the development authority and our manifest", made.returncode == 0, made.stderr[-300:])

    def judge(bundle, keyring):
        return tools.run("rauc", "-C", "keyring:check-purpose=codesign", "--keyring", keyring, "info", work / bundle, check=False).returncode == 0

    def inside(*args, env=""):
        text = f"export AUDYN_KEYS={work}/keys {env}; {SIGN} " + " ".join(f"'{arg}'" for arg in args)
        return tools.shell(text, check=False)

    check("sign: which its boxes take and release boxes don't", judge("dev.raucb", dev / "keyring.pem") and not judge("dev.raucb", safe / "keyring.pem"))
    by_file = ("--key", safe / "signer.key", "--cert", safe / "signer.pem", "--passphrase", work / "passphrase")
    release = (*by_file, "--keyring", safe / "keyring.pem")
    result = inside("bundle", "dev.raucb", "release.raucb", *release)
    check("sign: signed anew with a file", result.returncode == 0 and judge("release.raucb", safe / "keyring.pem"), result.stderr)
    check("sign: development boxes don't take that", not judge("release.raucb", dev / "keyring.pem"))
    shown = sign(work, "show", "release.raucb").stdout
    check("sign: show tells what and who", "audyn-lab" in shown and "2.0.0" in shown and "CN=Audyn release signer" in shown, shown)

    # Offline: three places, one of which has the key, and only openssl.
    extracted = sign(work, "offline", "extract", "dev.raucb", "to-sign")
    check("sign: offline, what is signed is the manifest with the root hash", extracted.returncode == 0 and "verity-hash=" in (work / "to-sign").read_text())
    # Whoever made a bundle, what it says of itself is shown before anybody has vouched for it.
    (work / "loud").write_text((work / "to-sign").read_text().replace("compatible=", "compatible=\x1b]0;loud\x07\x1b[31m"))
    subprocess.run(["openssl", "cms", "-sign", "-binary", "-nodetach", "-outform", "DER", "-in", "loud", "-out", "loud.cms", "-signer", dev / "signer.pem",
                    "-inkey", dev / "signer.key"], check=True, capture_output=True, cwd=work)
    whole, cms = (work / "dev.raucb").read_bytes(), (work / "loud.cms").read_bytes()
    (work / "loud.raucb").write_bytes(whole[:-8 - int.from_bytes(whole[-8:], "big")] + cms + len(cms).to_bytes(8, "big"))
    shown = sign(work, "show", "loud.raucb").stdout
    check("sign: show lets no terminal be led by a bundle", "loud" in shown and "\x1b" not in shown and "\x07" not in shown, repr(shown))
    signed = sign(work, "offline", "sign", "to-sign", "signature", *by_file)
    check("sign: offline, it says what it signs", "version 2.0.0 for audyn-lab" in signed.stdout, signed.stdout)
    (work / "rubbish").write_text((work / "to-sign").read_text().replace("verity-hash=", "verity-hash=g"))
    refused(check, "offline, what is no manifest", sign(work, "offline", "sign", "rubbish", "rubbish-signature", *by_file), "is no manifest of an update")
    attached = inside("offline", "attach", "dev.raucb", "signature", "offline.raucb", "--keyring", safe / "keyring.pem")
    check("sign: offline, RAUC believes it", signed.returncode == 0 and attached.returncode == 0 and judge("offline.raucb", safe / "keyring.pem"), signed.stderr + attached.stderr)
    tools.shell(f"rauc --keyring {safe}/keyring.pem extract offline.raucb out")
    check("sign: offline, and what comes out is what went in", (work / "out/rootfs.img").read_bytes() == (source / "rootfs.img").read_bytes())

    # A token.
    result = tools.shell(f"""
mkdir -p tokens; echo "directories.tokendir = {work}/tokens" >softhsm.conf; export SOFTHSM2_CONF={work}/softhsm.conf
softhsm2-util --init-token --free --label audyn --so-pin 1234 --pin 5678 >/dev/null
openssl pkey -in safe/signer.key -passin file:passphrase | openssl pkcs8 -topk8 -nocrypt -out plain.p8
softhsm2-util --import plain.p8 --token audyn --label signer --id 01 --pin 5678 >/dev/null; rm plain.p8
printf 5678 >pin""", check=False)
    check("sign: a token for the test", result.returncode == 0, result.stderr[-300:])
    token = ("--key", f"pkcs11:token=audyn;object=signer;type=private?pin-source=file:{work}/pin", "--cert", safe / "signer.pem", "--keyring", safe / "keyring.pem")
    library = f"SOFTHSM2_CONF={work}/softhsm.conf AUDYN_PKCS11_MODULE=/usr/lib/softhsm/libsofthsm2.so"
    result = inside("bundle", "dev.raucb", "token.raucb", *token, env=library)
    check("sign: signed anew by the token", result.returncode == 0 and judge("token.raucb", safe / "keyring.pem"), result.stderr)
    refused(check, "a token without its library", sign(work, "bundle", "dev.raucb", "no.raucb", *token, env={"AUDYN_PKCS11_MODULE": ""}), "AUDYN_PKCS11_MODULE")

    # What must not be signed or believed.
    whole = (work / "dev.raucb").read_bytes()
    (work / "short.raucb").write_bytes(whole[:-1000])
    refused(check, "a bundle cut short", inside("bundle", "short.raucb", "no.raucb", *release), "cut short")
    (work / "bit.raucb").write_bytes(whole[:70000] + bytes([whole[70000] ^ 1]) + whole[70001:])
    refused(check, "a flipped bit", inside("bundle", "bit.raucb", "no.raucb", *release), "is damaged: its content is not what its manifest says")
    refused(check, "a bundle of somebody else's", inside("bundle", "release.raucb", "no.raucb", *release), "not signed by whom")
    (work / "public").mkdir()
    (work / "public" / (subject(safe / "ca.pem", "-hash").split()[0] + ".0")).write_text((safe / "ca.pem").read_text())
    refused(check, "a bundle whose signer only this machine's list of public authorities knows",
            inside("bundle", "release.raucb", "no.raucb", *release, env=f"SSL_CERT_DIR={work}/public"), "not signed by whom")
    refused(check, "a key that does not fit its certificate", inside("bundle", "dev.raucb", "no.raucb", "--key", dev / "signer.key", "--cert", safe / "signer.pem",
                                                                    "--keyring", safe / "keyring.pem"), "nothing was signed with that key and certificate: the key is not that of the certificate")
    refused(check, "a signer that the boxes don't believe", inside("bundle", "dev.raucb", "no.raucb", "--key", dev / "signer.key", "--cert", dev / "signer.pem",
                                                                   "--keyring", safe / "keyring.pem"), "would not take this signature: no authority in that keyring issued the signer's certificate")
    signer = ("--key", dev / "signer.key", "--cert", dev / "signer.pem")
    (work / "junk").write_text("junk\n")
    (work / "badkey").touch(mode=0o600)
    (work / "badpass").write_text("incorrect donkey\n")
    for name, words, args in (
        ("a keyring that is none", "holds no certificate", (*signer, "--keyring", work / "junk")),
        ("a directory for a keyring", "can't be read", (*signer, "--keyring", work)),
        ("a keyring that is none, of whom it should be from", "holds no certificate", (*signer, "--keyring", dev / "keyring.pem", "--from", work / "junk")),
        ("a certificate that is none", "--cert names holds no certificate", ("--key", dev / "signer.key", "--cert", work / "junk", "--keyring", dev / "keyring.pem")),
        ("an intermediate that is none", "--intermediate names holds no certificate", (*signer, "--intermediate", work / "junk", "--keyring", dev / "keyring.pem")),
        ("a key that is none", "no private key in what --key names", ("--key", work / "badkey", "--cert", dev / "signer.pem", "--keyring", dev / "keyring.pem")),
        ("a wrong passphrase", "the passphrase is not the key's", (*by_file[:4], "--passphrase", work / "badpass", "--keyring", safe / "keyring.pem")),
        ("an encrypted key without its passphrase", "by --passphrase FILE", (*by_file[:4], "--keyring", safe / "keyring.pem")),
        ("a passphrase that is not there", "passphrase file nosuch can't be read", (*by_file[:4], "--passphrase", "nosuch", "--keyring", safe / "keyring.pem")),
    ):
        refused(check, name, inside("bundle", "dev.raucb", "no.raucb", *args), words)
    refused(check, "offline, a signature that is none", inside("offline", "attach", "dev.raucb", "junk", "no.raucb", "--keyring", dev / "keyring.pem"), "it is no signature")
    subprocess.run(["openssl", "req", "-new", "-key", dev / "signer.key", "-subj", "/CN=of yesterday", "-out", "old.csr"], check=True, capture_output=True, cwd=work)
    subprocess.run(["openssl", "x509", "-req", "-days", "-1", "-in", "old.csr", "-CA", dev / "ca.pem", "-CAkey", dev / "ca.key", "-set_serial", "5", "-out", "old.pem"],
                   check=True, capture_output=True, cwd=work)
    refused(check, "a signer whose time is over", inside("bundle", "dev.raucb", "no.raucb", "--key", dev / "signer.key", "--cert", work / "old.pem",
                                                         "--keyring", dev / "keyring.pem"), "has expired: sign with a newer one")
    refused(check, "an authority as signer", inside("bundle", "dev.raucb", "no.raucb", "--key", dev / "ca.key", "--cert", dev / "ca.pem", "--keyring", dev / "keyring.pem"), "not for code signing")
    (work / "other").write_text((work / "to-sign").read_text().replace("2.0.0", "9.9.9"))
    sign(work, "offline", "sign", "other", "other-signature", *by_file)
    refused(check, "a signature of another manifest", inside("offline", "attach", "dev.raucb", "other-signature", "no.raucb", "--keyring", safe / "keyring.pem"), "signs something else")
    refused(check, "overwriting a bundle", inside("bundle", "dev.raucb", "release.raucb", *release), "exists already")
    open_key = work / "open.key"
    open_key.write_bytes((dev / "signer.key").read_bytes())
    open_key.chmod(0o644)
    refused(check, "a key that others can read", inside("bundle", "dev.raucb", "no.raucb", "--key", open_key, "--cert", dev / "signer.pem", "--keyring", dev / "keyring.pem"), "read by others")
    check("sign: none of these wrote anything", not list(work.glob("no.raucb*")))

    # The target's configuration: RAUC reads it as we mean it.
    conf = (REPO / "board/common/rauc/system.conf.in").read_text()
    for loader in ("grub", "tryboot"):
        text = conf.replace("@AUDYN_COMPATIBLE@", "audyn-lab").replace("@AUDYN_VERSION@", "2.0.0")
        text = text.replace("@BOOTLOADER@\n", (REPO / f"board/common/rauc/bootloader-{loader}").read_text())
        text = text.replace("/etc/rauc/keyring.pem", str(dev / "keyring.pem")).replace("/var/lib/rauc", str(work / "rauc"))
        (work / f"{loader}.conf").write_text(text)
        # A configuration that RAUC refuses ends here, before it looks at the bundle.
        result = tools.run("rauc", "-c", work / f"{loader}.conf", "info", work / "dev.raucb", check=False)
        check(f"sign: RAUC accepts system.conf for {loader}, and our bundle with it", result.returncode == 0, result.stderr[-300:])
        result = tools.run("rauc", "-c", work / f"{loader}.conf", "info", work / "release.raucb", check=False)
        check(f"sign: and not the other's ({loader})", result.returncode != 0 and "signature verification failed" in result.stderr, result.stderr[-300:])

    real_refusals(work, check, tools, whole)


def real_refusals(work, check, tools, whole):
    """audyn-update with RAUC itself: each sentence comes of what this RAUC really says."""
    (work / "box/bin").mkdir(parents=True)
    (work / "box/proc").mkdir()
    (work / "box/proc/cmdline").write_text("rauc.slot=A audyn.roothash=1\n")
    (work / "box/bin/rauc").write_text(f'#!/bin/sh\nexec /usr/bin/rauc -c {work}/grub.conf "$@"\n')
    (work / "box/bin/rauc").chmod(0o755)
    shutil.copytree(REPO / "rootfs-overlay/usr/lib/audyn", work / "box/lib")
    (work / "box/lib/release").write_text("AUDYN_VERSION=3.0.0\nAUDYN_COMPATIBLE=audyn-lab\nAUDYN_STATE_FORMAT=1\n")

    def update(name, words, data=None):
        if data is not None:
            (work / "tried.raucb").write_bytes(data)
        bundle = "tried.raucb" if data is not None else name
        result = tools.shell(f"AUDYN_ROOT={work}/box AUDYN_LIB={work}/box/lib AUDYN_PATH={work}/box/bin:$PATH "
                             f"sh {REPO}/rootfs-overlay/usr/bin/audyn-update install {bundle}", check=False)
        refused(check, f"by RAUC itself: {name}", result, words)

    for part in (0, 1, 10, 50, 90, 99):
        update(f"{part} % of a bundle", "cut short", whole[:len(whole) * part // 100])
    for missing in (1, 8, 500):
        update(f"{missing} bytes are missing", "cut short", whole[:-missing])
    update("no bundle at all", "cut short", b"hello\n")
    update("release.raucb", "not signed by an authority")
    update("dev.raucb", "older than 3.0.0")
    (work / "box/lib/release").write_text("AUDYN_VERSION=1\nAUDYN_COMPATIBLE=audyn-other\n")
    update("dev.raucb", "for another board (audyn-lab)")


def run(work, check, tools):
    authorities(work, check)
    if tools:
        bundles(work, check, tools)
