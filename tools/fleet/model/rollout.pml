// SPDX-License-Identifier: GPL-2.0
/*
 * The rollout: two coordinators, HOSTS hosts of which MAX may be changing at once, each
 * with ATTEMPTS attempts. With SLOTS an agent is only what the store sees of it.
 *
 * Coordinators read the keys one after the other, and what they have read may be old when
 * they write. Every process may stop at any point for ever, as a search for wrong states
 * has it: that is a machine that dies. An agent may besides be started anew, or its host
 * be booted anew, before any of its steps. The network of a host flips FLIPS times. With
 * FORGET the first host goes off once while it has a slot, and a person forgets it; it may
 * be back at any time. That it is off is what the person says, and is not checked here.
 *
 * run-model builds it as it is, and with one of these, each of which must fail:
 *   BLIND_GRANT		a grant is written without comparing its revision
 *   BLIND_TAKE			a slot is taken without comparing the rollout's revision
 *   SLOT_LEASE			a silent host loses its slot
 *   OLD_CONNECTION		the proof goes over a connection from before the change
 *   NO_JOURNAL			the journal is written after the commit, not before
 *   RELEASE_HALTED		a grant that "halt" ended counts as one that never began
 *   BLIND_REVOKE		a grant is revoked without comparing the host's status
 *   COUNT_LATER			a failure is counted in a later write than the free slot
 *   FORGET_AT_ONCE		a slot that is forgotten is free while its grant is live
 *   FORGET_DEAF		so is that of a host which was heard again since
 */
#ifndef HOSTS
#define HOSTS 2
#endif
#ifndef MAX
#define MAX 1
#endif
#ifndef ATTEMPTS
#define ATTEMPTS 2
#endif
#ifndef FLIPS
#define FLIPS 1
#endif
#ifndef BOOTS
#define BOOTS 1
#endif
#ifndef MAX_FAILURES
#define MAX_FAILURES 2
#endif

/* The state of a grant. HALTED: by "halt --now", the host may have begun. REVOKED: it had
 * not begun, and never will. */
#define NONE 0
#define LIVE 1
#define HALTED 2
#define REVOKED 3

/* The phase in a host's status. */
#define IDLE 0
#define CHANGING 1
#define DONE 2
#define REVERTED 3

/* The kernel's transaction: types are new in UNCONFIRMED and KEPT. */
#define OLD 0
#define UNCONFIRMED 1
#define KEPT 2

/* The agent's journal. */
#define J_IDLE 0
#define J_BEGIN 1
#define J_APPLY 2
#define J_CONFIRM 3
#define J_END 4

/* The store. */
byte changing[HOSTS];		/* attempt, 0: no slot */
bool ended[HOSTS];
byte failures;
byte grant_attempt[HOSTS], grant_state[HOSTS];
byte status_attempt[HOSTS], status_phase[HOSTS];

/*
 * To compare a revision is to ask whether the key was written since it was read: a bit for
 * each reader, coordinators and agent, instead of numbers that grow. Set where nothing is
 * held, so that states which do not differ are the same.
 */
bool rollout_stale[2] = true;
bool grant_stale[2] = true, status_stale[2] = true;	/* of the host that is looked at */
bool held_stale[HOSTS] = true;				/* the grant that an agent has read */
byte looks_at[2];					/* host + 1 */

#define wrote_rollout	rollout_stale[0] = true; rollout_stale[1] = true
#define wrote_grant(h) \
	held_stale[h] = true; \
	if :: looks_at[0] == h + 1 -> grant_stale[0] = true :: else -> skip fi; \
	if :: looks_at[1] == h + 1 -> grant_stale[1] = true :: else -> skip fi
#define wrote_status(h) \
	if :: looks_at[0] == h + 1 -> status_stale[0] = true :: else -> skip fi; \
	if :: looks_at[1] == h + 1 -> status_stale[1] = true :: else -> skip fi

