// SPDX-License-Identifier: GPL-2.0
/*
 * The domains of the mock IOMMU. A paging domain's table has a 4 KiB page per entry.
 * What was unmapped is marked, and goes from the table only with the flush that is
 * due: until then it is what a translation cache would still have.
 */
#include <linux/bits.h>
#include <linux/err.h>
#include <linux/iommu.h>
#include <linux/mm.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/xarray.h>

#include "mock_iommu.h"

#define MOCK_PGSIZE	SZ_4K
#define MOCK_STALE	XA_MARK_0

struct mock_domain {
	struct iommu_domain domain;
	struct list_head devs;		/* mock_hw_lock */
	struct xarray table;		/* by 4 KiB frame; has its own lock */
	unsigned int queued;		/* under that lock, too */
};

/* Which domain a device is attached to. Taken from timers as well. */
DEFINE_SPINLOCK(mock_hw_lock);

/* What the devices with a direct region use behind the kernel's back. */
struct page *mock_direct_page;

static struct mock_domain *to_mock_domain(struct iommu_domain *domain)
{
	return container_of(domain, struct mock_domain, domain);
}

/* From here on no DMA of the device gets through. mock_hw_lock is held. */
static void detach_locked(struct mock_dev *mdev)
{
	if (mdev->domain)
		mock_count(MOCK_DETACHES);
	mdev->domain = NULL;
	list_del_init(&mdev->in_domain);
}

void mock_hw_detach(struct mock_dev *mdev)
{
	unsigned long flags;

	spin_lock_irqsave(&mock_hw_lock, flags);
	detach_locked(mdev);
	spin_unlock_irqrestore(&mock_hw_lock, flags);
}

static enum mock_knob attach_errors(const struct iommu_domain *domain)
{
	switch (domain->type) {
	case IOMMU_DOMAIN_IDENTITY:
		return MOCK_ATTACH_IDENTITY;
	case IOMMU_DOMAIN_BLOCKED:
		return MOCK_ATTACH_BLOCKED;
	default:
		return MOCK_ATTACH_DMA;
	}
}

/* A region that firmware uses must not be without its mapping for a moment. */
static void check_direct(struct mock_dev *mdev, struct iommu_domain *domain)
{
	phys_addr_t phys = page_to_phys(mock_direct_page);

	if (!mock_read(mdev, MOCK_DIRECT) || domain->type == IOMMU_DOMAIN_IDENTITY)
		return;
	if (domain->type == IOMMU_DOMAIN_BLOCKED ||
	    mock_paging_translate(domain, phys) != phys)
		mock_count(MOCK_FAULTS);
}

static int attach(struct iommu_domain *domain, struct device *dev, struct list_head *devs)
{
	struct mock_dev *mdev = to_mock_dev(dev);
	unsigned long flags;

	mock_enter(MOCK_ATTACHING, MOCK_ATTACHING_MAX);
	mock_pause(mdev, MOCK_ATTACH_DELAY, MOCK_ATTACH_HOLD);
	mock_add(MOCK_ATTACHING, -1);
	if (mock_use_up(mdev, attach_errors(domain))) {
		mock_count(MOCK_ATTACHES_FAILED);
		return -mock_read(mdev, MOCK_ATTACH_ERRNO);
	}

	check_direct(mdev, domain);
	spin_lock_irqsave(&mock_hw_lock, flags);
	detach_locked(mdev);
	mdev->domain = domain;
	if (domain->type != IOMMU_DOMAIN_BLOCKED)
		WRITE_ONCE(mdev->lazy, domain->type == IOMMU_DOMAIN_DMA_FQ);
	if (devs)
		list_add_tail(&mdev->in_domain, devs);
	spin_unlock_irqrestore(&mock_hw_lock, flags);
	mock_count(MOCK_ATTACHES);
	atomic_inc(&mdev->attaches);
	mock_note(mdev, MOCK_ATTACH_AT);
	return 0;
}

#ifdef MOCK_ATTACH_HAS_OLD
static int mock_static_attach(struct iommu_domain *domain, struct device *dev,
			      struct iommu_domain *old)
{
	return attach(domain, dev, NULL);
}

