// SPDX-License-Identifier: GPL-2.0
/*
 * Proves that DMA works under the group's present domain: data goes from memory
 * into the device and comes back into another place. The device reports no errors,
 * so what counts is what arrives.
 */
#include <linux/delay.h>
#include <linux/dma-mapping.h>
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/iopoll.h>
#include <linux/pci.h>
#include <linux/random.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "edu_lab.h"

#define EDU_ID			0x00
#define EDU_DMA_SOURCE		0x80
#define EDU_DMA_TARGET		0x88
#define EDU_DMA_COUNT		0x90
#define EDU_DMA_COMMAND		0x98
#define  EDU_DMA_START		BIT(0)
#define  EDU_DMA_TO_MEMORY	BIT(1)
#define EDU_BUFFER		0x40000		/* as the DMA engine sees it */

/* The registers are 64 bits wide, but two halves do on every architecture. */
static void edu_write64(void __iomem *reg, u64 value)
{
	writel(lower_32_bits(value), reg);
	writel(upper_32_bits(value), reg + 4);
}

static void edu_dma_start(void __iomem *regs, u64 source, u64 target, u32 direction)
{
	edu_write64(regs + EDU_DMA_SOURCE, source);
	edu_write64(regs + EDU_DMA_TARGET, target);
	edu_write64(regs + EDU_DMA_COUNT, EDU_LEN);
	edu_write64(regs + EDU_DMA_COMMAND, EDU_DMA_START | direction);
}

/* It takes 100 ms whatever there is to move; a busy host makes it more. */
#define EDU_DMA_MAX	(10 * USEC_PER_SEC)

static int edu_dma(void __iomem *regs, u64 source, u64 target, u32 direction)
{
	u32 command;

	edu_dma_start(regs, source, target, direction);
	return readl_poll_timeout(regs + EDU_DMA_COMMAND, command,
				  !(command & EDU_DMA_START), 5000, EDU_DMA_MAX);
}

/* The device writes EDU_LEN bytes of its buffer to memory. Does not sleep. */
int edu_dma_to_memory(void __iomem *regs, dma_addr_t addr)
{
	u32 command;

	edu_dma_start(regs, EDU_BUFFER, addr, EDU_DMA_TO_MEMORY);
	return readl_poll_timeout_atomic(regs + EDU_DMA_COMMAND, command,
					 !(command & EDU_DMA_START), 100, EDU_DMA_MAX);
}

static int edu_round_trip(struct pci_dev *pdev, void __iomem *regs, u8 *out, u8 *in)
{
	struct device *dev = &pdev->dev;
	dma_addr_t from, to;
	int ret;

	from = dma_map_single(dev, out, EDU_LEN, DMA_TO_DEVICE);
	if (dma_mapping_error(dev, from))
		return -ENOMEM;
	to = dma_map_single(dev, in, EDU_LEN, DMA_FROM_DEVICE);
	if (dma_mapping_error(dev, to)) {
		dma_unmap_single(dev, from, EDU_LEN, DMA_TO_DEVICE);
		return -ENOMEM;
	}

	ret = edu_dma(regs, from, EDU_BUFFER, 0);
	if (!ret)
		ret = edu_dma(regs, EDU_BUFFER, to, EDU_DMA_TO_MEMORY);

	dma_unmap_single(dev, to, EDU_LEN, DMA_FROM_DEVICE);
	dma_unmap_single(dev, from, EDU_LEN, DMA_TO_DEVICE);
	return ret;
}

/* The page is the driver's, so the write does no harm where nothing translates it. */
static int edu_dma_stray(void __iomem *regs)
{
	struct page *page = alloc_page(GFP_KERNEL);
	int ret;

	if (!page)
		return -ENOMEM;
	ret = edu_dma(regs, EDU_BUFFER, page_to_phys(page), EDU_DMA_TO_MEMORY);
	/* Of a transfer that may still come the page is lost. */
	if (!ret)
		__free_page(page);
	return ret;
}

int edu_dma_check(struct pci_dev *pdev, bool stray)
{
	void __iomem *regs;
	u8 *out, *in;
	int ret;

	regs = pci_iomap(pdev, 0, 0);
	if (!regs)
		return -ENOMEM;
	out = kmalloc(EDU_LEN, GFP_KERNEL);
	in = kzalloc(EDU_LEN, GFP_KERNEL);
	if (!out || !in) {
		ret = -ENOMEM;
		goto out_free;
	}

	ret = dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(64));
	if (ret)
		goto out_free;
	pci_set_master(pdev);

	get_random_bytes(out, EDU_LEN);
	ret = edu_round_trip(pdev, regs, out, in);
	if (!ret && memcmp(out, in, EDU_LEN)) {
		dev_err(&pdev->dev, "DMA brought back something else\n");
		ret = -EIO;
	}
	if (!ret && stray)
		ret = edu_dma_stray(regs);
	pci_clear_master(pdev);

out_free:
	kfree(in);
	kfree(out);
	pci_iounmap(pdev, regs);
	return ret;
}
