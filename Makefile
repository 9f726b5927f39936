# SPDX-License-Identifier: GPL-2.0
#
# The front door. `make demo` and `make check` need nothing but a Debian 12
# machine and root: they set up what is missing.

CACHE	:= $(if $(XDG_CACHE_HOME),$(XDG_CACHE_HOME),$(HOME)/.cache)/iommu-configfs
KDIR	?= $(CACHE)/kernels/stock/kdir
MODULE	:= $(CURDIR)/drivers/iommu/configfs
DESTDIR	?=
MACHINE	?= vtd

# Only the stock headers can be fetched; any other KDIR is the caller's.
ifeq ($(KDIR),$(CACHE)/kernels/stock/kdir)
need-kdir := setup
endif

.PHONY: help setup modules tools fleet deb demo demo-live demo-fleet check check-debian check-kernel \
	check-races check-series check-suites results series bench vm mutate simulate coverage monitor checkpatch \
	sparse install uninstall clean

help:
	@echo 'make demo         watch groups change type on a virtual VT-d machine'
	@echo 'make demo-live    the same below a mounted root disk and a TCP session, with nothing'
	@echo '                  unbound; on a patched kernel, which is built for it (a while)'
	@echo 'make demo-fleet   a policy rolled out over three machines by etcd, and halted in time'
	@echo 'make check        all tests on VT-d; ends in "N passed, N failed, N skipped"'
	@echo 'make check-kernel the guest tests on kernels built from source: with the sanitizers,'
	@echo '                  with the module built in, and on arm64'
	@echo 'make check-races  the tests of what runs side by side on a kernel that finds data races,'
	@echo '                  and the main ones on one that binds each driver twice'
	@echo 'make check-debian the packages in an installed Debian that boots: upgrades, power cuts, ...'
	@echo 'make check-suites tests of others before and after changes: selftests of iommufd and VFIO,'
	@echo '                  fio, steps of AMD for this (LAB_LONG=25 LAB_PATIENCE=8: a thousand changes)'
	@echo 'make mutate       breaks module and command in the ways of a list, and runs the tests'
	@echo '                  that ought to notice (hours; ONLY="NAME..." for some); prints survivors'
	@echo 'make simulate     random machines, transactions and failures from seeds (SEEDS=2000 SEED=1),'
	@echo '                  in a kernel that is a program'
	@echo 'make coverage     which lines of the module run in the KUnit tests and in the guest tests of'
	@echo '                  Intel and mock machines (hours; PARTS="um mock vtd:commit" for some)'
	@echo 'make bench        how fast, against scripts and driverctl; tables, JSON and a plot'
	@echo 'make vm           a shell in that machine (MACHINE=vtd; tools/lab/lab list)'
	@echo
	@echo 'make setup        install and fetch what building and testing need (root);'
	@echo '                  the targets that need it do that first'
	@echo 'make modules      drivers/iommu/configfs/iommu-configfs.ko, for the kernel at'
	@echo '                  KDIR=... (default: the stock kernel that the tests boot)'
	@echo 'make tools        tools/iommucfg: the command and its library'
	@echo 'make fleet        tools/fleet: agent, coordinator and command of a fleet'
	@echo 'make deb          Debian packages (OUTPUT=dir, default: packages), and lintian'
	@echo 'make install      module (KDIR=... as above) and tools, below DESTDIR='
	@echo 'make uninstall    removes what make install has put there (same variables)'
	@echo 'make checkpatch   kernel style, --strict'
	@echo 'make sparse       semantic checks'
	@echo 'make series       the patches for the kernel tree, as mails, posting by posting'
	@echo '                  (OUTPUT=dir)'
	@echo 'make check-series each of them applied, built, and read by checkpatch; or those of'
	@echo '                  POSTING="a-fixes ..." alone'
	@echo 'make monitor      the automaton of the runtime monitor, anew from the state diagram of the guide'
	@echo 'make results      bring the table in README.md up to date with the last runs'
	@echo 'make clean        remove what was built here'
	@echo
	@echo 'Parts of the tests:'
	@echo '  tools/lab/lab run MACHINE TEST...     a test in a virtual machine (tools/lab/README)'
	@echo '  make -C tools/iommucfg check          the command and the library'
	@echo '  make -C tools/fleet check             the fleet, with a real etcd'
	@echo '  .ci/run                               all that CI runs'

setup:
	@scripts/setup.sh

modules: $(need-kdir)
	$(MAKE) -C $(KDIR) M=$(MODULE) modules

tools: setup
	@$(MAKE) --no-print-directory -q -C tools/iommucfg all || \
		scripts/quiet.sh make-tools 'building tools/iommucfg' \
		$(MAKE) --no-print-directory -C tools/iommucfg all

# The command and library as well, of which it needs no more.
fleet: tools
	@$(MAKE) --no-print-directory -q -C tools/fleet all || \
		scripts/quiet.sh make-fleet 'building tools/fleet' \
		$(MAKE) --no-print-directory -C tools/fleet all

deb: setup
	@scripts/deb.sh $(or $(OUTPUT),packages)

demo: setup tools
	@tools/lab/lab demo

# Drivers are paused by kernels with the patches only.
demo-live: setup tools
	@LAB_KERNEL=$(or $(LAB_KERNEL),plain) tools/lab/lab demo demo-live

demo-fleet: fleet
	@tools/testing/fleet/run --demo

check: setup tools
	@scripts/check.sh lab unit guest mutations

check-kernel: setup tools
	@scripts/check.sh monitor guest-debug guest-arm64 guest-builtin

check-races: setup
	@scripts/check.sh races-mock races-vtd remove

check-debian: setup
	@scripts/check.sh debian-all

check-suites: setup tools
	@tools/testing/suites/run

series: setup
	@scripts/series.sh $(OUTPUT)

check-series: setup
	@scripts/series.sh --check $(POSTING)

monitor: setup
	@scripts/monitor.py

results:
	@scripts/results.py README.md

mutate: setup tools
	@tools/testing/mutate/mutate $(ONLY)

simulate: setup
	@scripts/simulate.sh --jobs $$(nproc) --seed $(or $(SEED),1) --seeds $(or $(SEEDS),2000)

coverage: setup tools
	@scripts/coverage.sh $(PARTS)

bench: setup
	@tools/testing/bench/bench

vm: setup tools
	@tools/lab/lab shell $(MACHINE)

checkpatch: setup
	@scripts/checkpatch.sh drivers kernel tools/testing/modules

sparse: setup
	@scripts/sparse.sh $(KDIR)

install:
	$(MAKE) -C $(KDIR) M=$(MODULE) INSTALL_MOD_PATH=$(DESTDIR) modules_install
	$(MAKE) -C tools/iommucfg DESTDIR=$(DESTDIR) install

uninstall:
	rm -f $(DESTDIR)/lib/modules/$$(cat $(KDIR)/include/config/kernel.release)/updates/iommu-configfs.ko*
	$(MAKE) -C tools/iommucfg DESTDIR=$(DESTDIR) uninstall

clean:
	rm -f $(foreach d,$(MODULE) $(MODULE)/rules $(MODULE)/tests tools/testing/modules, \
		$(addprefix $(d)/,*.ko *.o *.mod *.mod.c .*.cmd .*.d .module-common.o \
		Module.symvers modules.order))
	$(MAKE) -C tools/iommucfg clean
	$(MAKE) -C tools/fleet clean