/* In a slot: a person has forgotten the host, and it has written its status since. */
bool forgotten[HOSTS], heard[HOSTS];

/* The hosts: what outlives the agent. */
byte kernel[HOSTS];
bool file[HOSTS];		/* the policy that the next boot applies is the new one */
byte journal[HOSTS], journal_attempt[HOSTS], journal_end[HOSTS];
byte boots[HOSTS];
bool cut[HOSTS];		/* no connection can be made with the new types */

/* What only the assertions look at. */
byte now_changing;		/* hosts between begin and end, and not off */
byte collected;			/* failures whose slot came back */
byte commits[HOSTS];		/* in this attempt */
bool proven[HOSTS];		/* through a connection from after the commit */
bool off[HOSTS];

#if HOSTS > 1
#define slots_taken(c) (c[0] != 0) + (c[1] != 0)
#else
#define slots_taken(c) (c[0] != 0)
#endif

/* What a coordinator is about to do. */
#define NOTHING 0
#define COLLECT_DONE 1
#define COLLECT_FAILED 2
#define WRITE_GRANT 3
#define TAKE 4
#define REVOKE 5
#define TELL 6
#define RELEASE 7
/* Before the grant is known as well. */
#define NOT_BEGUN 8
#define BEGUN 9
#define FREE 10

/* What rollout and status alone say of a host; attempt is that of the slot, or the last. */
inline read_others()
{
	rollout_stale[me] = false; status_stale[me] = false;
#ifdef FORGET_DEAF
	gone = forgotten[h];
#else
	gone = forgotten[h] && !heard[h];
#endif
	if
	:: changing[h] && status_attempt[h] == changing[h] && status_phase[h] == DONE ->
		action = COLLECT_DONE
	:: changing[h] && status_attempt[h] == changing[h] && status_phase[h] == REVERTED ->
		action = COLLECT_FAILED
	:: changing[h] && status_attempt[h] == changing[h] && status_phase[h] == CHANGING ->
		action = BEGUN; attempt = changing[h]
	:: changing[h] && status_attempt[h] < changing[h] ->
		action = NOT_BEGUN; attempt = changing[h]
	:: !changing[h] && !ended[h] && slots_taken(changing) < MAX &&
	   failures < MAX_FAILURES ->
		action = FREE; attempt = status_attempt[h]
#ifdef SLOT_LEASE
	:: changing[h] -> action = RELEASE
#endif
	:: else -> action = NOTHING
	fi
}

/* What is to be done, once the grant is known. */
inline decide()
{
	if
	/* Repair: the grant that belongs to a slot. */
	:: (action == NOT_BEGUN || action == BEGUN) && g_attempt < attempt ->
		action = WRITE_GRANT
	:: action == FREE && g_attempt < ATTEMPTS && attempt < ATTEMPTS ->
		action = TAKE;
		attempt = (g_attempt > attempt -> g_attempt : attempt) + 1
	/* A person says pause --now or halt --now: what has not begun is revoked, ... */
	:: action == NOT_BEGUN && g_attempt <= attempt && g_state != REVOKED ->
		action = REVOKE
	/* ... what has begun is told, and so is who is forgotten. */
	:: action == BEGUN && g_attempt == attempt && g_state == LIVE -> action = TELL
	/* The slot of a host that never began comes back. */
#ifdef RELEASE_HALTED
	:: action == NOT_BEGUN && g_attempt == attempt && g_state >= HALTED ->
#else
	:: action == NOT_BEGUN && g_attempt == attempt && g_state == REVOKED ->
#endif
		action = RELEASE
	/* So does that of one that is forgotten, once it cannot begin again. */
	:: action == BEGUN && gone && g_attempt == attempt && g_state >= HALTED ->
		action = RELEASE
#ifdef FORGET_AT_ONCE
	:: (action == NOT_BEGUN || action == BEGUN) && gone -> action = RELEASE
#endif
	:: action < NOT_BEGUN -> skip
	:: else -> action = NOTHING
	fi;
	/* A revision that is not compared is not held. */
	if
	:: action == WRITE_GRANT || action == TELL || action == REVOKE || action == NOTHING ->
		rollout_stale[me] = true
	:: else -> skip
	fi;
	if
	:: action != REVOKE -> status_stale[me] = true
	:: else -> skip
	fi;
	if
	:: action == COLLECT_DONE || action == COLLECT_FAILED || action == RELEASE ||
	   action == NOTHING ->
		grant_stale[me] = true
	:: else -> skip
	fi;
	g_attempt = 0; g_state = 0; gone = false
}

