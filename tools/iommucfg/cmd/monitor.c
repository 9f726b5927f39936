// SPDX-License-Identifier: GPL-2.0
/* iommucfg monitor: the uevents that tell of changed groups */
#include <errno.h>
#include <json-c/json.h>
#include <libudev.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "monitor.h"

/* How often to look at transactions, in milliseconds. */
#define LOOK_EVERY	500

/* The device's group, as the link in its directory has it; -1 if unknown. */
static long group_of(struct udev_device *device)
{
	char path[4096], target[4096], *name, *end;
	ssize_t n;
	long group;

	snprintf(path, sizeof(path), "%s/iommu_group", udev_device_get_syspath(device));
	n = readlink(path, target, sizeof(target) - 1);
	if (n <= 0)
		return -1;
	target[n] = '\0';
	name = strrchr(target, '/');
	name = name ? name + 1 : target;
	group = strtol(name, &end, 10);
	return *name && !*end ? group : -1;
}

static void put_time(char *buf, size_t size)
{
	struct timespec now;
	struct tm tm;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	strftime(buf, size, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(buf + strlen(buf), size - strlen(buf), ".%03ldZ", now.tv_nsec / 1000000);
}

static int print_json(struct cli *cli, const char *when, const char *event, long group,
		      const char *device, const char *bus, const char *type, const char *txn)
{
	struct json_object *o = json_document(cli);

	json_object_object_add(o, "time", json_text(when));
	json_object_object_add(o, "event", json_text(event));
	json_object_object_add(o, "group", json_number(group));
	json_object_object_add(o, "device", json_text(device));
	json_object_object_add(o, "bus", json_text(bus));
	json_object_object_add(o, "type", json_text(type));
	json_object_object_add(o, "transaction", json_text(txn));
	return json_print(o, false);
}

/* Something has become of a transaction. */
int monitor_txn(struct cli *cli, const char *event, const char *name)
{
	char when[64];

	put_time(when, sizeof(when));
	if (cli->json)
		return print_json(cli, when, event, -1, NULL, NULL, NULL, name);
	printf("%s transaction ", when);
	cli_put(stdout, name ? name : "-");
	printf(" %s\n", event);
	return fflush(stdout);
}

static int print(struct cli *cli, struct udev_device *device)
{
	const char *type = udev_device_get_property_value(device, "IOMMU_TYPE");
	const char *txn = udev_device_get_property_value(device, "IOMMU_TRANSACTION");
	long group = group_of(device);
	char when[64], text[32] = "-";

	put_time(when, sizeof(when));
	if (cli->json)
		return print_json(cli, when, "changed", group, udev_device_get_sysname(device),
				  udev_device_get_subsystem(device), type, txn);
	if (group >= 0)
		snprintf(text, sizeof(text), "%ld", group);
	printf("%s group %s ", when, text);
	cli_put(stdout, udev_device_get_sysname(device));
	fputs(cli_color(cli, stdout) ? " \033[1m" : " ", stdout);
	cli_put(stdout, type);
	fputs(cli_color(cli, stdout) ? "\033[0m " : " ", stdout);
	cli_put(stdout, txn ? txn : "-");
	putchar('\n');
	return fflush(stdout);
}

static int listen_on(struct cli *cli, struct udev_monitor *monitor)
{
	struct pollfd p[2] = {
		{ .fd = udev_monitor_get_fd(monitor), .events = POLLIN },
		{ .fd = signals_fd(), .events = POLLIN },
	};
	struct monitor_state state = { 0 };
	struct udev_device *device;
	int ret;

	ret = monitor_look(cli, &state, true);
	while (!ret && !signals_seen()) {
		if (poll(p, 2, LOOK_EVERY) < 0 || !p[0].revents) {
			ret = monitor_look(cli, &state, false);
			continue;
		}
		device = udev_monitor_receive_device(monitor);
		if (!device) {
			if (errno == ENOBUFS)
				cli_note(cli, "events were lost: too many came at once");
			continue;
		}
		if (udev_device_get_property_value(device, "IOMMU_TYPE"))
			ret = print(cli, device);
		udev_device_unref(device);
	}
	monitor_forget(&state);
	return ret ? EXIT_BAD : EXIT_DONE;
}

int cmd_monitor(struct cli *cli, int argc, char **argv)
{
	struct udev_monitor *monitor = NULL;
	struct udev *udev;
	int code;

	code = cli_plain_options(cli, argc, argv);
	if (code >= 0)
		return code;
	if (argc > optind)
		return cli_usage(cli, "monitor takes no argument");
	code = cli_open(cli);
	if (code >= 0)
		return code;
	signals_catch();
	if (iommucfg_kernel_probe(cli->ctx, NULL))
		cli_note(cli, "the kernel module is not loaded yet: \"modprobe iommu-configfs\" loads it");
	udev = udev_new();
	/* Straight from the kernel: an early system has no udevd. */
	if (udev)
		monitor = udev_monitor_new_from_netlink(udev, "kernel");
	if (monitor)
		udev_monitor_set_receive_buffer_size(monitor, 8 << 20);
	if (!monitor || udev_monitor_enable_receiving(monitor) < 0) {
		iommucfg_problems_add(cli->problems, IOMMUCFG_ERROR, "system", errno,
				      "the kernel's events cannot be received: %s",
				      strerror(errno));
		code = EXIT_BAD;
	} else {
		code = listen_on(cli, monitor);
	}
	udev_monitor_unref(monitor);
	udev_unref(udev);
	return code;
}
