// SPDX-License-Identifier: GPL-2.0
/* What lines of the kernel's log say about IOMMU faults, for each kind of IOMMU. */
#include "unit.h"
#include "faults.h"

static struct ic_fault_parser parser;

static void expect_none(const char *line)
{
	struct ic_fault fault;

	if (ic_fault_parse(&parser, line, &fault))
		fail_msg("taken for a fault: %s", line);
}

static struct ic_fault expect(const char *line, enum ic_fault_by by)
{
	struct ic_fault fault;

	if (!ic_fault_parse(&parser, line, &fault))
		fail_msg("not taken for a fault: %s", line);
	assert_int_equal(fault.by, by);
	return fault;
}

static void expect_pci(const char *line, uint32_t segment, uint16_t requester)
{
	struct ic_fault fault = expect(line, IC_FAULT_BY_PCI);

	assert_int_equal(fault.segment, segment);
	assert_int_equal(fault.requester, requester);
}

static void expect_name(const char *line, const char *name)
{
	assert_string_equal(expect(line, IC_FAULT_BY_NAME).name, name);
}

static void expect_id(const char *line, uint32_t id)
{
	assert_int_equal(expect(line, IC_FAULT_BY_ID).id, id);
}

static void test_vtd(void **state)
{
	(void)state;
	expect_pci("DMAR: [DMA Write NO_PASID] Request device [0001:3b:1f.7] fault addr 0xffff000 [fault reason 0x05] PTE Write access is not set",
		   1, 0x3bff);
	expect_pci("DMAR: [DMA Read NO_PASID] Request device [00:05.0] fault addr 0x1000 [fault reason 0x06] PTE Read access is not set",
		   IC_FAULT_ANY_SEGMENT, 0x0028);
	expect_pci("DMAR: [DMA Read PASID 0x1] Request device [0000:0b:00.0] fault addr 0x0 [fault reason 0x59] x",
		   0, 0x0b00);
	expect_pci("DMAR: [INTR-REMAP] Request device [f0:1f.7] fault index 0x1b [fault reason 0x22] Present field in the IRTE entry is clear",
		   IC_FAULT_ANY_SEGMENT, 0xf0ff);
	expect_none("DMAR: DRHD: handling fault status reg 2");
	expect_none("DMAR: [DMA Write NO_PASID] Request device [zz:05.0] fault addr 0x0");
	expect_none("DMAR: [Firmware Bug]: No firmware reserved region can cover this RMRR");
}

static void test_amd(void **state)
{
	(void)state;
	expect_name("e1000e 0000:02:00.0: AMD-Vi: Event logged [IO_PAGE_FAULT domain=0x0005 address=0xffff000 flags=0x0020]",
		    "0000:02:00.0");
	expect_pci("AMD-Vi: Event logged [IO_PAGE_FAULT device=0002:41:00.1 domain=0x0005 address=0xffff000 flags=0x0020]",
		   2, 0x4101);
	expect_pci("pci 0000:00:00.2: AMD-Vi: Event logged [ILLEGAL_DEV_TABLE_ENTRY device=0000:00:05.0 pasid=0x00000 address=0x1000 flags=0x0080]",
		   0, 0x0028);
	expect_pci("AMD-Vi: Event logged [IO_PAGE_FAULT device=01:00.0 domain=0x0005 address=0x0 flags=0x0]",
		   IC_FAULT_ANY_SEGMENT, 0x0100);
	expect_none("AMD-Vi: Event logged [Device not attached to domain properly]");
	expect_pci("AMD-Vi:   device=0000:00:05.0 domain=0x0007", 0, 0x0028);
	/* The IOMMU's own. */
	expect_name("pci 0000:00:00.2: AMD-Vi: Event logged [COMMAND_HARDWARE_ERROR address=0x1000 flags=0x0]",
		    "0000:00:00.2");
	expect_none("AMD-Vi: Interrupt remapping enabled");
}

