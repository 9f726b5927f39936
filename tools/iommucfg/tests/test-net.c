// SPDX-License-Identifier: GPL-2.0
/*
 * What netlink says of routes: in a network namespace of its own, with pairs of
 * virtual interfaces. Needs root, sysfs to mount, and ip(8).
 */
#include <errno.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include "unit.h"
#include "netinfo.h"

static bool able;

static int sh(const char *command)
{
	return system(command);
}

/* Interfaces a0 to a3, each with an address and a neighbour. */
static int setup(void **state)
{
	static const char script[] =
		"mount -t sysfs none /sys && ip link set lo up && for i in 0 1 2 3; do\n"
		"ip link add a$i type veth peer name b$i && ip link set a$i up && ip link set b$i up &&\n"
		"ip addr add 10.0.$i.1/24 dev a$i && ip -6 addr add fd00:$i::1/64 dev a$i nodad || exit 1\n"
		"done";

	(void)state;
	able = !geteuid() && !unshare(CLONE_NEWNET | CLONE_NEWNS) &&
	       !mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) && !sh(script);
	if (able)
		unsetenv("SSH_CONNECTION");
	return 0;
}

/* The interfaces that are said to carry the default route, "a0 a1", or the ssh peer. */
static void expect(const char *expected, bool peer)
{
	struct iommucfg_topology topology = { 0 };
	char found[512] = "", name[IFNAMSIZ + 1];
	const struct ic_interface *interface;
	struct ic_netinfo *info;
	int i, error;

	assert_int_equal(iommucfg_new(&topology.ctx, NULL), 0);
	info = ic_netinfo_read(&topology);
	assert_non_null(info);
	assert_null(ic_netinfo_unread(info, &error));
	for (i = 0; i < 4; i++) {
		snprintf(name, sizeof(name), "a%d", i);
		interface = ic_netgraph_find(info, name);
		assert_non_null(interface);
		if (peer ? interface->peer : interface->default_route) {
			strcat(found, *found ? " " : "");
			strcat(found, name);
		}
		assert_non_null(ic_netinfo_address(info, name, 1));
	}
	assert_string_equal(found, expected);
	ic_netinfo_free(info);
	iommucfg_unref(topology.ctx);
}

/* With routes that a command adds, and that are gone afterwards. */
static void with(const char *routes, const char *expected)
{
	if (sh(routes)) {
		print_message("# not here: %s\n", routes);
	} else {
		expect(expected, false);
	}
	sh("for f in -4 -6; do ip $f route flush proto static; ip $f route flush table 100;\n"
	   "ip $f rule del prio 5; done 2>/dev/null; ip nexthop flush 2>/dev/null");
}

static void test_none(void **state)
{
	(void)state;
	if (!able)
		skip();
	expect("", false);
	with("ip route add 10.9.0.0/16 via 10.0.0.2 proto static", "");
	/* Nothing goes there. */
	with("ip route add unreachable default proto static", "");
	with("ip route add 224.0.0.0/4 dev a0 proto static", "");
	with("ip -6 route add fc00::/7 via fd00:0::2 proto static", "");
}

static void test_legs(void **state)
{
	(void)state;
	if (!able)
		skip();
	with("ip route add default via 10.0.1.2 proto static", "a1");
	with("ip route add default proto static nexthop via 10.0.1.2 nexthop via 10.0.2.2", "a1 a2");
	with("ip -6 route add default proto static nexthop via fd00:1::2 nexthop via fd00:3::2", "a1 a3");
	with("ip nexthop add id 1 via 10.0.1.2 dev a1 && ip route add default nhid 1 proto static", "a1");
	with("ip nexthop add id 1 via 10.0.1.2 dev a1 && ip nexthop add id 2 via 10.0.3.2 dev a3 &&"
	     "ip nexthop add id 10 group 1/2 && ip route add default nhid 10 proto static", "a1 a3");
	with("ip nexthop add id 1 via fd00:2::2 dev a2 && ip nexthop add id 10 group 1 &&"
	     "ip -6 route add default nhid 10 proto static", "a2");
	/* A gateway of the other family. */
	with("ip route add default via inet6 fd00:2::2 dev a2 proto static", "a2");
}

static void test_tables(void **state)
{
	(void)state;
	if (!able)
		skip();
	with("ip route add default via 10.0.1.2 proto static && ip route add default via 10.0.2.2 table 100 &&"
	     "ip rule add prio 5 from 10.0.2.1 table 100", "a1 a2");
	with("ip -6 route add default via fd00:3::2 table 100", "a3");
	with("ip route add 0.0.0.0/1 via 10.0.1.2 proto static &&"
	     "ip route add 128.0.0.0/1 via 10.0.2.2 proto static", "a1 a2");
	with("ip -6 route add 2000::/3 via fd00:1::2 proto static", "a1");
	with("ip route add 64.0.0.0/2 via 10.0.3.2 proto static", "a3");
}

static void test_stacks(void **state)
{
	(void)state;
	if (!able)
		skip();
	/* A bridge's packets leave by its ports. */
	with("ip link add br0 type bridge && ip link set a1 master br0 && ip link set br0 up &&"
	     "ip addr add 10.7.0.1/24 dev br0 && ip route add default via 10.7.0.2 proto static", "a1");
	sh("ip link del br0");
	/* Those of a tunnel by what leads elsewhere. */
	with("ip tuntap add t0 mode tun && ip link set t0 up && ip addr add 10.8.0.1/24 dev t0 &&"
	     "ip route add default dev t0 proto static && ip route add 192.0.2.1/32 via 10.0.2.2 proto static",
	     "a2");
	sh("ip tuntap del t0 mode tun");
}

static void test_peer(void **state)
{
	(void)state;
	if (!able)
		skip();
	sh("ip route add default via 10.0.1.2 proto static; ip route add 192.0.2.0/24 via 10.0.2.2 proto static");
	setenv("SSH_CONNECTION", "10.0.3.77 50000 10.0.3.1 22", 1);
	expect("a3", true);
	setenv("SSH_CONNECTION", "192.0.2.9 50000 10.0.3.1 22", 1);
	expect("a2", true);
	setenv("SSH_CONNECTION", "::ffff:198.51.100.1 50000 ::ffff:10.0.3.1 22", 1);
	expect("a1", true);
	setenv("SSH_CONNECTION", "fd00:2::9 50000 fd00:2::1 22", 1);
	expect("a2", true);
	/* From this machine it comes over none. */
	setenv("SSH_CONNECTION", "10.0.3.1 50000 10.0.3.1 22", 1);
	expect("", true);
	/* By rules the kernel goes another way than by tables alone. */
	sh("ip route add 203.0.113.0/24 via 10.0.0.2 table 100; ip rule add prio 5 to 203.0.113.0/24 table 100");
	setenv("SSH_CONNECTION", "203.0.113.9 50000 10.0.3.1 22", 1);
	expect("a0", true);
	unsetenv("SSH_CONNECTION");
	expect("", true);
	sh("ip route flush proto static; ip route flush table 100; ip rule del prio 5");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_none), cmocka_unit_test(test_legs),
		cmocka_unit_test(test_tables), cmocka_unit_test(test_stacks),
		cmocka_unit_test(test_peer),
	};

	return cmocka_run_group_tests_name("net", tests, setup, NULL);
}
