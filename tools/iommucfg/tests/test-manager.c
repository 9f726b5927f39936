// SPDX-License-Identifier: GPL-2.0
/*
 * Which network manager has an interface: asked on a bus of the test's own, where a process
 * of it is NetworkManager and networkd, and of an ifquery that is a script. Needs dbus-daemon.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit.h"
#include "net-snapshot.h"

#ifdef HAVE_LIBSYSTEMD
#include <systemd/sd-bus.h>

#define NM	"org.freedesktop.NetworkManager"
#define NETWORKD "org.freedesktop.network1"

static char dir[] = "/tmp/iommucfg-manager.XXXXXX";
static pid_t daemon_pid, service;
static struct iommucfg *ctx;

/* The services --------------------------------------------------------------- */

/* nm0 is managed, nm1 is known but not managed; mute never gets an answer. */
static int by_iface(sd_bus_message *m, void *data, sd_bus_error *error)
{
	const char *name;

	(void)data;
	sd_bus_message_read(m, "s", &name);
	if (!strcmp(name, "mute"))
		return 1;
	if (!strcmp(name, "nm0"))
		return sd_bus_reply_method_return(m, "o", "/org/freedesktop/NetworkManager/Devices/0");
	if (!strcmp(name, "nm1"))
		return sd_bus_reply_method_return(m, "o", "/org/freedesktop/NetworkManager/Devices/1");
	if (!strcmp(name, "odd"))
		return sd_bus_error_set(error, NM ".PermissionDenied", "not for you");
	return sd_bus_error_set(error, NM ".UnknownDevice", "no such device");
}

static int managed(sd_bus *bus, const char *path, const char *interface, const char *property,
		   sd_bus_message *reply, void *data, sd_bus_error *error)
{
	(void)bus, (void)interface, (void)property, (void)data, (void)error;
	return sd_bus_message_append(reply, "b", path[strlen(path) - 1] == '0');
}

/* 5 is configured, 6 is not managed. */
static int by_index(sd_bus_message *m, void *data, sd_bus_error *error)
{
	char path[64];
	int index;

	(void)data;
	sd_bus_message_read(m, "i", &index);
	if (index != 5 && index != 6)
		return sd_bus_error_set(error, NETWORKD ".NoSuchLink", "no such link");
	snprintf(path, sizeof(path), "/org/freedesktop/network1/link/_3%d", index);
	return sd_bus_reply_method_return(m, "so", "x", path);
}

static int admin_state(sd_bus *bus, const char *path, const char *interface,
		       const char *property, sd_bus_message *reply, void *data,
		       sd_bus_error *error)
{
	(void)bus, (void)interface, (void)property, (void)data, (void)error;
	return sd_bus_message_append(reply, "s", path[strlen(path) - 1] == '5' ? "configured" :
						 "unmanaged");
}