static void test_smmu3(void **state)
{
	(void)state;
	expect_name("arm-smmu-v3 arm-smmu-v3.0.auto: event: F_TRANSLATION client: 0000:00:05.0 sid: 0x28 ssid: 0 iova: 0x1000 ipa: 0",
		    "0000:00:05.0");
	expect_id("arm-smmu-v3 arm-smmu-v3.0.auto: event: C_BAD_STREAMID client: (unassigned sid) sid: 0x128 ssid: 0",
		  0x128);
	expect_none("arm-smmu-v3 arm-smmu-v3.0.auto: event 0x10 received:");
	expect_id("arm-smmu-v3 arm-smmu-v3.0.auto: \t0x0000002800000010", 0x28);
	/* The three numbers that follow are no streams. */
	expect_none("arm-smmu-v3 arm-smmu-v3.0.auto: \t0x0000020000000000");
	expect_none("arm-smmu-v3 arm-smmu-v3.0.auto: EVTQ overflow detected -- events lost");
}

static void test_smmu2(void **state)
{
	(void)state;
	expect_id("arm-smmu 9050000.iommu: Unhandled context fault: fsr=0x402, iova=0x00001000, fsynr=0x1, cbfrsynra=0x1028, cb=0",
		  0x1028);
	expect_id("arm-smmu 9050000.iommu: Blocked unknown Stream ID 0x28; boot with \"arm-smmu.disable_bypass=0\" to allow",
		  0x28);
	expect_none("arm-smmu 9050000.iommu: Unexpected global fault, this could be serious");
}

/* Two SMMUs have the same stream ids, each for its own devices. */
static void test_instance(void **state)
{
	struct ic_source source = {
		.name = (char *)"0000:00:05.0", .pci = true, .unique = true,
		.requesters = { 0x28 }, .num_requesters = 1,
		.iommu = (char *)"arm-smmu-v3.0.auto",
	};
	struct ic_fault fault;

	(void)state;
	expect_none("arm-smmu-v3 arm-smmu-v3.1.auto: event 0x10 received:");
	fault = expect("arm-smmu-v3 arm-smmu-v3.1.auto: \t0x0000002800000010", IC_FAULT_BY_ID);
	assert_string_equal(fault.iommu, "arm-smmu-v3.1.auto");
	assert_false(ic_source_is(&source, &fault));
	source.iommu = (char *)"arm-smmu-v3.1.auto";
	assert_true(ic_source_is(&source, &fault));
	/* Where it is not known whose it is, the number decides. */
	source.iommu = NULL;
	assert_true(ic_source_is(&source, &fault));
	fault = expect("arm-smmu 9050000.iommu: Blocked unknown Stream ID 0x28; boot with x",
		       IC_FAULT_BY_ID);
	assert_string_equal(fault.iommu, "9050000.iommu");
	fault = expect("virtio_iommu virtio0: page fault from EP 40 at 0x1000 [W]", IC_FAULT_BY_ID);
	assert_string_equal(fault.iommu, "");
}

static void test_virtio(void **state)
{
	(void)state;
	expect_id("virtio_iommu virtio0: page fault from EP 40 at 0x1000 [W]", 40);
	expect_id("virtio_iommu virtio0: domain fault from EP 65544", 65544);
	expect_none("virtio_iommu virtio0: page fault from EP x");
	expect_none("other virtio0: page fault from EP 40");
}

static void test_trace(void **state)
{
	(void)state;
	expect_name("  irq/24-amdvi-60 [000] .... 12.3: io_page_fault: IOMMU:e1000e 0000:02:00.0 iova=0x0000000000001000 flags=0x0001",
		    "0000:02:00.0");
	expect_none("io_page_fault: IOMMU:e1000e 0000:02:00.0");
}

static void test_other(void **state)
{
	static const char *const lines[] = {
		"", " ", "AMD-Vi: Event logged [", ": AMD-Vi: Event logged [x", "client: sid: ",
		"arm-smmu-v3 x: event: Y client: sid: ", "DMAR: [", "AMD-Vi:   device=",
		"pci 0000:00:05.0: Adding to iommu group 5", "EDAC DMAR",
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(lines) / sizeof(*lines); i++)
		expect_none(lines[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vtd), cmocka_unit_test(test_amd),
		cmocka_unit_test(test_smmu3), cmocka_unit_test(test_instance),
		cmocka_unit_test(test_smmu2),
		cmocka_unit_test(test_virtio), cmocka_unit_test(test_trace),
		cmocka_unit_test(test_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
