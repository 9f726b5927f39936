// SPDX-License-Identifier: GPL-2.0
/*
 * What is on interfaces is put back when they come back: in a network namespace made for it,
 * where pairs of virtual interfaces are what the devices of a small tree of sysfs have.
 * Needs root, and ip(8).
 */
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include "unit.h"
#include "net-snapshot.h"

static bool able;
static char tree_dir[] = "/tmp/iommucfg-network.XXXXXX";
static struct iommucfg *ctx;
static struct iommucfg_topology *topology;

static int sh(const char *format, ...) __attribute__((format(printf, 1, 2)));
static int sh(const char *format, ...)
{
	static const char functions[] =
		/* probe NAME DEVICE PORT: its interface comes up with that name, and a neighbour */
		"probe() {\n"
		"	ip link add $1 type veth peer name p$2$3 || return\n"
		"	ip link set p$2$3 up\n"
		"	mkdir -p $T/devices/pci0000:00/0000:00:0$2.0/net/$1\n"
		"	echo $3 >$T/devices/pci0000:00/0000:00:0$2.0/net/$1/dev_port\n"
		"	ln -s ../../devices/pci0000:00/0000:00:0$2.0/net/$1 $T/class/net/$1\n"
		"}\n"
		"release() { ip link del $1; rm -rf $(readlink -f $T/class/net/$1) $T/class/net/$1; }\n"
		"exec 2>&1\nT=%s\n";
	char *command, *script, *head;
	va_list args;
	int ret;

	va_start(args, format);
	ret = vasprintf(&command, format, args);
	va_end(args);
	assert_true(ret >= 0);
	assert_true(asprintf(&head, functions, tree_dir) >= 0);
	assert_true(asprintf(&script, "%s%s", head, command) >= 0);
	ret = system(script);
	free(head);
	free(script);
	free(command);
	return ret;
}

/* Output of a command, to be released. */
static char *text_from(const char *command)
{
	FILE *f = popen(command, "r");
	char *text = NULL;
	size_t size = 0;

	assert_non_null(f);
	if (getdelim(&text, &size, '\0', f) < 0) {
		free(text);
		text = strdup("");
	}
	pclose(f);
	return text;
}

