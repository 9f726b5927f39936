/* SPDX-License-Identifier: GPL-2.0 */
/* The texts of --help, apart from the options that every command has. */
#ifndef IOMMUCFG_HELP_H
#define IOMMUCFG_HELP_H

/* @what: what each line is about */
#define HELP_TABLE_OF(what, list) \
	"  -l, --list               " list "\n" \
	"      --noheadings         no headings\n" \
	"  -o, --output COLUMNS     which columns; +COLUMNS adds to the usual ones\n" \
	"      --raw                for programs: a line for each " what ", fields by one\n" \
	"                           space, \"-\" if empty, spaces in a field as \\x20\n"

#define HELP_TABLE(what) HELP_TABLE_OF(what, "a line for each " what ", not a tree")

#define HELP_FILES \
	"Without FILE the policy is /etc/iommucfg.conf and /etc/iommucfg.d/*.conf; FILE -\n" \
	"is standard input. See iommucfg.conf(5).\n\n"

#define HELP_GUARDS \
	"      --allow-in-use WORDS let these go away for a moment: net, default-route,\n" \
	"                           block, mounted (data is lost), other; see iommucfg(8)\n" \
	"      --confirm-timeout S  undo the change after S seconds unless confirmed\n" \
	"                           (90 at a terminal if a disk or interface goes away)\n" \
	"      --disruption WORD    the most that may happen: none (in place only), pause\n" \
	"                           (drivers stay bound), rebind (the default)\n" \
	"      --skip-in-use        leave out groups that are in use (then exit status 2)\n"

#define HELP_DRY \
	"  -n, --dry-run            only the plan, for which root is not needed\n"

#define HELP_TARGET \
	"TARGET is the number of a group; a device (\"01:00.0\" is \"0000:01:00.0\"), an\n" \
	"interface, a disk, a path in /dev or /sys: its group; or \"driver:NAME\" or a\n" \
	"shell glob: all groups with such a device.\n\n"

#define HELP_STRICT \
	"      --strict             a rule that no device meets is an error\n"

#define HELP_RUN \
	HELP_GUARDS \
	"      --check-command PATH undo the change unless this program says it is good\n" \
	"      --detach             return after the change; print the transaction's name\n" \
	"      --name NAME          name of the transaction\n" \
	"      --settle S           wait up to S seconds for devices to come back (10)\n" \
	"      --yes                do not ask before the change\n"

static const char help_show[] =
	"Shows groups with their types, devices, drivers, names, and what is in use.\n\n"
	HELP_TARGET
	"  -a, --all                bridges as well that have no driver that uses DMA\n"
	HELP_TABLE("device")
	"Columns: NAME GROUP TYPE DEVICE BUS DRIVER REQUIRED PATH IDS CLASS VENDOR MODEL\n"
	"         DESCRIPTION REMOVABLE NAMES IN-USE\n";
static const char help_help[] =
	"The same as \"iommucfg COMMAND --help\".\n";
static const char help_version[] =
	"The same as \"iommucfg --version\".\n";
static const char help_check[] =
	"Reads the policy alone and says every error in it. Needs no IOMMU.\n"
	"Warns where the running kernel's initramfs image is older than the policy.\n" HELP_FILES
	"      --data-only          a policy that runs a program is an error\n";
static const char help_plan[] =
	"Says what would change, why, how (in place, by pausing drivers or by\n"
	"unbinding them), and what is in use. Changes nothing. Exit status 2 if there is\n"
	"something to change.\n" HELP_FILES
	HELP_GUARDS
	HELP_STRICT
	"      --save FILE          write the plan to FILE, for \"apply --plan FILE\"\n"
	HELP_TABLE("device")
	"Columns: NAME GROUP FROM TO HOW DEVICE BUS DRIVER DESCRIPTION IN-USE RULE WHERE\n";
static const char help_assert[] =
	"Exit status 0 if all is as the policy says, 2 if not.\n" HELP_FILES HELP_GUARDS
	HELP_STRICT;
static const char help_apply[] =
	"Carries out the plan in one transaction, or changes nothing.\n" HELP_FILES HELP_RUN
	HELP_DRY
	HELP_STRICT
	"      --plan FILE          what \"plan --save FILE\" wrote, if still the same\n"
	"      --only TARGET        only the groups of a target as \"show\" takes it\n"
	"      --boot               at boot: ask nothing, leave out what is in use, count\n"
	"                           the tries of a policy that no boot has confirmed\n"
	"      --initramfs[=LIMIT]  with --boot, before root is there: goes back unless\n"
	"                           confirmed later; waits at most LIMIT seconds (180)\n"
	"      --tries N            so many boots may try it (3)\n";
