/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Automatically generated C representation of iommu_txn automaton
 * For further information about this format, see kernel documentation:
 *   Documentation/trace/rv/deterministic_automata.rst
 */

#define MONITOR_NAME iommu_txn

enum states_iommu_txn {
	staged_iommu_txn,
	committed_iommu_txn,
	committing_iommu_txn,
	failed_iommu_txn,
	removed_iommu_txn,
	rolled_back_iommu_txn,
	rolling_back_iommu_txn,
	unconfirmed_iommu_txn,
	state_max_iommu_txn,
};

#define INVALID_STATE state_max_iommu_txn

enum events_iommu_txn {
	check_iommu_txn,
	commit_iommu_txn,
	confirm_iommu_txn,
	end_committed_iommu_txn,
	end_failed_iommu_txn,
	end_rolled_back_iommu_txn,
	end_staged_iommu_txn,
	end_unconfirmed_iommu_txn,
	rmdir_iommu_txn,
	rollback_iommu_txn,
	timeout_iommu_txn,
	touch_iommu_txn,
	event_max_iommu_txn,
};

struct automaton_iommu_txn {
	char *state_names[state_max_iommu_txn];
	char *event_names[event_max_iommu_txn];
	unsigned char function[state_max_iommu_txn][event_max_iommu_txn];
	unsigned char initial_state;
	bool final_states[state_max_iommu_txn];
};

static const struct automaton_iommu_txn automaton_iommu_txn = {
	.state_names = {
		"staged",
		"committed",
		"committing",
		"failed",
		"removed",
		"rolled_back",
		"rolling_back",
		"unconfirmed",
	},
	.event_names = {
		"check",
		"commit",
		"confirm",
		"end_committed",
		"end_failed",
		"end_rolled_back",
		"end_staged",
		"end_unconfirmed",
		"rmdir",
		"rollback",
		"timeout",
		"touch",
	},
	.function = {
		{
			staged_iommu_txn,
			committing_iommu_txn,
			INVALID_STATE,
			INVALID_STATE,
			INVALID_STATE,
			INVALID_STATE,
			INVALID_STATE,
			INVALID_STATE,
			removed_iommu_txn,
			INVALID_STATE,
			INVALID_STATE,
			INVALID_STATE,
		},
		{
			INVALID_STATE,
			INVALID_STATE,
			INVALID_STATE,
			INVALID_STATE,
			INVALID_STATE,
			INVALID_STATE,
			INVALID_STATE,
			INVALID_STATE,
			removed_iommu_txn,
			rolling_back_iommu_txn,
			INVALID_STATE,
			INVALID_STATE,
		},
		{
			INVALID_STATE,
			INVALID_STATE,
			INVALID_STATE,
			committed_iommu_txn,
			failed_iommu_txn,
			INVALID_STATE,
			staged_iommu_txn,
			unconfirmed_iommu_txn,
			INVALID_STATE,
			INVALID_STATE,
			INVALID_STATE,
			committing_iommu_txn,
		},
		{
			INVALID_STATE,
			INVALID_STATE,
			INVALID_STATE,
			INVALID_STATE,
			INVALID_STATE,
			INVALID_STATE,
			INVALID_STATE,
			INVALID_STATE,
			removed_iommu_txn,
			rolling_back_iommu_txn,
			INVALID_STATE,
			failed_iommu_txn,
		},
		{
			INVALID_STATE,
			INVALID_STATE,
			INVALID_STATE,
			INVALID_STATE,
			INVALID_STATE,
			INVALID_STATE,
			INVALID_STATE,
			INVALID_STATE,
			INVALID_STATE,
			INVALID_STATE,
			INVALID_STATE,
			INVALID_STATE,
		},
		{
			INVALID_STATE,
			INVALID_STATE,
			INVALID_STATE,
			INVALID_STATE,
			INVALID_STATE,
			INVALID_STATE,
			INVALID_STATE,
			INVALID_STATE,
			removed_iommu_txn,
			INVALID_STATE,
			INVALID_STATE,
			INVALID_STATE,
		},
		{
			INVALID_STATE,
			INVALID_STATE,
			INVALID_STATE,
			committed_iommu_txn,
			failed_iommu_txn,
			rolled_back_iommu_txn,
			INVALID_STATE,
			unconfirmed_iommu_txn,
			INVALID_STATE,
			INVALID_STATE,
			INVALID_STATE,
			rolling_back_iommu_txn,
		},
		{
			INVALID_STATE,
			INVALID_STATE,
			committed_iommu_txn,
			INVALID_STATE,
			INVALID_STATE,
			INVALID_STATE,
			INVALID_STATE,
			INVALID_STATE,
			INVALID_STATE,
			rolling_back_iommu_txn,
			rolling_back_iommu_txn,
			INVALID_STATE,
		},
	},
	.initial_state = staged_iommu_txn,
	.final_states = { 0, 0, 0, 0, 1, 0, 0, 0 },
};