proctype coordinator(bit me)
{
	byte h, action, attempt, g_attempt, g_state;
	bool gone, ok;

end_loop:
	atomic {
		if
		:: h = 0
#if HOSTS > 1
		:: h = 1
#endif
		fi;
		looks_at[me] = h + 1;
		/* The grant is read first or last. */
		if
		:: skip
		:: goto grant_last
		fi;
		g_attempt = grant_attempt[h]; g_state = grant_state[h];
		grant_stale[me] = false
	}
	atomic {
		read_others();
		decide();
		goto decided
	}
grant_last:
	atomic {
		read_others();
		if
		:: action == NOTHING -> gone = false; goto over
		:: else -> skip
		fi
	}
	atomic {
		g_attempt = grant_attempt[h]; g_state = grant_state[h];
		grant_stale[me] = false;
		decide()
	}
decided:
	if
	:: action == NOTHING -> goto over
	:: action == WRITE_GRANT -> goto write_grant
	:: else -> skip
	fi;
	atomic {
		if
		:: action == COLLECT_DONE && !rollout_stale[me] ->
			changing[h] = 0; forgotten[h] = false; heard[h] = false;
			ended[h] = true;
			wrote_rollout
		/* The slot comes back, and the failure counts, in one write. */
		:: action == COLLECT_FAILED && !rollout_stale[me] ->
			changing[h] = 0; forgotten[h] = false; heard[h] = false;
			collected++;
#ifndef COUNT_LATER
			failures++;
#else
			ok = true;
#endif
			wrote_rollout
#ifdef BLIND_TAKE
		:: action == TAKE ->
#else
		:: action == TAKE && !rollout_stale[me] ->
#endif
			assert(collected < MAX_FAILURES);
			changing[h] = attempt;
			ok = true;
			wrote_rollout
#ifdef BLIND_REVOKE
		:: action == REVOKE && !grant_stale[me] ->
#else
		:: action == REVOKE && !grant_stale[me] && !status_stale[me] ->
#endif
			grant_attempt[h] = attempt;
			grant_state[h] = REVOKED;
			wrote_grant(h)
		:: action == TELL && !grant_stale[me] ->
			grant_state[h] = HALTED;
			wrote_grant(h)
		:: action == RELEASE && !rollout_stale[me] ->
			changing[h] = 0; forgotten[h] = false; heard[h] = false;
			wrote_rollout
		:: else -> skip
		fi;
		rollout_stale[me] = true; status_stale[me] = true
	}
	if
	:: ok && action == TAKE -> ok = false
	:: ok && action == COLLECT_FAILED ->
		atomic { ok = false; failures++; wrote_rollout }
		goto over
	:: else -> goto over
	fi;

write_grant:
	atomic {
		if
#ifdef BLIND_GRANT
		:: true ->
#else
		:: !grant_stale[me] ->
#endif
			grant_attempt[h] = attempt;
			grant_state[h] = LIVE;
			wrote_grant(h)
#ifndef BLIND_GRANT
		:: else -> skip
#endif
		fi
	}
over:
	atomic {
		rollout_stale[me] = true; grant_stale[me] = true; status_stale[me] = true;
		looks_at[me] = 0; h = 0; action = 0; attempt = 0
	}
	goto end_loop
}

