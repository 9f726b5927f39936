#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""What is installed for the boot, run where it is installed.

	test_install.py IOMMUCFG STANDIN [NAME...]

The host's tree becomes the root directory of the scripts (chroot, in a mount
namespace of their own), with the stand-in for the kernel's interface below, and
the machine's programs and libraries beside.
"""
import fcntl
import glob
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time

from harness import GPU, IOMMUCFG, HERE, Host, Skip, main, test

DMA = GPU.replace("identity", "DMA")


class Installed(Host):
    def __init__(self):
        super().__init__(True)
        self.linked = subprocess.run(["ldd", IOMMUCFG], capture_output=True, text=True).stdout
        self.sanitized = "libasan" in self.linked
        if not self.linked:
            raise Skip("the command as it is built here does not run in a bare directory")
        if shutil.which("unshare") is None or os.geteuid() or \
           subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode:
            raise Skip("needs a mount namespace")

    def __enter__(self):
        super().__enter__()
        subprocess.run(["make", "-s", "-C", f"{HERE}/..", f"O={os.path.dirname(IOMMUCFG)}",
                        f"DESTDIR={self.root}", "DRACUTDIR=/usr/local/dracut", "install"],
                       check=True, stdout=subprocess.DEVNULL)
        self.binds = ["/usr/bin"] + glob.glob("/usr/lib64") + glob.glob("/usr/lib/*-linux-gnu*")
        for path in self.binds + glob.glob("/lib/*-linux-gnu*"):
            os.makedirs(f"{self.root}{path}", exist_ok=True)
        self.binds += glob.glob("/lib/*-linux-gnu*")
        os.symlink("usr/bin", f"{self.root}/bin")
        os.symlink("usr/lib64", f"{self.root}/lib64")
        for d in ("dev", "run", "sbin", "tmp", "boot", "proc/sys/kernel/random"):
            os.makedirs(f"{self.root}/{d}", exist_ok=True)
        self.write("dev/null", "")
        self.write("dev/kmsg", "")
        self.write("proc/cmdline", "ro quiet\n")
        self.write("proc/sys/kernel/random/boot_id", "boot-1\n")
        self.program("sbin/modprobe", 'echo "$@" >>/tmp/modprobe')
        if self.sanitized:
            self.real_proc()
        return self

    def real_proc(self):
        """A sanitizer looks into a process's own maps, which the tree's /proc has not got."""
        os.mkdir(f"{self.root}/proc.real")
        self.binds.append("/proc")
        os.makedirs(f"{self.root}/proc/self", exist_ok=True)
        for name in ("maps", "task", "exe", "status", "environ", "cmdline", "auxv"):
            os.symlink(f"/proc.real/self/{name}", f"{self.root}/proc/self/{name}")

    def program(self, path, text):
        self.write(path, f"#!/bin/sh\n{text}\n")
        os.chmod(f"{self.root}/{path}", 0o755)

    def inside(self, command, code=0, **env):
        binds = " && ".join(f"mount --bind {p} {self.root}{'/proc.real' if p == '/proc' else p}"
                            for p in self.binds)
        p = subprocess.run(["unshare", "-m", "sh", "-c",
                            f"{binds} && exec chroot {self.root} /bin/sh -c \"$1\"", "sh", command],
                           capture_output=True, text=True, timeout=120,
                           # Leaks are looked for by process number, in the real /proc.
                           env=dict(env, ASAN_OPTIONS="detect_leaks=0", PATH="/usr/local/sbin:/sbin:/usr/sbin:/usr/bin:/bin"))
        assert p.returncode == code, p
        return p


def early(h, run, root):
    """What the scripts of both kinds of initramfs do."""
    # Without a policy nothing is touched, and no module loaded. An initramfs may have an
    # "ls" that leaves nothing out.
    h.program("usr/local/sbin/ls", 'exec /usr/bin/ls -a "$@"')
    os.makedirs(f"{h.root}/etc/iommucfg.d", exist_ok=True)
    h.inside(run)
    assert not os.path.exists(f"{h.root}/tmp/modprobe")
    h.write("etc/iommucfg.conf", GPU)
    h.write("proc/cmdline", "ro iommucfg=off\n")
    h.inside(run)
    assert not os.path.exists(f"{h.root}/tmp/modprobe") and h.type(1) == "DMA-FQ"
    h.write("proc/cmdline", "ro\n")
    p = h.inside(run)
    assert h.type(1) == "identity" and "iommu-configfs" in h.read("tmp/modprobe"), p
    assert p.stdout == "" and "changed by the policy: 1" in h.read("dev/kmsg")
    # It is in /run for when there is another /var.
    (entry,) = h.read("run/iommucfg/history").splitlines()
    assert json.loads(entry)["result"] == "unconfirmed"
    assert "gpu" in h.read("run/iommucfg/initramfs")
    # Root is there, and the time that is left begins anew.
    with open(f"{h.iommu}/iommucfg-boot/confirm_timeout", "w") as f:
        f.write("100\n")
    assert os.path.exists(f"{h.root}/run/iommucfg/waiting-for-root")
    h.inside(root)
    assert not os.path.exists(f"{h.root}/run/iommucfg/waiting-for-root")
    end = time.monotonic() + 60
    while True:
        with open(f"{h.iommu}/iommucfg-boot/remaining") as f:
            if int(f.read()) > 200:
                break
        assert time.monotonic() < end
    shutil.rmtree(f"{h.root}/var/lib/iommucfg")
    h.inside("iommucfg apply --boot")
    assert h.read("var/lib/iommucfg/history") == entry.replace("unconfirmed", "committed") + "\n"
    assert h.transactions() == []
    h.inside(root)
    # An error is no reason not to boot.
    h.write("etc/iommucfg.conf", "rubbish")
    h.write("sys/kernel/iommu_groups/1/type", "DMA\n")
    shutil.rmtree(f"{h.root}/run/iommucfg")
    assert "iommucfg.conf:1" in h.inside(run).stderr
    assert "NOT applied" in h.read("dev/kmsg") and h.type(1) == "DMA"
    assert not os.path.exists(f"{h.root}/run/iommucfg/initramfs")


@test
def initramfs_tools_script():
    with Installed() as h:
        script = "/usr/share/initramfs-tools/scripts/init-top/iommucfg"
        root = "/usr/share/initramfs-tools/scripts/init-bottom/iommucfg"
        for x in (script, root, root.replace("init-bottom", "panic")):
            assert h.inside(f"{x} prereqs").stdout == "\n"
        # Without busybox there are the tools of klibc alone: no rm, for one.
        os.mkdir(f"{h.root}/klibc")
        for name in ("cat", "ls", "mkdir", "mount", "mv", "sh"):
            os.symlink(f"/usr/bin/{name}", f"{h.root}/klibc/{name}")
        early(h, f"PATH=/klibc:/sbin {script}", f"PATH=/klibc:/sbin {root}")


@test
def initramfs_tools_order():
    # As mkinitramfs sorts those that do not depend on each other.
    if not shutil.which("tsort"):
        raise Skip("needs tsort")
    names = ["all_generic_ide", "blacklist", "iommucfg", "keymap", "udev"]
    out = subprocess.run(["tsort"], input="".join(f"{n} {n}\n" for n in names), text=True,
                         capture_output=True, check=True).stdout.split()
    assert out.index("iommucfg") < out.index("udev"), out


@test
def initramfs_tools_hook():
    with Installed() as h:
        h.write("usr/share/initramfs-tools/hook-functions",
                'copy_exec() { mkdir -p "$DESTDIR${1%/*}"; cp "$1" "$DESTDIR$1"; }\n'
                'manual_add_modules() { echo "$@" >>"$DESTDIR/modules"; }\n')
        run = "/usr/share/initramfs-tools/hooks/iommucfg"
        assert h.inside(f"{run} prereqs").stdout == "\n"
        os.mkdir(f"{h.root}/tmp/a")
        h.inside(run, DESTDIR="/tmp/a")
        assert os.access(f"{h.root}/tmp/a/usr/local/sbin/iommucfg", os.X_OK)
        assert "iommu-configfs" in h.read("tmp/a/modules")
        assert os.path.isdir(f"{h.root}/tmp/a/var/lib/iommucfg")
        h.write("etc/iommucfg.conf", GPU)
        h.write("etc/iommucfg.d/a.conf", "default = \"keep\";")
        h.write("etc/iommucfg.d/a.conf~", "")
        h.inside("iommucfg apply --boot; iommucfg confirm --boot")
        h.write("etc/iommucfg.conf", DMA)
        shutil.rmtree(f"{h.root}/run/iommucfg")
        h.inside("iommucfg apply --boot")
        os.mkdir(f"{h.root}/tmp/b")
        assert h.inside(run, DESTDIR="/tmp/b").stderr == ""
        for name in ("etc/iommucfg.conf", "etc/iommucfg.d/a.conf", "var/lib/iommucfg/good.conf",
                     "var/lib/iommucfg/boot"):
            assert h.read(f"tmp/b/{name}") == h.read(name), name
        assert os.listdir(f"{h.root}/tmp/b/etc/iommucfg.d") == ["a.conf"]
        assert not os.path.exists(f"{h.root}/tmp/b/var/lib/iommucfg/history")
        # A wrong policy does not stop the image from being built.
        os.unlink(f"{h.root}/etc/iommucfg.conf")
        os.symlink("nothere", f"{h.root}/etc/iommucfg.conf")
        os.mkdir(f"{h.root}/tmp/c")
        assert "policy is wrong" in h.inside(run, DESTDIR="/tmp/c").stderr
        assert os.path.islink(f"{h.root}/tmp/c/etc/iommucfg.conf")


@test
def dracut_script():
    with Installed() as h:
        early(h, "set -eu; x=1; . /usr/local/dracut/iommucfg-boot.sh; [ $x = 1 ]",
              "set -eu; . /usr/local/dracut/iommucfg-root.sh")


@test
def dracut_module():
    with Installed() as h:
        h.write("etc/iommucfg.conf", GPU)
        os.mkdir(f"{h.root}/tmp/i")
        p = h.inside("""cat >/tmp/d <<'END'