static int mock_domain_attach(struct iommu_domain *domain, struct device *dev,
			      struct iommu_domain *old)
{
	return attach(domain, dev, &to_mock_domain(domain)->devs);
}
#else
static int mock_static_attach(struct iommu_domain *domain, struct device *dev)
{
	return attach(domain, dev, NULL);
}

static int mock_domain_attach(struct iommu_domain *domain, struct device *dev)
{
	return attach(domain, dev, &to_mock_domain(domain)->devs);
}
#endif

/* What is left in the table should be what firmware wanted there. */
static void count_leaks(struct mock_domain *mock)
{
	unsigned long frame;
	void *entry;

	xa_for_each(&mock->table, frame, entry) {
		if (xa_get_mark(&mock->table, frame, MOCK_STALE))
			continue;
		mock_add(MOCK_PAGES, -1);
		if (frame != page_to_phys(mock_direct_page) / MOCK_PGSIZE)
			mock_count(MOCK_LEAKS);
	}
}

static void mock_domain_free(struct iommu_domain *domain)
{
	struct mock_domain *mock = to_mock_domain(domain);
	struct mock_dev *mdev, *next;
	unsigned long flags;

	/* Only a core that failed to attach something else comes here with any. */
	spin_lock_irqsave(&mock_hw_lock, flags);
	list_for_each_entry_safe(mdev, next, &mock->devs, in_domain)
		detach_locked(mdev);
	spin_unlock_irqrestore(&mock_hw_lock, flags);
	count_leaks(mock);
	xa_destroy(&mock->table);
	kfree(mock);
	mock_add(MOCK_DOMAINS, -1);
}

/* One page; its predecessor at this place must be gone by now. */
static int map_one(struct mock_domain *mock, unsigned long frame, phys_addr_t phys, gfp_t gfp)
{
	unsigned long flags;
	void *old;

	/* Memory is had without the lock where that may take a while. */
	if (gfpflags_allow_blocking(gfp) && xa_reserve_irq(&mock->table, frame, gfp))
		return -ENOMEM;
	xa_lock_irqsave(&mock->table, flags);
	old = xa_load(&mock->table, frame);
	if (!old)
		old = __xa_store(&mock->table, frame, xa_mk_value(phys / MOCK_PGSIZE), GFP_ATOMIC);
	else
		mock_count(MOCK_FAULTS);
	xa_unlock_irqrestore(&mock->table, flags);
	if (old)
		return xa_is_err(old) ? xa_err(old) : -EEXIST;
	mock_add(MOCK_PAGES, 1);
	return 0;
}

static int mock_map_pages(struct iommu_domain *domain, unsigned long iova, phys_addr_t phys,
			  size_t pgsize, size_t pgcount, int prot, gfp_t gfp, size_t *mapped)
{
	struct mock_domain *mock = to_mock_domain(domain);
	size_t i;
	int ret;

	for (i = 0; i < pgcount; i++) {
		ret = map_one(mock, iova / MOCK_PGSIZE + i, phys + i * MOCK_PGSIZE, gfp);
		if (ret)
			return ret;
		*mapped += MOCK_PGSIZE;
	}
	return 0;
}

static size_t mock_unmap_pages(struct iommu_domain *domain, unsigned long iova, size_t pgsize,
			       size_t pgcount, struct iommu_iotlb_gather *gather)
{
	struct mock_domain *mock = to_mock_domain(domain);
	unsigned long frame = iova / MOCK_PGSIZE;
	unsigned long flags;
	size_t i;

	mock_unmap_begins();
	xa_lock_irqsave(&mock->table, flags);
	for (i = 0; i < pgcount; i++) {
		if (!xa_load(&mock->table, frame + i) ||
		    xa_get_mark(&mock->table, frame + i, MOCK_STALE))
			break;
		__xa_set_mark(&mock->table, frame + i, MOCK_STALE);
	}
	if (iommu_iotlb_gather_queued(gather))
		WRITE_ONCE(mock->queued, mock->queued + 1);
	xa_unlock_irqrestore(&mock->table, flags);

	mock_add(MOCK_PAGES, -(int)i);
	if (i && !iommu_iotlb_gather_queued(gather))
		iommu_iotlb_gather_add_range(gather, iova, i * MOCK_PGSIZE);
	return i * MOCK_PGSIZE;
}