#ifdef SLOTS
/* Before each step of an agent: its host may have been off, and is booted. */
#define MAY_BE_BACK \
	if \
	:: off[h] -> off[h] = false; held_stale[h] = true; attempt = 0; goto back \
	:: else -> skip \
	fi

/* As the store sees it: it begins, and some time later it ends, one way or the other. */
proctype agent(byte h)
{
	byte attempt;

end_idle:
	atomic {
		off[h] || (grant_state[h] == LIVE && grant_attempt[h] > status_attempt[h]) ->
		MAY_BE_BACK;
		held_stale[h] = false;
		attempt = grant_attempt[h]
	}
	atomic {
		MAY_BE_BACK;
		if
		:: !held_stale[h] ->
			status_attempt[h] = attempt;
			status_phase[h] = CHANGING;
			heard[h] = forgotten[h];
			wrote_status(h);
			now_changing++;
			assert(now_changing <= MAX)
		:: else -> skip
		fi;
		held_stale[h] = true;
		attempt = 0
	}
	atomic {
		MAY_BE_BACK;
		if
		:: status_phase[h] == CHANGING ->
			now_changing--;
			goto publish
		:: else -> skip
		fi
	}
	goto end_idle;

back:
	if
	:: status_phase[h] == CHANGING -> skip
	:: else -> goto end_idle
	fi;
publish:
	atomic {
		if
		:: status_phase[h] = DONE
		:: status_phase[h] = REVERTED
		fi;
		heard[h] = forgotten[h];
		wrote_status(h)
	}
	goto end_idle
}

/* The slot of a host that is off is to come back. */
proctype person(byte h)
{
end_person:
	atomic {
		changing[h] ->
		off[h] = true;
		if
		:: status_phase[h] == CHANGING -> now_changing--
		:: else -> skip
		fi;
		forgotten[h] = true;
		wrote_rollout
	}
}
#else

/* Before each step of an agent: it may be started anew, with its host or alone. */
#define MAY_FAIL \
	if \
	:: skip \
	:: goto restart \
	:: boots[h] < BOOTS -> \
		d_step { boots[h]++; kernel[h] = (file[h] -> KEPT : OLD); proven[h] = false }; \
		booted = true; \
		goto restart \
	fi