static const char help_set[] =
	"Changes groups by hand; this does not survive a reboot. TYPE is identity, DMA,\n"
	"DMA-FQ or auto, in any case.\n\n" HELP_TARGET HELP_RUN HELP_DRY;
static const char help_confirm[] =
	"Keeps an unconfirmed change. NAME may be left out when there is one transaction.\n\n"
	"      --boot               this boot went well: keep the policy that it tried\n"
	"      --install FILE       then rename FILE.new to FILE, and have devices to\n"
	"                           come go by the system's policy if all groups do;\n"
	"                           without NAME that alone\n";
static const char help_rollback[] =
	"Undoes a change that is unconfirmed or has failed. NAME, of its transaction, may\n"
	"be left out when there is one. A change that is final is undone by\n"
	"\"iommucfg undo\", or together with all later ones by --to.\n\n"
	"      --forget             only remove a transaction that is over\n"
	"      --to ENTRY           change back to the types from before an entry of\n"
	"                           \"iommucfg history\", by a plan of its own\n"
	"\nBy NAME, interfaces and open devices may go away, and more by --allow-in-use.\n"
	"The others of these go with --to only:\n"
	HELP_RUN HELP_DRY;
static const char help_undo[] =
	"While a change is unconfirmed: undoes it, like rollback. Else takes back the\n"
	"newest entry of \"iommucfg history\" that changed something and is still in force;\n"
	"again: the one before it. With ENTRY that one alone, unless a later one changed\n"
	"one of its groups.\n\n" HELP_RUN HELP_DRY;
static const char help_extend[] =
	"Starts the countdown of an unconfirmed change anew, with SECONDS.\n";
static const char help_clean[] =
	"Removes transactions that are over, that a process has left, or that were made\n"
	"by hand more than 10 minutes ago. With NAME that one, at once; the way back of a\n"
	"committed one goes with it. Changes no group.\n";
static const char help_metrics[] =
	"Prints counts of groups, devices and transactions in the text format that\n"
	"node_exporter's textfile collector reads.\n\n"
	"  -o, --output FILE        write FILE, as a whole or not at all;\n"
	"                           - is standard output\n";
static const char help_dump[] =
	"Saves what this command reads of the machine as a tar file, to be unpacked and\n"
	"looked at with --root. It has no serial numbers, MAC and network addresses, or\n"
	"names of hosts.\n\n"
	"  -o, --output FILE        write FILE, as a whole or not at all\n"
	"      --private            addresses and names of hosts as well\n";
static const char help_status[] =
	"Shows the transactions that are there, with their groups and reports.\n\n"
	HELP_TABLE("group")
	"Columns: NAME STATE REMAINING AGE PROGRESS PID UID COMMAND GROUP TYPE CURRENT\n"
	"         STATUS METHOD\n";
static const char help_standing[] =
	"Shows the kernel's standing rules, which apply fills from the system's policy,\n"
	"and the devices that came since and did not get what a rule says.\n\n"
	HELP_TABLE_OF("rule", "a line for each rule, as without it")
	"Columns: NAME BUS DEVICE MODALIAS REMOVABLE PRIORITY ORDER TYPE HITS\n";
static const char help_save[] =
	"Prints the current types as a policy that matches devices by where and what they\n"
	"are, not by numbers that change at a reboot.\n\n"
	"  -o, --output FILE        write FILE, as a whole or not at all;\n"
	"                           - is standard output\n";
static const char help_monitor[] =
	"Prints a line for each device whose group was changed, until interrupted.\n";

static const char help_fleet[] =
	"Rolls a policy over many hosts, and shows how far that is. Runs\n"
	"iommucfg-fleet-cli, of the package iommucfg-fleet:\n\n"
	"  status [POOL]            what becomes of the rollout\n"
	"  plan POLICY              what hosts would do with a policy\n"
	"  start POLICY             roll it out over the hosts of the pool\n"
	"  pause, halt, resume      take no more hosts (halt: the policy is wrong); go on\n"
	"  rollback                 a new rollout, of the policy before this one\n"
	"  forget HOST              give back the slot of a host that is off\n"
	"  history, drift, report   what was done, what is not as it should be, as HTML\n\n"
	"\"iommucfg fleet --help\" has their options; see iommucfg-fleet(8).\n";

static const char help_history[] =
	"Shows what apply, set, confirm, rollback and undo did, the oldest first: all, or\n"
	"the newest N entries. \"iommucfg undo ID\" takes back one entry,\n"
	"\"iommucfg rollback --to ID\" that and all later ones.\n\n"
	HELP_TABLE("group")
	"Columns: NAME ID TIME USER ACTION RESULT EXIT TRANSACTION COMMAND GROUP FROM TO\n"
	"         DEVICES\n";

#endif