static void flush(struct mock_domain *mock, unsigned long first, unsigned long last)
{
	XA_STATE(xas, &mock->table, first);
	unsigned long flags;
	void *entry;

	xas_lock_irqsave(&xas, flags);
	xas_for_each_marked(&xas, entry, last, MOCK_STALE)
		xas_store(&xas, NULL);
	xas_unlock_irqrestore(&xas, flags);
}

static void mock_flush_all(struct iommu_domain *domain)
{
	mock_count(MOCK_FLUSHES);
	mock_flush_begins();
	flush(to_mock_domain(domain), 0, ULONG_MAX);
}

static void mock_sync(struct iommu_domain *domain, struct iommu_iotlb_gather *gather)
{
	/* Start and end are crossed where nothing was gathered. */
	if (gather->start > gather->end)
		return;
	mock_count(MOCK_SYNCS);
	flush(to_mock_domain(domain), gather->start / MOCK_PGSIZE, gather->end / MOCK_PGSIZE);
}

/* As the hardware does it, cache and all; 0 where nothing is. */
phys_addr_t mock_paging_translate(struct iommu_domain *domain, dma_addr_t iova)
{
	void *entry = xa_load(&to_mock_domain(domain)->table, iova / MOCK_PGSIZE);

	return entry ? (phys_addr_t)xa_to_value(entry) * MOCK_PGSIZE + iova % MOCK_PGSIZE : 0;
}

/* How many unmappings were left to a flush later on. */
unsigned int mock_paging_queued(struct iommu_domain *domain)
{
	return READ_ONCE(to_mock_domain(domain)->queued);
}

/* As the kernel sees it: what it unmapped is gone. */
static phys_addr_t mock_iova_to_phys(struct iommu_domain *domain, dma_addr_t iova)
{
	if (xa_get_mark(&to_mock_domain(domain)->table, iova / MOCK_PGSIZE, MOCK_STALE))
		return 0;
	return mock_paging_translate(domain, iova);
}

const struct iommu_domain_ops mock_paging_ops = {
	.attach_dev = mock_domain_attach,
	.map_pages = mock_map_pages,
	.unmap_pages = mock_unmap_pages,
	.flush_iotlb_all = mock_flush_all,
	.iotlb_sync = mock_sync,
	.iova_to_phys = mock_iova_to_phys,
	.free = mock_domain_free,
};

static const struct iommu_domain_ops mock_dynamic_identity_ops = {
	.attach_dev = mock_domain_attach,
	.free = mock_domain_free,
};

static const struct iommu_domain_ops mock_static_ops = {
	.attach_dev = mock_static_attach,
};

struct iommu_domain mock_identity_domain = {
	.type = IOMMU_DOMAIN_IDENTITY,
	.ops = &mock_static_ops,
};

struct iommu_domain mock_blocked_domain = {
	.type = IOMMU_DOMAIN_BLOCKED,
	.ops = &mock_static_ops,
};

static struct iommu_domain *domain_alloc(const struct iommu_domain_ops *ops)
{
	struct mock_domain *mock;

	mock = kzalloc(sizeof(*mock), GFP_KERNEL_ACCOUNT);
	if (!mock)
		return ERR_PTR(-ENOMEM);

	mock->domain.ops = ops;
	mock->domain.pgsize_bitmap = MOCK_PGSIZE;
	mock->domain.geometry.aperture_end = BIT_ULL(48) - 1;
	mock->domain.geometry.force_aperture = true;
	INIT_LIST_HEAD(&mock->devs);
	xa_init_flags(&mock->table, XA_FLAGS_LOCK_IRQ);
	mock_add(MOCK_DOMAINS, 1);
	return &mock->domain;
}

struct iommu_domain *mock_paging_alloc(struct device *dev)
{
	struct mock_dev *mdev = to_mock_dev(dev);

	if (mock_use_up(mdev, MOCK_ALLOC_ERRORS))
		return ERR_PTR(-mock_read(mdev, MOCK_ALLOC_ERRNO));
	return domain_alloc(&mock_paging_ops);
}

/* Older kernels do not say for which device it is. */
struct iommu_domain *mock_identity_alloc(struct device *dev)
{
	if (mock_identity_fails())
		return ERR_PTR(-ENOMEM);
	return domain_alloc(&mock_dynamic_identity_ops);
}