require_binaries() { command -v "$1" >/dev/null; }
instmods() { echo "modules $*"; }
inst_multiple() { echo "programs $*"; }
inst_hook() { echo "hook $*"; }
moddir=/usr/local/dracut initdir=/tmp/i
. $moddir/module-setup.sh
check && depends && installkernel && install
END
bash -eu /tmp/d""")
        assert "iommu-configfs" in p.stdout and "/usr/local/sbin/iommucfg" in p.stdout
        for hook in ("pre-udev 10 /usr/local/dracut/iommucfg-boot.sh",
                     "pre-pivot 90 /usr/local/dracut/iommucfg-root.sh",
                     "emergency 10 /usr/local/dracut/iommucfg-root.sh"):
            assert f"hook {hook}" in p.stdout, p
        assert h.read("tmp/i/etc/iommucfg.conf") == GPU
        assert os.path.isdir(f"{h.root}/tmp/i/var/lib/iommucfg")


UPDATE = "/usr/local/lib/iommucfg/update-image"
IMAGE = "initrd.img-6.12.0-test"
# As the tools do it, slowly and not at once.
MKINITRAMFS = '''echo "$@" >>/tmp/built
[ "$1" = -o ] || exit 2
[ ! -e "$2" ] || exit 3
printf new >"$2"
sleep ${SLOW:-0}
[ ! -e /tmp/edit ] || { cp /tmp/edit /etc/iommucfg.conf && rm /tmp/edit; }
printf " image of %s" "$3" >>"$2"'''


class Imaged(Installed):
    """With an image, and tools to build another."""

    def __enter__(self):
        super().__enter__()
        self.image = f"{self.root}/boot/{IMAGE}"
        self.write("etc/iommucfg.conf", GPU)
        self.write(f"boot/{IMAGE}", "old")
        self.program("sbin/mkinitramfs", MKINITRAMFS)
        return self

    def age(self):
        """All is older than the image."""
        for path in glob.glob(f"{self.root}/etc/iommucfg*/*") + glob.glob(f"{self.root}/etc/iommucfg*") + \
                glob.glob(f"{self.root}/var/lib/iommucfg/*"):
            os.utime(path, (1000, 1000))
        os.utime(self.image, (2000, 2000))

    def built(self, newer, code=0, **env):
        """The calls of the tool, where this file is newer than the image."""
        self.age()
        if newer:
            os.utime(f"{self.root}/{newer}", (3000, 3000))
        self.write("tmp/built", "")
        self.said = self.inside(UPDATE, code, **env)
        # What was built for nothing does not stay.
        assert not glob.glob(f"{self.root}/boot/.*"), os.listdir(f"{self.root}/boot")
        return self.read("tmp/built")


ONCE = f"-o /boot/.iommucfg-new.{IMAGE} 6.12.0-test\n"


@test
def image_is_built_when_it_is_old():
    with Imaged() as h:
        h.write("etc/iommucfg.d/a.conf", "")
        h.write("var/lib/iommucfg/boot", '{\n  "tries_left":10,\n  "applied":false }')
        h.write("var/lib/iommucfg/good.conf", "")
        for name in ("etc/iommucfg.conf", "etc/iommucfg.d", "etc/iommucfg.d/a.conf",
                     "var/lib/iommucfg/good.conf"):
            assert h.built(name) == ONCE, name
            assert h.read(f"boot/{IMAGE}") == "new image of 6.12.0-test"
        assert h.built(None) == "" and h.built("var/lib/iommucfg/boot") == ""
        # check says the same of the policy.
        h.age()
        os.utime(f"{h.root}/etc/iommucfg.conf", (3000, 3000))
        assert "older than /etc/iommucfg.conf" in h.inside("iommucfg check").stderr
        # Its owner and mode stay.
        os.chmod(h.image, 0o640)
        os.chown(h.image, 0, 7)
        h.built("etc/iommucfg.conf")
        st = os.stat(h.image)
        assert (st.st_mode & 0o777, st.st_gid) == (0o640, 7) and st.st_mtime > 4000
        # What a link leads to, and the link.
        h.write("policy", GPU)
        os.rename(f"{h.root}/etc/iommucfg.conf", f"{h.root}/tmp/policy")
        os.symlink("../policy", f"{h.root}/etc/iommucfg.conf")
        os.utime(f"{h.root}/etc/iommucfg.conf", (1000, 1000), follow_symlinks=False)
        assert h.built(None) == ""
        assert h.built("policy") == ONCE
        os.utime(f"{h.root}/policy", (1000, 1000))
        os.unlink(f"{h.root}/etc/iommucfg.conf")
        os.symlink("../policy", f"{h.root}/etc/iommucfg.conf")
        assert h.built(None) == ONCE
        os.rename(f"{h.root}/tmp/policy", f"{h.root}/etc/iommucfg.conf")
        # A boot has found that the image has another policy, whatever the dates say.
        h.write("run/iommucfg/image-is-old", "")
        assert h.built(None) == ONCE and h.built(None) == ""
        # What is changed meanwhile may be in it or not.
        h.write("tmp/edit", DMA)
        assert h.built("etc/iommucfg.conf", SLOW="0.1") == 2 * ONCE
        # As the command writes it when the last try is gone.
        os.unlink(f"{h.root}/var/lib/iommucfg/boot")
        os.unlink(f"{h.root}/etc/iommucfg.d/a.conf")
        h.inside("iommucfg apply --boot --tries 2")
        assert h.built("var/lib/iommucfg/boot") == ""
        h.write("proc/sys/kernel/random/boot_id", "boot-2\n")
        h.inside("iommucfg apply --boot --tries 2")
        assert h.built("var/lib/iommucfg/boot") == ONCE
        # The only file goes, and with it what had a date, and what devices to come are under.
        os.unlink(f"{h.root}/etc/iommucfg.conf")
        os.unlink(f"{h.root}/var/lib/iommucfg/boot")
        assert os.path.exists(f"{h.root}/run/iommucfg/policy.conf") and h.standing()
        h.program("sbin/lsinitramfs", "echo etc/iommucfg.d; echo etc/iommucfg.d/x.conf~")
        assert h.built("etc") == ""
        assert not os.path.exists(f"{h.root}/run/iommucfg/policy.conf") and h.standing() == {}
        for name in ("etc/iommucfg.conf", "etc/iommucfg.d/x.conf"):
            h.program("sbin/lsinitramfs", f"echo usr; echo {name}")
            assert h.built("etc") == ONCE
        # An image whose name is not known is not found to be as it should.
        os.unlink(h.image)
        h.inside(UPDATE)
        h.write("run/iommucfg/image-is-old", "")
        assert "under a name" in h.inside(UPDATE, 1).stderr


@test
def image_is_replaced_as_a_whole():
    with Imaged() as h:
        # A tool that fails, or does nothing, leaves the old one.
        for text in ("exit 1", ":", 'printf half >"$2"; exit 1', ': >"$2"'):
            h.program("sbin/mkinitramfs", text)
            h.built("etc/iommucfg.conf", 1)
            assert h.read(f"boot/{IMAGE}") == "old" and os.stat(h.image).st_mtime == 2000
        # Somebody does not want images to change.
        h.program("sbin/mkinitramfs", MKINITRAMFS)
        h.write("etc/initramfs-tools/update-initramfs.conf", "# a comment\nupdate_initramfs=no\n")
        assert h.built("etc/iommucfg.conf", 1) == "" and "update-initramfs.conf" in h.said.stderr
        h.write("etc/initramfs-tools/update-initramfs.conf", "update_initramfs=yes\n")
        # Boot loaders that want to know are told.
        os.makedirs(f"{h.root}/etc/initramfs/post-update.d")
        h.program("sbin/run-parts", 'echo "$@" >/tmp/parts')
        assert h.built("etc/iommucfg.conf") == ONCE
        assert h.read("tmp/parts") == f"--arg=6.12.0-test --arg=/boot/{IMAGE} /etc/initramfs/post-update.d\n"
        # Another tool is at work on the same image: neither disturbs the other.
        for _ in range(3):
            h.age()
            os.utime(f"{h.root}/etc/iommucfg.conf", (3000, 3000))
            h.write("tmp/built", "")
            h.inside(f"""{UPDATE} & {UPDATE} & {UPDATE} &
                printf other >/boot/{IMAGE}.new; sleep 0.1
                mv /boot/{IMAGE}.new /boot/{IMAGE} || touch /tmp/failed
                for n in 1 2 3 4 5 6 7 8; do cat /boot/{IMAGE} >>/tmp/seen; echo >>/tmp/seen; sleep 0.1; done
                wait""", SLOW="0.3")
            assert not os.path.exists(f"{h.root}/tmp/failed")
            assert not glob.glob(f"{h.root}/boot/.*")
        seen = set(h.read("tmp/seen").split("\n"))
        assert seen <= {"", "old", "other", "new image of 6.12.0-test"}, seen


@test
def image_waits_for_packages():
    with Imaged() as h:
        os.makedirs(f"{h.root}/var/lib/dpkg")
        for name in ("lock", "lock-frontend"):
            h.age()
            os.utime(f"{h.root}/etc/iommucfg.conf", (3000, 3000))
            h.write("tmp/built", "")
            with open(f"{h.root}/var/lib/dpkg/{name}", "w") as f:
                fcntl.lockf(f, fcntl.LOCK_EX)
                p = threading.Thread(target=lambda: h.inside(f"{UPDATE} 2>/tmp/said"))
                p.start()
                end = time.monotonic() + 60
                while not os.path.exists(f"{h.root}/tmp/said") or "waiting" not in h.read("tmp/said"):
                    assert time.monotonic() < end
                    time.sleep(0.05)
                assert h.read("tmp/built") == "" and h.read(f"boot/{IMAGE}") == "old"
            p.join(60)
            assert h.read("tmp/built") == ONCE
            h.write(f"boot/{IMAGE}", "old")
            os.unlink(f"{h.root}/tmp/said")


@test
def images_of_other_names():
    with Imaged() as h:
        os.unlink(f"{h.root}/sbin/mkinitramfs")
        assert h.built("etc/iommucfg.conf", 1) == "" and "dracut" in h.said.stderr
        h.program("sbin/dracut", 'echo "dracut $*" >>/tmp/built; for f; do case $f in */.*) echo new >"$f";; esac; done')
        h.program("sbin/kernel-install", 'echo "kernel-install $*" >>/tmp/built; touch /efi/EFI/Linux/*')
        h.write("usr/lib/modules/6.12.0-test/vmlinuz", "")
        os.unlink(h.image)
        for name, call in (
                ("boot/initramfs-6.12.0-test.img", "dracut --force /boot/.iommucfg-new.initramfs-6.12.0-test.img 6.12.0-test\n"),
                ("boot/0123abcd/6.12.0-test/initrd", "dracut --force /boot/0123abcd/6.12.0-test/.iommucfg-new.initrd 6.12.0-test\n"),
                ("efi/debian/6.12.0-test/initrd", "dracut --force /efi/debian/6.12.0-test/.iommucfg-new.initrd 6.12.0-test\n"),
                ("efi/EFI/Linux/0123abcd-6.12.0-test.efi", "kernel-install add 6.12.0-test /usr/lib/modules/6.12.0-test/vmlinuz\n"),
                ("efi/EFI/Linux/0123abcd-6.12.0-test+3-1.efi", "kernel-install add 6.12.0-test /usr/lib/modules/6.12.0-test/vmlinuz\n")):
            h.image = f"{h.root}/{name}"
            h.write(name, "old")
            assert h.built("etc/iommucfg.conf") == call, name
            assert os.stat(h.image).st_mtime > 4000
            h.age()
            os.utime(f"{h.root}/etc/iommucfg.conf", (3000, 3000))
            assert f"/{name} is older" in h.inside("iommucfg check").stderr
            os.unlink(h.image)
        # Another kernel's.
        h.image = f"{h.root}/boot/initramfs-6.12.0-test2.img"
        h.write("boot/initramfs-6.12.0-test2.img", "old")
        assert h.built("etc/iommucfg.conf") == ""


@test
def documents_of_the_package():
    top = f"{HERE}/../../.."
    if not os.path.isdir(f"{top}/debian"):
        raise Skip("the sources of the packages are not here")
    listed = []
    for name in ("docs", "examples"):
        with open(f"{top}/debian/iommucfg.{name}") as f:
            listed += f.read().split()
    guide = "Documentation/admin-guide/iommu-configfs.rst"
    assert {guide, "Documentation/ABI/testing/configfs-iommu", "samples/configfs"} <= set(listed), listed
    assert all(os.path.exists(f"{top}/{path}") for path in listed), listed
    # The guide's commands are there.
    with open(f"{top}/{guide}") as f:
        used = set(re.findall(r"^    # iommucfg ([a-z]+)", f.read(), re.M))
    assert {"set", "apply", "undo"} <= used
    for command in used:
        subprocess.run([IOMMUCFG, command, "--help"], check=True, stdout=subprocess.DEVNULL)


@test
def scripts_of_the_package():
    debian = f"{HERE}/../../../debian"
    if not os.path.isdir(debian):
        raise Skip("the sources of the packages are not here")
    # When the package is installed, upgraded or removed the images are rebuilt by the
    # trigger that dh_installinitramfs adds. It must not be there twice.
    with open(f"{debian}/iommucfg.triggers") as f:
        assert "activate-noawait update-initramfs" not in f.read().splitlines()
    with open(f"{debian}/rules") as f:
        assert "dh_installinitramfs" not in f.read()
    with Installed() as h:
        for name in ("postinst", "postrm"):
            shutil.copy(f"{debian}/iommucfg.{name}", f"{h.root}/tmp/{name}")

        def script(name, *args, tools=("dpkg-trigger", "update-initramfs", "dracut"), code="0"):
            for tool in ("dpkg-trigger", "update-initramfs", "dracut"):
                path = f"sbin/{tool}"
                if os.path.exists(f"{h.root}/{path}"):
                    os.unlink(f"{h.root}/{path}")
                if tool in tools:
                    h.program(path, f'echo "{tool} $*" >>/tmp/calls; exit {code}')
            h.write("tmp/calls", "")
            p = h.inside(f"sh /tmp/{name} {' '.join(args)}")
            return h.read("tmp/calls"), p.stderr

        assert script("postinst", "triggered", "/etc/iommucfg.d")[0] == \
            "dpkg-trigger --no-await update-initramfs\n"
        assert script("postinst", "configure", "1.0")[0] == ""
        # The images of all kernels have the command.
        assert script("postrm", "remove")[0] == "update-initramfs -u -k all\n"
        assert script("postrm", "remove", tools=("dracut",))[0] == "dracut --regenerate-all --force\n"
        calls, err = script("postrm", "remove", code="1")
        assert calls and "applies the policy at each boot" in err
        assert script("postrm", "remove", tools=()) == ("", "")
        os.makedirs(f"{h.root}/var/lib/iommucfg")
        for args in (["upgrade", "1.1"], ["purge"], ["abort-install"]):
            assert script("postrm", *args)[0] == "", args
        assert not os.path.exists(f"{h.root}/var/lib/iommucfg")


@test
def journal():
    with Installed() as h:
        if "libsystemd" not in h.linked:
            raise Skip("built without libsystemd")
        os.makedirs(f"{h.root}/run/systemd/journal")
        s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        s.bind(f"{h.root}/run/systemd/journal/socket")
        s.settimeout(10)
        h.inside("iommucfg set --yes --name night 1 DMA")
        messages = [dict(line.split("=", 1) for line in s.recv(65536).decode().splitlines())
                    for _ in range(2)]
        m = messages[0]
        assert m["MESSAGE"] == "set: committed, 1 group planned" and m["PRIORITY"] == "5", m
        assert m["IOMMUCFG_TRANSACTION"] == "night" and m["IOMMUCFG_RESULT"] == "committed"
        assert m["IOMMUCFG_HISTORY"] == "1" and len(m["MESSAGE_ID"]) == 32
        m = messages[1]
        assert (m["IOMMUCFG_GROUP"], m["IOMMUCFG_FROM"], m["IOMMUCFG_TO"]) == ("1", "DMA-FQ", "DMA")
        assert m["IOMMUCFG_DEVICES"] == "0000:01:00.0 0000:01:00.1", m
        h.inside("iommucfg set 2 DMA", code=3)
        m = s.recv(65536).decode()
        assert "PRIORITY=3\n" in m and "IOMMUCFG_RESULT=refused\n" in m, m
        # A tree that is not the machine's is nothing to its journal.
        h.run("set", "1", "identity", code=0)
        s.setblocking(False)
        try:
            raise AssertionError(s.recv(65536))
        except BlockingIOError:
            pass


@test
def units():
    with Installed() as h:
        if not shutil.which("systemd-analyze"):
            raise Skip("needs systemd-analyze")
        d = f"{h.root}/usr/local/lib/systemd/system"
        names = sorted(os.listdir(d))
        assert names == ["iommucfg-confirm.service", "iommucfg-device@.service",
                         "iommucfg-image.path", "iommucfg-image.service",
                         "iommucfg-watch@.service", "iommucfg.service"]
        for name in names:
            with open(f"{d}/{name}") as f:
                text = f.read()
            # It looks whether the programs are there: they are below the tree.
            assert "@" not in text.replace("modprobe@", "").replace("device@", "").replace("watch@", ""), text
            with open(f"{d}/{name}", "w") as f:
                f.write(text.replace("/usr/local/", f"{h.root}/usr/local/"))
        p = subprocess.run(["systemd-analyze", "verify", "--man=no", "--recursive-errors=yes",
                            *(f"{d}/{n}" for n in names)], capture_output=True, text=True)
        if "Failed to" in p.stderr and "manager" in p.stderr:
            raise Skip("systemd-analyze does not run here")
        ours = [line for line in p.stderr.splitlines() if "iommucfg" in line]
        assert not ours, p.stderr
        with open(f"{h.root}/usr/local/lib/udev/rules.d/79-iommucfg.rules") as f:
            assert "iommucfg-device@%k.service" in f.read()


@test
def command_of_the_device_unit():
    with Installed() as h:
        # Nobody is there to confirm what the units do, whatever the policy says.
        h.write("etc/iommucfg.conf", GPU + "options = { confirm_timeout = 1; };\n")
        h.inside("iommucfg apply --boot")
        h.write("sys/kernel/iommu_groups/1/type", "DMA\n")
        (line,) = commands(h, "iommucfg-device@.service", "ExecStart")
        line = line.replace("%i", "0000:01:00.0")
        h.inside(line)
        assert h.type(1) == "identity" and h.transactions() == []
        # Nobody but root can hold up what comes next.
        assert os.stat(f"{h.root}/run/iommucfg/device.lock").st_mode & 0o777 == 0o600
        # Another transaction that is not over: to be tried again.
        h.write("sys/kernel/iommu_groups/1/type", "DMA\n")
        h.inside("iommucfg set --yes --confirm-timeout 900 --detach --name night 7 DMA")
        h.inside(line, 3)
        h.inside("iommucfg confirm night")
        h.inside(line)
        assert h.type(1) == "identity"
        # One that is gone again is nothing wrong, one that is in no group is; nor is it
        # that the policy was given up meanwhile.
        h.inside(line.replace("01:00.0", "77:00.0"))
        os.makedirs(f"{h.root}/sys/bus/pci/devices/0000:77:00.0")
        h.inside(line.replace("01:00.0", "77:00.0"), 1)
        os.unlink(f"{h.root}/run/iommucfg/policy.conf")
        h.inside(line)


def commands(h, unit, key):
    """The command lines of an installed unit."""
    with open(f"{h.root}/usr/local/lib/systemd/system/{unit}") as f:
        return [x.split("=", 1)[1] for x in f.read().splitlines() if x.startswith(key + "=")]


@test
def reload_of_the_unit():
    with Installed() as h:
        h.write("etc/iommucfg.conf", GPU + "options = { confirm_timeout = 1; };\n")
        (line,) = commands(h, "iommucfg.service", "ExecReload")
        h.inside(line)
        assert h.type(1) == "identity" and h.transactions() == []
        assert "identity" in h.read("run/iommucfg/policy.conf")


if __name__ == "__main__":
    sys.exit(main("install"))
