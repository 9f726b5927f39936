// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Lines of the kernel's log that report an IOMMU fault. The formats are those of Linux 6.12
 * to 7.3:
 *
 *   VT-d: drivers/iommu/intel/dmar.c, dmar_fault_do_one(). The segment is there since 6.13.
 *	DMAR: [DMA Write NO_PASID] Request device [0000:00:05.0] fault addr 0x... [fault ...
 *	DMAR: [DMA Read PASID 0x1] Request device [00:05.0] fault addr 0x... [fault ...
 *	DMAR: [INTR-REMAP] Request device [00:05.0] fault index 0x...
 *   AMD-Vi: drivers/iommu/amd/iommu.c, amd_iommu_report_page_fault(), iommu_print_event().
 *   The device is in the event, or else it is the one that the line is about.
 *	e1000e 0000:00:05.0: AMD-Vi: Event logged [IO_PAGE_FAULT domain=0x0005 address=0x...
 *	AMD-Vi: Event logged [IO_PAGE_FAULT device=0000:00:05.0 domain=0x0005 address=0x...
 *	AMD-Vi:   device=0000:00:05.0 domain=0x0005
 *   SMMUv3: drivers/iommu/arm/arm-smmu-v3/arm-smmu-v3.c, arm_smmu_dump_event() and, alone
 *   before 6.13, the four numbers of the event, the first with the stream id above bit 31.
 *	arm-smmu-v3 ...: event: F_TRANSLATION client: 0000:00:05.0 sid: 0x28 ssid: 0 iova: ...
 *	arm-smmu-v3 ...: event 0x10 received:
 *	arm-smmu-v3 ...: \t0x0000002800000010
 *   SMMUv2: drivers/iommu/arm/arm-smmu/arm-smmu.c
 *	arm-smmu ...: Unhandled context fault: fsr=0x402, iova=0x..., cbfrsynra=0x28, cb=0
 *	arm-smmu ...: Blocked unknown Stream ID 0x28; boot with ...
 *   virtio-iommu: drivers/iommu/virtio-iommu.c, viommu_fault_handler()
 *	virtio_iommu virtio0: page fault from EP 40 at 0x1000 [W]
 *   The trace event iommu:io_page_fault, include/trace/events/iommu.h, as it is printed
 *	io_page_fault: IOMMU:e1000e 0000:00:05.0 iova=0x... flags=0x...
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "faults.h"

/* "0000:00:05.0" or "00:05.0" */
static bool parse_pci(const char *text, struct ic_fault *fault)
{
	unsigned int segment, bus, device, function;

	if (sscanf(text, "%8x:%2x:%2x.%1x", &segment, &bus, &device, &function) != 4) {
		segment = IC_FAULT_ANY_SEGMENT;
		if (sscanf(text, "%2x:%2x.%1x", &bus, &device, &function) != 3)
			return false;
	}
	if (device > 31 || function > 7)
		return false;
	fault->by = IC_FAULT_BY_PCI;
	fault->segment = segment;
	fault->requester = bus << 8 | device << 3 | function;
	return true;
}

/* The name that ends before @end. */
static bool parse_name(const char *line, const char *end, struct ic_fault *fault)
{
	const char *begin = end;

	while (begin > line && begin[-1] != ' ')
		begin--;
	if (begin == end || (size_t)(end - begin) >= sizeof(fault->name))
		return false;
	fault->by = IC_FAULT_BY_NAME;
	memcpy(fault->name, begin, end - begin);
	fault->name[end - begin] = '\0';
	return true;
}

/* The number after @before, which is in the line. */
static bool parse_id(const char *line, const char *before, int base, struct ic_fault *fault)
{
	const char *p = strstr(line, before);
	char *end;

	if (!p)
		return false;
	fault->by = IC_FAULT_BY_ID;
	fault->id = strtoul(p + strlen(before), &end, base);
	return end != p + strlen(before);
}

static bool parse_vtd(const char *line, struct ic_fault *fault)
{
	static const char request[] = "] Request device [";
	const char *p = strstr(line, "DMAR: [");

	p = p ? strstr(p, request) : NULL;
	return p && parse_pci(p + strlen(request), fault);
}

static bool parse_amd(const char *line, struct ic_fault *fault)
{
	static const char event[] = "AMD-Vi: Event logged [", device[] = "device=";
	const char *p = strstr(line, event), *d;

	if (!p) {
		p = strstr(line, "AMD-Vi:   device=");
		return p && parse_pci(strstr(p, device) + strlen(device), fault);
	}
	d = strstr(p, device);
	if (d)
		return parse_pci(d + strlen(device), fault);
	return p > line + 2 && parse_name(line, p - 2, fault);
}

/* "arm-smmu-v3 arm-smmu-v3.1.auto: ..." */
static void parse_instance(const char *line, struct ic_fault *fault)
{
	const char *p = strstr(line, "arm-smmu"), *end;

	p = p ? strchr(p, ' ') : NULL;
	end = p ? strstr(++p, ": ") : NULL;
	if (end && (size_t)(end - p) < sizeof(fault->iommu))
		snprintf(fault->iommu, sizeof(fault->iommu), "%.*s", (int)(end - p), p);
}

static bool parse_smmu3(struct ic_fault_parser *parser, const char *line, struct ic_fault *fault)
{
	static const char client[] = " client: ";
	bool raw_event = parser->raw_event;
	unsigned long long word;
	const char *p, *sid;
	unsigned int event;

	parser->raw_event = false;
	if (!strstr(line, "arm-smmu-v3"))
		return false;
	parse_instance(line, fault);
	p = strstr(line, ": event 0x");
	if (p && sscanf(p, ": event 0x%x received:", &event) == 1) {
		parser->raw_event = true;
		return false;
	}
	p = strrchr(line, '\t');
	if (raw_event && p && sscanf(p, "\t0x%llx", &word) == 1) {
		fault->by = IC_FAULT_BY_ID;
		fault->id = word >> 32;
		return true;
	}
	p = strstr(line, ": event: ");
	p = p ? strstr(p, client) : NULL;
	p = p ? p + strlen(client) : NULL;
	sid = p ? strstr(p, " sid: ") : NULL;
	if (!sid)
		return false;
	/* Of a stream that no driver has asked for. */
	if (*p == '(')
		return parse_id(sid, " sid: ", 16, fault);
	return parse_name(p, sid, fault);
}

static bool parse_smmu2(const char *line, struct ic_fault *fault)
{
	if (!strstr(line, "arm-smmu"))
		return false;
	parse_instance(line, fault);
	if (strstr(line, "Unhandled context fault: ") &&
	    parse_id(line, "cbfrsynra=", 16, fault)) {
		fault->id &= 0xffff;
		return true;
	}
	return parse_id(line, "Blocked unknown Stream ID ", 16, fault);
}

static bool parse_virtio(const char *line, struct ic_fault *fault)
{
	return strstr(line, "virtio_iommu") && parse_id(line, " fault from EP ", 10, fault);
}

static bool parse_trace(const char *line, struct ic_fault *fault)
{
	const char *p = strstr(line, "io_page_fault: IOMMU:"), *end;

	end = p ? strstr(p, " iova=") : NULL;
	return end && parse_name(p, end, fault);
}

/* @line: one message, unescaped. Lines are to come in their order. */
bool ic_fault_parse(struct ic_fault_parser *parser, const char *line, struct ic_fault *fault)
{
	*fault = (struct ic_fault){ .segment = IC_FAULT_ANY_SEGMENT };
	return parse_smmu3(parser, line, fault) || parse_vtd(line, fault) ||
	       parse_amd(line, fault) || parse_smmu2(line, fault) ||
	       parse_virtio(line, fault) || parse_trace(line, fault);
}