static const sd_bus_vtable nm_table[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD("GetDeviceByIpIface", "s", "o", by_iface, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_VTABLE_END
};

static const sd_bus_vtable device_table[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_PROPERTY("Managed", "b", managed, 0, 0),
	SD_BUS_VTABLE_END
};

static const sd_bus_vtable networkd_table[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD("GetLinkByIndex", "i", "so", by_index, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_VTABLE_END
};

static const sd_bus_vtable link_table[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_PROPERTY("AdministrativeState", "s", admin_state, 0, 0),
	SD_BUS_VTABLE_END
};

static void __attribute__((noreturn)) serve(bool nm, bool networkd, int ready)
{
	sd_bus *bus;

	if (sd_bus_open_system(&bus) < 0)
		_exit(1);
	sd_bus_add_object_vtable(bus, NULL, "/org/freedesktop/NetworkManager", NM, nm_table, NULL);
	for (int i = 0; i < 2; i++) {
		char path[64];

		snprintf(path, sizeof(path), "/org/freedesktop/NetworkManager/Devices/%d", i);
		sd_bus_add_object_vtable(bus, NULL, path, NM ".Device", device_table, NULL);
		snprintf(path, sizeof(path), "/org/freedesktop/network1/link/_3%d", 5 + i);
		sd_bus_add_object_vtable(bus, NULL, path, NETWORKD ".Link", link_table, NULL);
	}
	sd_bus_add_object_vtable(bus, NULL, "/org/freedesktop/network1", NETWORKD ".Manager",
				 networkd_table, NULL);
	if ((nm && sd_bus_request_name(bus, NM, 0) < 0) ||
	    (networkd && sd_bus_request_name(bus, NETWORKD, 0) < 0))
		_exit(1);
	if (write(ready, "", 1) != 1)
		_exit(1);
	for (;;)
		if (sd_bus_process(bus, NULL) == 0)
			sd_bus_wait(bus, UINT64_MAX);
}

static void stop_services(void)
{
	if (service)
		kill(service, SIGKILL);
	if (service)
		waitpid(service, NULL, 0);
	service = 0;
}

static void start_services(bool nm, bool networkd)
{
	int fds[2];
	char c;

	stop_services();
	assert_int_equal(pipe(fds), 0);
	service = fork();
	if (!service)
		serve(nm, networkd, fds[1]);
	close(fds[1]);
	assert_int_equal(read(fds[0], &c, 1), 1);
	close(fds[0]);
}

/* The bus -------------------------------------------------------------------- */

static void write_file(const char *name, mode_t mode, const char *text)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	chmod(path, mode);
}

static int setup(void **state)
{
	char text[512], path[128];
	struct stat st;
	int tries = 500;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(text, sizeof(text), "<busconfig><type>custom</type><listen>unix:path=%s/bus</listen>"
		 "<policy context='default'><allow user='*'/><allow own='*'/><allow send_type='*'/><allow receive_type='*'/><allow eavesdrop='true'/></policy></busconfig>",
		 dir);
	write_file("config", 0600, text);
	write_file("ifquery", 0755, "#!/bin/sh\n[ \"$2\" != slow0 ] || sleep 1000\n"
		   "[ \"$1\" = --state ] && [ \"$2\" = if0 ] && echo if0=if0\n");
	snprintf(text, sizeof(text), "%s:%s", dir, getenv("PATH"));
	setenv("PATH", text, 1);
	snprintf(text, sizeof(text), "unix:path=%s/bus", dir);
	setenv("DBUS_SYSTEM_BUS_ADDRESS", text, 1);
	snprintf(path, sizeof(path), "--config-file=%s/config", dir);
	daemon_pid = fork();
	if (!daemon_pid) {
		if (!freopen("/dev/null", "w", stderr))
			_exit(127);
		execlp("dbus-daemon", "dbus-daemon", path, "--nofork", "--nopidfile", NULL);
		_exit(127);
	}
	snprintf(path, sizeof(path), "%s/bus", dir);
	while (stat(path, &st) && --tries && waitpid(daemon_pid, NULL, WNOHANG) != daemon_pid)
		usleep(10000);
	if (stat(path, &st))
		daemon_pid = 0;
	assert_int_equal(iommucfg_new(&ctx, NULL), 0);
	return 0;
}

static int teardown(void **state)
{
	char command[128];

	(void)state;
	stop_services();
	if (daemon_pid)
		kill(daemon_pid, SIGTERM);
	if (daemon_pid)
		waitpid(daemon_pid, NULL, 0);
	iommucfg_unref(ctx);
	snprintf(command, sizeof(command), "rm -r %s", dir);
	return system(command);
}

static void expect(const char *name, int index, enum ic_manager manager)
{
	struct ic_managers *m = ic_managers_open(ctx);

	assert_non_null(m);
	assert_int_equal(ic_managers_ask(m, name, index), manager);
	ic_managers_close(m);
}

static void test_both(void **state)
{
	(void)state;
	if (!daemon_pid)
		skip();
	start_services(true, true);
	expect("nm0", 1, IC_MANAGER_NETWORKMANAGER);
	expect("nm1", 1, IC_MANAGER_NONE);
	expect("nm1", 5, IC_MANAGER_NETWORKD);
	expect("eth0", 5, IC_MANAGER_NETWORKD);
	expect("eth0", 6, IC_MANAGER_NONE);
	expect("eth0", 7, IC_MANAGER_NONE);
	expect("if0", 7, IC_MANAGER_IFUPDOWN);
	/* Neither says that it has it, but one cannot tell. */
	expect("odd", 7, IC_MANAGER_UNKNOWN);
	expect("odd", 5, IC_MANAGER_NETWORKD);
}

static void test_one(void **state)
{
	(void)state;
	if (!daemon_pid)
		skip();
	start_services(true, false);
	expect("nm0", 5, IC_MANAGER_NETWORKMANAGER);
	expect("eth0", 5, IC_MANAGER_NONE);
	start_services(false, true);
	expect("nm0", 1, IC_MANAGER_NONE);
	expect("nm0", 5, IC_MANAGER_NETWORKD);
	stop_services();
	expect("nm0", 5, IC_MANAGER_NONE);
}

static void test_mute(void **state)
{
	struct ic_managers *m;

	(void)state;
	if (!daemon_pid)
		skip();
	start_services(true, true);
	m = ic_managers_open(ctx);
	assert_non_null(m);
	assert_int_equal(ic_managers_ask(m, "mute", 7), IC_MANAGER_UNKNOWN);
	/* It is not waited for once more. */
	assert_int_equal(ic_managers_ask(m, "nm1", 7), IC_MANAGER_UNKNOWN);
	assert_int_equal(ic_managers_ask(m, "nm1", 5), IC_MANAGER_NETWORKD);
	ic_managers_close(m);
}

/* What hangs is not waited for without end, nor asked once more. */
static void test_slow_ifquery(void **state)
{
	struct ic_managers *m = ic_managers_open(ctx);

	(void)state;
	assert_non_null(m);
	assert_int_equal(ic_managers_ask(m, "slow0", 7), IC_MANAGER_UNKNOWN);
	assert_int_equal(ic_managers_ask(m, "if0", 7), IC_MANAGER_UNKNOWN);
	ic_managers_close(m);
	expect("if0", 7, IC_MANAGER_IFUPDOWN);
}

/* As in an initramfs: what runs there has files in /run. */
static void test_no_bus(void **state)
{
	char path[128];
	int fd = ctx->rootfd;

	(void)state;
	setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent", 1);
	ctx->rootfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	expect("eth0", 5, IC_MANAGER_NONE);
	expect("if0", 5, IC_MANAGER_IFUPDOWN);
	snprintf(path, sizeof(path), "%s/run", dir);
	mkdir(path, 0755);
	strcat(path, "/systemd");
	mkdir(path, 0755);
	strcat(path, "/netif");
	mkdir(path, 0755);
	expect("eth0", 5, IC_MANAGER_NONE);
	write_file("run/systemd/netif/state", 0644, "");
	expect("eth0", 5, IC_MANAGER_UNKNOWN);
	close(ctx->rootfd);
	ctx->rootfd = fd;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_both), cmocka_unit_test(test_one),
		cmocka_unit_test(test_mute), cmocka_unit_test(test_slow_ifquery),
		cmocka_unit_test(test_no_bus),
	};

	return cmocka_run_group_tests_name("manager", tests, setup, teardown);
}

#else

static void test_none(void **state)
{
	(void)state;
	skip();
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_none) };

	return cmocka_run_group_tests_name("manager", tests, NULL, NULL);
}

#endif