proctype agent(byte h)
{
	byte attempt;
	bool booted, ok;

restart:
	atomic { held_stale[h] = true; attempt = 0; ok = false }
	if
	:: journal[h] == J_IDLE -> goto end_idle
	:: journal[h] == J_BEGIN && status_attempt[h] == journal_attempt[h] && !booted ->
		goto apply
	:: journal[h] == J_BEGIN && status_attempt[h] == journal_attempt[h] && booted ->
		goto reverted
	/* Not begun: as if it had not been seen. */
	:: journal[h] == J_BEGIN && status_attempt[h] < journal_attempt[h] ->
		d_step { journal[h] = J_IDLE; journal_attempt[h] = status_attempt[h] }
		goto end_idle
	:: (journal[h] == J_APPLY || journal[h] == J_CONFIRM) && kernel[h] == UNCONFIRMED ->
		goto prove
	:: journal[h] == J_CONFIRM && kernel[h] == KEPT -> goto install
	:: (journal[h] == J_APPLY || journal[h] == J_CONFIRM) && kernel[h] == OLD ->
		goto reverted
	:: journal[h] == J_END -> goto publish
	fi;

end_idle:
	booted = false;
	/* The newest grant is read again before it counts. */
	d_step {
		grant_state[h] == LIVE && grant_attempt[h] > journal_attempt[h] &&
			grant_attempt[h] > status_attempt[h] ->
		held_stale[h] = false;
		attempt = grant_attempt[h]
	}
	MAY_FAIL;
	d_step { journal[h] = J_BEGIN; journal_attempt[h] = attempt }
	MAY_FAIL;
	/* begin: the grant unchanged; the status is its own. */
	atomic {
		if
		:: !held_stale[h] ->
			status_attempt[h] = attempt;
			status_phase[h] = CHANGING;
			wrote_status(h);
			now_changing++;
			assert(now_changing <= MAX);
			commits[h] = 0;
			ok = true
		:: else ->
			journal[h] = J_IDLE;
			journal_attempt[h] = status_attempt[h]
		fi;
		held_stale[h] = true;
		attempt = 0
	}
	if
	:: !ok -> goto end_idle
	:: else -> skip
	fi;
	MAY_FAIL;

apply:
#ifndef NO_JOURNAL
	journal[h] = J_APPLY;
	MAY_FAIL;
#endif
	atomic {
		commits[h]++;
		assert(commits[h] <= 1);
		kernel[h] = UNCONFIRMED;
		proven[h] = false
	}
	MAY_FAIL;
#ifdef NO_JOURNAL
	journal[h] = J_APPLY;
	MAY_FAIL;
#endif

prove:
	atomic {
		ok = false;
		held_stale[h] = false;
		if
		:: grant_attempt[h] != status_attempt[h] || grant_state[h] != LIVE ->
			held_stale[h] = true;
			goto roll_back
		:: else -> skip
		fi
	}
	atomic {
		if
#ifdef OLD_CONNECTION
		:: !held_stale[h] ->
			ok = true;
			proven[h] = proven[h] || !cut[h]
#else
		:: !cut[h] && !held_stale[h] ->
			ok = true;
			proven[h] = true
#endif
		:: else -> skip
		fi;
		held_stale[h] = true
	}
	MAY_FAIL;
	if
	:: ok -> skip
	:: !ok -> goto prove
	:: !ok -> goto roll_back
	fi;
	journal[h] = J_CONFIRM;
	MAY_FAIL;
	d_step {
		if
		:: kernel[h] == UNCONFIRMED ->
			assert(proven[h]);
			kernel[h] = KEPT;
			ok = true
		:: else -> ok = false
		fi
	}
	if
	:: !ok -> goto reverted
	:: else -> skip
	fi;
	MAY_FAIL;

install:
	file[h] = true;
	MAY_FAIL;
	d_step { journal[h] = J_END; journal_end[h] = DONE }
	goto publish;

roll_back:
	MAY_FAIL;
	if
	:: kernel[h] == UNCONFIRMED -> kernel[h] = OLD
	:: else -> skip
	fi;
reverted:
	MAY_FAIL;
	d_step { journal[h] = J_END; journal_end[h] = REVERTED }

publish:
	MAY_FAIL;
	/* A second time it says the same. */
	atomic {
		if
		:: status_phase[h] == CHANGING ->
			assert(kernel[h] != UNCONFIRMED);
			/* All old or all new, and the file that says so. */
			assert((journal_end[h] == DONE) == (kernel[h] == KEPT));
			assert((journal_end[h] == DONE) == file[h]);
			status_phase[h] = journal_end[h];
			wrote_status(h);
			now_changing--
		:: else -> skip
		fi
	}
	MAY_FAIL;
	journal[h] = J_IDLE;
	goto restart
}

/* The kernel's confirm timer, and the network. */
proctype host(byte h)
{
	byte flips;

end_host:
	if
	:: d_step { kernel[h] == UNCONFIRMED -> kernel[h] = OLD }
	:: d_step { flips < FLIPS -> flips++; cut[h] = !cut[h] }
	fi;
	goto end_host
}
#endif

init {
	byte i;

	atomic {
		run coordinator(0);
#ifndef ONE_COORDINATOR
		run coordinator(1);
#endif
		for (i : 0 .. HOSTS - 1) {
#ifndef SLOTS
			/* Either kind of policy: one that cuts the host off, one that does not. */
			if
			:: cut[i] = true
			:: skip
			fi;
			run host(i);
#endif
			run agent(i)
		}
#ifdef FORGET
		run person(0)
#endif
	}
}