static int setup(void **state)
{
	(void)state;
	able = !geteuid() && !unshare(CLONE_NEWNET | CLONE_NEWNS) && mkdtemp(tree_dir) &&
	       !sh("mkdir -p $T/class/net $T/kernel/iommu_groups/5/devices $T/kernel/iommu_groups/6/devices &&"
		   "for i in 1 2 3; do mkdir -p $T/devices/pci0000:00/0000:00:0$i.0 $T/bus/pci/drivers/x || exit 1;\n"
		   "ln -s ../../../bus/pci/drivers/x $T/devices/pci0000:00/0000:00:0$i.0/driver;\n"
		   "ln -s ../../../bus/pci $T/devices/pci0000:00/0000:00:0$i.0/subsystem; done\n"
		   "for i in 1:5 2:5 3:6; do ln -s ../../../../devices/pci0000:00/0000:00:0${i%%:*}.0 $T/kernel/iommu_groups/${i#*:}/devices/; done\n"
		   "echo DMA >$T/kernel/iommu_groups/5/type; echo DMA >$T/kernel/iommu_groups/6/type\n"
		   "ip link set lo up");
	if (!able)
		return 0;
	unsetenv("SSH_CONNECTION");
	setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent", 1);
	setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", 1);
	assert_int_equal(iommucfg_new(&ctx, NULL), 0);
	close(ctx->sysfd);
	ctx->sysfd = open(tree_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(ctx->sysfd >= 0);
	assert_int_equal(iommucfg_topology_scan(ctx, &topology, NULL), 0);
	assert_int_equal(topology->num_groups, 2);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	iommucfg_topology_unref(topology);
	iommucfg_unref(ctx);
	if (able)
		sh("rm -rf $T");
	return 0;
}

/* Each test begins and ends without interfaces. */
static void begin(void)
{
	if (!able)
		skip();
	sh("for i in $(ls $T/class/net); do release $i; done;\n"
	   "for i in $(ip -o link | cut -d: -f2 | cut -d@ -f1); do [ $i = lo ] || ip link del $i; done 2>/dev/null;\n"
	   "for f in -4 -6; do ip $f route flush table 100; done 2>/dev/null");
}

/* Of group 5. */
static struct iommucfg_network *take(void)
{
	struct iommucfg_group *group = iommucfg_topology_find_group(topology, 5);
	struct iommucfg_network *s;

	assert_non_null(group);
	assert_int_equal(ic_net_snapshot_take(topology, &group, 1, &s), 0);
	assert_non_null(s);
	return s;
}

/* What it is after it was written and read. */
static struct iommucfg_network *reread(struct iommucfg_network *s)
{
	struct json_object *o = ic_net_snapshot_to_json(s), *again;
	struct iommucfg_network *copy;
	const char *text = json_object_to_json_string(o);

	again = json_tokener_parse(text);
	assert_int_equal(ic_net_snapshot_from_json(ctx, again, &copy), 0);
	json_object_put(again);
	again = ic_net_snapshot_to_json(copy);
	assert_string_equal(json_object_to_json_string(again), text);
	json_object_put(again);
	json_object_put(o);
	iommucfg_network_unref(s);
	return copy;
}

/* Passes until nothing more can be done; on how many interfaces something is missing then. */
static size_t put_back(struct iommucfg_network *s, bool restores, struct iommucfg_problems *problems)
{
	struct ic_net now;
	int tries = 50;
	size_t n;

	for (;;) {
		assert_int_equal(ic_net_read(ctx, &now), 0);
		n = ic_net_compare(s, &now);
		if (!n || !restores || !--tries)
			break;
		/* A tentative address passes by. */
		if (!ic_net_restore(s, &now, false))
			usleep(50000);
		ic_net_clear(&now);
	}
	if (problems)
		ic_net_tell(s, &now, false, problems);
	ic_net_clear(&now);
	return n;
}

/* What ip(8) has to say of an interface, but not what differs, or comes when the kernel pleases. */
#define SHOW(name) \
	"{ ip -d addr show dev " name "; ip route show table all dev " name "; ip -6 route show table all dev " name \
	"; } | sed -E 's/^[0-9]+: //; s/@[^:]*//; s#link/ether.*##; s/\\b[ep][0-9]+\\b/IF/g; s/valid_lft [0-9]+sec.*/lft/; s/tentative//' |" \
	"grep -v -e fe80 -e ff00 -e 'state' -e multicast -e 'proto kernel' | sed 's/ *$//' | sort"

static void test_addresses(void **state)
{
	struct iommucfg_network *s;
	char *before, *after;

	(void)state;
	begin();
	assert_int_equal(sh("set -e; probe e0 1 0; ip link set e0 mtu 1400 up\n"
			    "ip addr add 10.0.0.1/24 brd + dev e0; ip addr add 10.0.0.2/24 dev e0 label e0:x\n"
			    "ip addr add 10.1.0.1 peer 10.1.0.2/32 dev e0\n"
			    "ip addr add 10.2.0.1/24 dev e0 metric 77 noprefixroute\n"
			    "ip addr add 10.3.0.1/24 dev e0 valid_lft 900 preferred_lft 600\n"
			    "ip addr add fd00::1/64 dev e0 nodad; ip addr add fd01::1/64 dev e0 valid_lft 900 preferred_lft 600\n"), 0);
	before = text_from(SHOW("e0"));
	assert_non_null(strstr(before, "10.3.0.1"));
	s = reread(take());
	assert_int_equal(s->net.addresses.n, 7);
	assert_int_equal(put_back(s, false, NULL), 0);
	sh("release e0; probe e5 1 0");
	assert_int_equal(put_back(s, false, NULL), 1);
	assert_int_equal(put_back(s, true, NULL), 0);
	after = text_from(SHOW("e5"));
	assert_string_equal(before, after);
	/* The lifetime goes on where it was. */
	assert_int_equal(sh("ip addr show dev e5 | grep -A1 10.3.0.1 | grep -qE 'valid_lft (8[0-9][0-9]|900)sec'"), 0);
	free(before);
	free(after);
	iommucfg_network_unref(s);
}

static void test_routes(void **state)
{
	struct iommucfg_network *s;
	char *before, *after;

	(void)state;
	begin();
	assert_int_equal(sh("set -e; probe e0 1 0; probe e1 3 0; for i in 0 1; do ip link set e$i up; ip addr add 10.0.$i.1/24 dev e$i;\n"
			    "ip addr add fd00:$i::1/64 dev e$i nodad; done\n"
			    "ip route add default via 10.0.0.254; ip route add default via 10.0.0.253 metric 9\n"
			    "ip route add 192.0.2.0/24 via 10.0.0.254 table 100 src 10.0.0.1 mtu 1300\n"
			    "ip route add 198.51.100.0/24 dev e0 scope link; ip route add 203.0.113.0/24 via 10.9.9.9 dev e0 onlink\n"
			    "ip route add 10.50.0.0/16 nexthop via 10.0.0.254 weight 3 nexthop via 10.0.1.254\n"
			    "ip -6 route add default via fd00:0::fe; ip -6 route add 2001:db8::/32 via fd00:0::fe table 100\n"
			    "ip -6 route add 2001:db9::/32 nexthop via fd00:0::fe nexthop via fd00:1::fe\n"
			    "ip -6 route add fd00:77::/64 dev e0 src fd00:0::1\n"
			    /* Not these. */
			    "ip route add 10.60.0.0/16 via 10.0.0.254 proto bird; ip route add 10.61.0.0/16 via 10.0.0.254 proto ra\n"
			    "ip route add 10.62.0.0/16 via 10.0.0.254 proto redirect; ip -6 route add fd00:61::/64 via fd00:0::fe proto ra\n"
			    "ip route add 10.63.0.0/16 via 10.0.1.254\n"), 0);
	s = reread(take());
	assert_int_equal(s->net.routes.n, 10);
	sh("ip route del 10.60.0.0/16; ip route del 10.61.0.0/16; ip route del 10.62.0.0/16; ip -6 route del fd00:61::/64");
	assert_int_equal(put_back(s, false, NULL), 0);
	before = text_from("{ ip route show table all; ip -6 route show table all; } | grep -v -e fe80 -e ff00 -e multicast -e 'proto kernel' | sed 's/linkdown//; s/ *$//' | sort");
	sh("release e0");
	assert_int_equal(put_back(s, true, NULL), 1);
	sh("probe e0 1 0");
	assert_int_equal(put_back(s, true, NULL), 0);
	after = text_from("{ ip route show table all; ip -6 route show table all; } | grep -v -e fe80 -e ff00 -e multicast -e 'proto kernel' | sed 's/linkdown//; s/ *$//' | sort");
	assert_string_equal(before, after);
	free(before);
	free(after);
	iommucfg_network_unref(s);
}

/* What is by itself there again, or not to be. */
static void test_does_not_count(void **state)
{
	struct iommucfg_network *s;

	(void)state;
	begin();
	assert_int_equal(sh("set -e; probe e0 1 0; ip link set e0 up; ip addr add 169.254.7.7/16 dev e0\n"
			    "ip addr add 10.0.0.1/24 dev e0 valid_lft 1 preferred_lft 1\n"
			    "ip addr add fe80::77/64 dev e0 nodad; ip route add 10.60.0.0/16 dev e0 proto ospf\n"), 0);
	s = take();
	assert_int_equal(s->net.addresses.n, 1);
	assert_int_equal(s->net.routes.n, 0);
	sleep(2);
	/* Its time was over in any case. */
	assert_int_equal(put_back(s, false, NULL), 0);
	iommucfg_network_unref(s);
}

static void test_stacked(void **state)
{
	struct iommucfg_network *s;
	bool has_vlan;

	(void)state;
	begin();
	assert_int_equal(sh("set -e; probe e0 1 0; ip link add br0 type bridge; ip link set br0 up; ip link set e0 master br0 up\n"
			    "ip addr add 10.0.0.1/24 dev br0; ip route add default via 10.0.0.254\n"
			    "probe e1 2 0; ip link set e1 up; ip link add link e1 name mv0 address 02:00:00:00:00:77 type macvlan mode bridge; ip link set mv0 up\n"
			    "ip addr add 10.8.0.1/24 dev mv0; ip route add 10.9.0.0/16 via 10.8.0.2 table 100\n"), 0);
	has_vlan = !sh("ip link add link e1 name e1.5 type vlan id 5 && ip link set e1.5 mtu 1300 up && ip addr add 10.5.0.1/24 dev e1.5");
	if (!has_vlan)
		print_message("# no VLANs here\n");
	s = reread(take());
	assert_int_equal(s->net.num_links, 4 + has_vlan);
	assert_int_equal(put_back(s, false, NULL), 0);
	sh("release e0; release e1; probe e0 1 0; probe e1 2 0");
	assert_int_equal(put_back(s, true, NULL), 0);
	assert_int_equal(sh("ip link show dev e0 | grep -q 'master br0' && ip -d link show dev mv0 | grep -A1 02:00:00:00:00:77 | grep -q 'macvlan mode bridge' &&"
			    "ip route show table 100 | grep -q 'dev mv0' && ip addr show dev mv0 | grep -q 10.8.0.1"), 0);
	if (has_vlan)
		assert_int_equal(sh("ip -d link show dev e1.5 | grep -q 'id 5' && ip addr show dev e1.5 | grep -q 10.5.0.1"), 0);
	iommucfg_network_unref(s);
}

static void test_bond(void **state)
{
	struct iommucfg_network *s;

	(void)state;
	begin();
	if (sh("ip link add bond0 type bond mode active-backup miimon 100 && ip link set bond0 up")) {
		print_message("# no bonds here\n");
		skip();
	}
	assert_int_equal(sh("set -e; probe e0 1 0; ip link set e0 master bond0; ip link set e0 up; ip addr add 10.0.0.1/24 dev bond0"), 0);
	s = take();
	/* One that came up before must go down to get in. */
	sh("release e0; probe e3 1 0; ip link set e3 up");
	assert_int_equal(put_back(s, true, NULL), 0);
	assert_int_equal(sh("ip link show dev e3 | grep -q 'master bond0'"), 0);
	iommucfg_network_unref(s);
}

static bool has_problem(struct iommucfg_problems *problems, const char *code, const char *text)
{
	size_t i;

	for (i = 0; i < iommucfg_problems_count(problems); i++)
		if (!strcmp(iommucfg_problem_code(iommucfg_problems_get(problems, i)), code) &&
		    strstr(iommucfg_problem_message(iommucfg_problems_get(problems, i)), text))
			return true;
	return false;
}

/* Names that are swapped, and two ports of one device: what was on them goes with the place. */
static void test_swapped(void **state)
{
	struct iommucfg_problems *problems = iommucfg_problems_new();
	struct iommucfg_network *s;
	char *text;

	(void)state;
	begin();
	assert_int_equal(sh("set -e; probe e0 1 0; probe e1 2 0; probe e2 2 1; for i in 0 1 2; do ip link set e$i up; ip addr add 10.0.$i.1/24 dev e$i; done"), 0);
	s = take();
	sh("release e0; release e1; release e2; probe e2 2 0; probe e0 2 1; probe e1 1 0");
	assert_int_equal(put_back(s, true, problems), 0);
	assert_int_equal(sh("ip addr show dev e1 | grep -q 10.0.0.1 && ip addr show dev e2 | grep -q 10.0.1.1 && ip addr show dev e0 | grep -q 10.0.2.1"), 0);
	text = text_of(problems);
	assert_true(has_problem(problems, "name-changed", "e0 is e1 now, and another one is e0"));
	assert_true(has_problem(problems, "name-changed", "e1 is e2 now"));
	assert_false(has_problem(problems, "address-missing", ""));
	free(text);
	iommucfg_problems_unref(problems);
	iommucfg_network_unref(s);
}

static void test_told(void **state)
{
	struct iommucfg_problems *problems = iommucfg_problems_new();
	struct iommucfg_network *s;

	(void)state;
	begin();
	assert_int_equal(sh("set -e; probe e0 1 0; ip link add br0 type bridge; ip link set br0 up; ip link set e0 master br0; ip link set e0 up mtu 1400\n"
			    "probe e1 2 0; ip link set e1 up; ip addr add 10.0.0.1/24 dev e1; ip route add default via 10.0.0.254\n"), 0);
	s = take();
	/* It is another one's to bring these back. */
	for (size_t i = 0; i < s->net.num_links; i++)
		s->net.links[i].manager = IC_MANAGER_NETWORKD;
	sh("release e0; release e1; probe e1 2 0; probe e0 1 0; probe e9 2 1");
	/* The bridge has the MTU of its members. */
	assert_int_equal(put_back(s, true, problems), 3);
	assert_true(has_problem(problems, "address-missing", "e1 has not what it had before the change: up, 10.0.0.1/24, route default via 10.0.0.254; systemd-networkd"));
	assert_true(has_problem(problems, "address-missing", "e0 has not what it had before the change: its place in br0, an MTU of 1400, up"));
	assert_true(has_problem(problems, "member-missing", "br0 is without its member e0, and has no other one"));
	assert_true(has_problem(problems, "left-namespace", "e9 of 0000:00:02.0"));
	assert_false(iommucfg_problems_at_least(problems, IOMMUCFG_REFUSED));
	assert_string_equal(iommucfg_problem_fix(iommucfg_problems_get(problems, 0)), "networkctl reconfigure e0");
	iommucfg_problems_unref(problems);
	iommucfg_network_unref(s);
}

/* After a change went back nothing else brings it back: where a manager has not, we do. */
static void test_manager_late(void **state)
{
	const struct ic_net_limits limits = { .own = 20, .manager = 60 };
	struct iommucfg_problems *problems = iommucfg_problems_new();
	struct iommucfg_network *s;
	int tries = 50;

	(void)state;
	begin();
	assert_int_equal(sh("set -e; probe e0 1 0; ip link set e0 up mtu 1400; ip addr add 10.0.0.1/24 dev e0; ip addr add fd00::1/64 dev e0\n"
			    "ip link add link e0 name v0 type macvlan mode bridge; ip link set v0 up; ip route add default via 10.0.0.254\n"), 0);
	s = take();
	for (size_t i = 0; i < s->net.num_links; i++)
		s->net.links[i].manager = i ? IC_MANAGER_NETWORKD : IC_MANAGER_UNKNOWN;
	sh("release e0; probe e0 1 0");
	assert_int_equal(ic_net_settle(s, 59, &limits, false, problems), IC_NET_AGAIN);
	/* A change that may yet go back leaves it to the manager; so does one that does not wait. */
	assert_int_equal(ic_net_settle(s, 60, &limits, true, problems), IC_NET_VITAL);
	assert_int_equal(ic_net_settle(s, 0, &(struct ic_net_limits){ 0 }, false, problems), IC_NET_DIFFERS);
	assert_int_equal(sh("ip addr show dev e0 | grep -q 10.0.0.1"), 256);
	while (ic_net_settle(s, 60, &limits, false, problems) == IC_NET_AGAIN && --tries)
		usleep(50000);
	assert_int_equal(sh("ip addr show dev e0 | grep -q 10.0.0.1 && ip route | grep -q default && ip link show v0 | grep -q UP"), 0);
	assert_int_equal(put_back(s, false, NULL), 0);
	/* What cannot be put back is not waited for without end. */
	sh("release e0");
	assert_int_equal(ic_net_settle(s, 79, &limits, false, problems), IC_NET_AGAIN);
	assert_int_equal(ic_net_settle(s, 80, &limits, false, problems), IC_NET_DIFFERS);
	iommucfg_problems_unref(problems);
	iommucfg_network_unref(s);
}

/* With the default route it is a reason to go back. */
static void test_vital(void **state)
{
	struct iommucfg_problems *problems = iommucfg_problems_new();
	struct iommucfg_network *s;
	struct ic_net now;
	size_t i;

	(void)state;
	begin();
	assert_int_equal(sh("set -e; probe e0 1 0; probe e1 2 0; for i in 0 1; do ip link set e$i up; ip addr add 10.0.$i.1/24 dev e$i; done\n"
			    "ip route add default via 10.0.0.254\n"), 0);
	s = take();
	for (i = 0; i < s->net.num_links; i++)
		assert_int_equal(s->net.links[i].vital, !strcmp(s->net.links[i].name, "e0"));
	sh("ip addr del 10.0.0.1/24 dev e0; ip addr del 10.0.1.1/24 dev e1");
	assert_int_equal(ic_net_read(ctx, &now), 0);
	assert_int_equal(ic_net_compare(s, &now), 2);
	ic_net_tell(s, &now, true, problems);
	assert_int_equal(iommucfg_problems_count(problems), 2);
	for (i = 0; i < 2; i++)
		assert_int_equal(iommucfg_problem_severity(iommucfg_problems_get(problems, i)),
				 s->net.links[i].vital ? IOMMUCFG_REFUSED : IOMMUCFG_WARNING);
	ic_net_clear(&now);
	iommucfg_problems_unref(problems);
	iommucfg_network_unref(s);
}

/* What is in a file may be anything. */
static void test_no_snapshot(void **state)
{
	static const char *const texts[] = {
		"{}", "[]", "{\"devices\":[{\"name\":\"a\"}]}", "{\"devices\":[1]}",
		"{\"devices\":[{\"name\":\"a\",\"path\":\"b\"}],\"links\":[{\"message\":\"00\"}]}",
		"{\"devices\":[{\"name\":\"a\",\"path\":\"b\"}],\"routes\":[{\"message\":\"ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff\"}]}",
		"{\"devices\":[{\"name\":\"a\",\"path\":\"b\"}],\"links\":[{\"device\":7,\"message\":\"2000000010000000000000000000000000000000000000000000000000000000\"}]}",
	};
	struct iommucfg_network *s;
	struct json_object *o;
	struct iommucfg *other;
	size_t i;

	(void)state;
	assert_int_equal(iommucfg_new(&other, NULL), 0);
	for (i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		o = json_tokener_parse(texts[i]);
		assert_non_null(o);
		assert_int_equal(ic_net_snapshot_from_json(other, o, &s), -EINVAL);
		json_object_put(o);
	}
	iommucfg_unref(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses), cmocka_unit_test(test_routes),
		cmocka_unit_test(test_does_not_count), cmocka_unit_test(test_stacked),
		cmocka_unit_test(test_bond), cmocka_unit_test(test_swapped),
		cmocka_unit_test(test_told), cmocka_unit_test(test_vital),
		cmocka_unit_test(test_manager_late),
		cmocka_unit_test(test_no_snapshot),
	};

	return cmocka_run_group_tests_name("network", tests, setup, teardown);
}
