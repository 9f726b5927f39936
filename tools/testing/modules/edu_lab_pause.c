// SPDX-License-Identifier: GPL-2.0
/*
 * A driver whose DMA can be paused: it has one page for the device to see, which it
 * frees for a pause, or keeps where the knobs say so. By driver_override.
 */
#include <linux/dma-mapping.h>
#include <linux/errno.h>
#include <linux/pci.h>

#include "edu_lab.h"

static int edu_page_alloc(struct device *dev, struct edu_knobs *knobs)
{
	if (!knobs->page)
		knobs->page = dma_alloc_coherent(dev, PAGE_SIZE, &knobs->page_dma, GFP_KERNEL);
	return knobs->page ? 0 : -ENOMEM;
}

void edu_page_free(struct device *dev, struct edu_knobs *knobs)
{
	if (knobs->page)
		dma_free_coherent(dev, PAGE_SIZE, knobs->page, knobs->page_dma);
	knobs->page = NULL;
}

int edu_pause_start(struct pci_dev *pdev, struct edu_knobs *knobs)
{
	int ret = dma_set_mask_and_coherent(&pdev->dev,
					    DMA_BIT_MASK(knobs->dma_bits ?: 64));

	return ret ?: edu_page_alloc(&pdev->dev, knobs);
}

static int edu_dma_pause(struct device *dev)
{
	struct edu_knobs *knobs = edu_knobs_get(dev_name(dev));

	edu_event(dev, "pause", 0);
	WRITE_ONCE(knobs->doing, "pause");
	edu_pause(0, &knobs->pause_hold);
	WRITE_ONCE(knobs->doing, "-");
	if (edu_use_up(&knobs->pause_errors)) {
		edu_event(dev, "paused", -EIO);
		return -EIO;
	}
	if (!knobs->pause_keeps)
		edu_page_free(dev, knobs);
	atomic_inc(&knobs->pauses);
	edu_event(dev, "paused", 0);
	return 0;
}

static int edu_dma_resume(struct device *dev)
{
	struct edu_knobs *knobs = edu_knobs_get(dev_name(dev));
	int ret;

	edu_event(dev, "resume", 0);
	WRITE_ONCE(knobs->doing, "resume");
	edu_pause(0, &knobs->resume_hold);
	WRITE_ONCE(knobs->doing, "-");
	ret = edu_use_up(&knobs->resume_errors) ? -EIO : edu_page_alloc(dev, knobs);
	/* Does DMA work with the domain that the group has now? */
	if (!ret && knobs->dma)
		ret = edu_dma_check(to_pci_dev(dev), knobs->stray);
	edu_event(dev, "resumed", ret);
	return ret;
}

struct pci_driver edu_pause_driver = {
	.name = "edu_lab_pause",
	.probe = edu_probe,
	.remove = edu_remove,
	.driver.dma_pause = edu_dma_pause,
	.driver.dma_resume = edu_dma_resume,
};
