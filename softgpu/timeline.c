// SPDX-License-Identifier: Apache-2.0
/*
 * timeline.c: what happens when. Takes released items apart into nodes, starts them (payload to
 * a worker, duration to the SM scheduler, a copy engine, or none), and completes them in the
 * order of modelled time. Also this process' part in sharing a device: claim it while there is
 * SM work, use the grants one after the other, give it up when idle.
 *
 * Everything here is under the engine's lock; nothing waits.
 */
#include "core.h"

#include <stddef.h>

#include "../common/clock.h"
#include "trace.h"

#define WAKE_MIN_NS 10000ull /* never sleep shorter: events closer than this come together */
#define LOG_CHUNK_NS (100 * REIN_MS)
#define KEPT_MEMOPS 4
#define SET_BLOCK_BYTES 65536
#define SET_BLOCK_THREADS 256
#define PACE_SAID_NS (10 * REIN_S)

static uint64_t max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static const char *const kind_name[] = {"kernel", "copy", "set", "host", "mark", "memop"};

int sg_timeline_init(void)
{
	sg_core.ready_items_tail = &sg_core.ready_items;
	sg_core.ready_nodes_tail = &sg_core.ready_nodes;
	for (uint32_t i = 0; i < sg_core.model->n_devices; i++) {
		int e = sg_sched_init(&sg_core.device[i].sched, sg_core.model);
		if (e)
			return e;
	}
	return 0;
}

/* ---- lists of what is released; chains are followed by iteration, not by recursion */

void sg_timeline_ready_item(struct sg_item *it)
{
	it->ready_next = NULL;
	*sg_core.ready_items_tail = it;
	sg_core.ready_items_tail = &it->ready_next;
}

static void ready_node(struct sg_node *nd)
{
	nd->next = NULL;
	*sg_core.ready_nodes_tail = nd;
	sg_core.ready_nodes_tail = &nd->next;
}

/* How many SMs a node's kernel may use. */
static uint32_t sms_of(const struct sg_node *nd)
{
	const struct sg_sm_set *on = sg_cmd_sms(nd->cmd);
	return on ? on->n : sg_core.model->sms;
}

/* ---- completion */

static void count(const struct sg_node *nd)
{
	sg_core.stats.kernels += nd->cmd->kind == SG_CMD_KERNEL;
	sg_core.stats.copies += nd->cmd->kind == SG_CMD_COPY;
	sg_core.stats.sets += nd->cmd->kind == SG_CMD_SET;
	sg_core.stats.memops += nd->cmd->memops;
}

static void tell(const struct sg_node *nd)
{
	struct sg_trace_work *w = nd->cmd->trace;
	w->failed = rein_load_relaxed(&nd->item->domain->error) != CUDA_SUCCESS;
	w->stream = nd->item->stream->id;
	w->submit_ns = nd->item->submit_ns;
	w->start_ns = nd->start_ns;
	w->end_ns = nd->end_ns;
	sg_trace_done(w);
}

static void complete_node(struct sg_node *nd)
{
	struct sg_item *it = nd->item;
	count(nd);
	sg_record_command(it->stream->id, kind_name[nd->cmd->kind], nd->cmd->name, nd->start_ns,
	                  nd->end_ns);
	if (REIN_UNLIKELY(nd->cmd->trace != NULL))
		tell(nd);
	for (uint32_t i = 0; i < nd->n_out; i++) {
		struct sg_node *succ = &it->nodes[nd->out[i]];
		succ->pred_end_ns = max_u64(succ->pred_end_ns, nd->end_ns);
		if (--succ->waiting == 0)
			ready_node(succ);
	}
	it->end_ns = max_u64(it->end_ns, nd->end_ns);
	if (--it->left)
		return;
	sg_core.stats.graphs += it->batch;
	sg_item_complete(it);
}

void sg_timeline_complete(struct sg_node *nd)
{
	complete_node(nd);
}

static void check_node(struct sg_node *nd)
{
	if (nd->timed_out && nd->ran)
		complete_node(nd);
}

/*
 * An overrun: the payload's execution took longer than half its modelled time, so the host cannot
 * keep this pace; or it ended after its modelled end, so what others measure by the wall clock
 * meanwhile is not the model's. A payload that the host merely interrupted, and that was ready in
 * time all the same, has changed nothing.
 */
static void check_overrun(const struct sg_node *nd, uint64_t modelled_ns, bool late,
                          struct sg_spent spent)
{
	const struct sg_model *m = sg_core.model;
	uint64_t ns = late ? spent.wall_ns : spent.cpu_ns;
	if (m->mode != SG_MODE_WALL || nd->untimed || ns <= m->overrun_slack_ns ||
	    ns <= modelled_ns / 2)
		return;
	uint64_t now = rein_now_ns();
	sg_core.stats.overruns++;
	sg_core.stats.worst_overrun_ns =
	    max_u64(sg_core.stats.worst_overrun_ns, ns - modelled_ns / 2);
	sg_record_command(nd->item->stream->id, "overrun", nd->cmd->name, now - spent.wall_ns, now);
}

/* Who only wants results should not wait for a slow model without knowing that he need not. */
static void tell_of_pace(uint64_t modelled_ns, struct sg_spent spent)
{
	const struct sg_model *m = sg_core.model;
	uint64_t *paced_ns = &sg_core.stats.paced_ns;
	if (m->mode != SG_MODE_WALL || m->measuring || modelled_ns <= spent.wall_ns)
		return;
	uint64_t before_ns = *paced_ns;
	*paced_ns += modelled_ns - spent.wall_ns;
	if (before_ns < PACE_SAID_NS && *paced_ns >= PACE_SAID_NS)
		sg_record_say("kernels are done sooner than the modelled GPU would have them, and "
		              "wait for it: SOFTGPU_MODE=fast runs them for their results only");
}

/* Duration alone on its SMs, and the memory bandwidth it uses then, by what it executed. */
static uint64_t counted_ns(struct sg_node *nd)
{
	const struct sg_model *m = sg_core.model;
	const struct sg_cmd *c = nd->cmd;
	uint64_t ns =
	    sg_model_kernel_ns(m, min_u64(c->blocks, sms_of(nd)), c->instructions, c->global_bytes);
	nd->kernel.memory = sg_model_memory_share(m, c->global_bytes, ns);
	return ns;
}

void sg_timeline_ran(struct sg_node *nd, CUresult result, struct sg_spent spent)
{
	struct sg_cmd *c = nd->cmd;
	if (result != CUDA_SUCCESS)
		sg_core_poison(nd->item->domain, result, c->error_text);
	nd->ran = true;
	bool counted = false; /* its duration is known only now, by what it executed */
	if (nd->untimed) {
		nd->end_ns = max_u64(nd->end_ns, rein_now_ns());
	} else if (c->kind == SG_CMD_KERNEL && !nd->kernel.solo_ns) {
		uint64_t ns = counted_ns(nd);
		if (sg_core.model->mps)
			nd->kernel.solo_ns = ns; /* sg_corun_run() tells the others */
		else
			sg_sched_set_solo(&sg_core.device[nd->item->domain->device].sched,
			                  &nd->kernel, ns);
		counted = true;
	}
	uint64_t modelled_ns = c->kind == SG_CMD_COPY ? nd->solo_ns : nd->kernel.solo_ns;
	bool late = counted ? spent.wall_ns > modelled_ns : nd->timed_out;
	check_overrun(nd, modelled_ns, late, spent);
	if (counted)
		tell_of_pace(modelled_ns, spent);
	check_node(nd);
}

/* ---- start */

static uint64_t undeclared_ns(const struct sg_cmd *c, uint32_t sms)
{
	static bool said;
	if (!said)
		sg_record_say(
		    "time-only mode: kernel %s has no declared time; it and others like it "
		    "last SOFTGPU_KERNEL_MIN (declare it in SOFTGPU_TIMES)",
		    c->name ? c->name : "(no name)");
	said = true;
	return sg_model_kernel_ns(sg_core.model, min_u64(c->blocks, sms), 0, 0);
}

/* Duration alone on its SMs, and the memory bandwidth it uses then, if these are known before its
 * payload has run. */
static void set_solo(struct sg_node *nd)
{
	const struct sg_model *m = sg_core.model;
	const struct sg_cmd *c = nd->cmd;
	struct sg_kernel *k = &nd->kernel;
	uint32_t sms = sms_of(nd);
	const struct sg_declared *declared = sg_model_declared(m, c->name);
	k->solo_ns = 0;
	if (c->kind == SG_CMD_SET) {
		k->solo_ns = sg_model_set_ns(m, c->bytes);
		k->memory = sg_model_memory_share(m, c->bytes, k->solo_ns);
	} else if (declared) {
		k->solo_ns = sg_model_confined_ns(m, c->blocks, declared->solo_ns, sms);
		k->memory = declared->memory * (double)declared->solo_ns / (double)k->solo_ns;
	} else if (m->mode == SG_MODE_TIME && c->run) {
		k->solo_ns = undeclared_ns(c, sms);
	} else if (!c->run) {
		k->solo_ns = counted_ns(nd);
	}
}

static void start_on_sms(struct sg_node *nd)
{
	const struct sg_model *m = sg_core.model;
	const struct sg_cmd *c = nd->cmd;
	const struct sg_item *it = nd->item;
	struct sg_kernel *k = &nd->kernel;
	k->ready_ns = sg_model_start_ns(m, it->submit_ns, it->issue_ns, nd->pred_end_ns);
	k->priority = it->stream->priority;
	k->on = sg_cmd_sms(c);
	set_solo(nd);
	if (c->kind == SG_CMD_KERNEL) {
		k->blocks = c->blocks;
		k->block_threads = c->block_threads;
		k->shared_bytes = c->block_shared_bytes;
		k->registers = c->thread_registers;
		k->cooperative = c->cooperative;
	} else {
		k->blocks = (c->bytes + SET_BLOCK_BYTES - 1) / SET_BLOCK_BYTES;
		k->block_threads = SET_BLOCK_THREADS;
	}
	if (m->mps)
		sg_corun_add(&sg_core.device[it->domain->device], k);
	else
		sg_sched_add(&sg_core.device[it->domain->device].sched, k);
}

/* When an item may begin, as far as its channel is concerned. */
static uint64_t start_of(const struct sg_item *it)
{
	return max_u64(it->submit_ns, it->issue_ns);
}

static void start_copy(struct sg_node *nd)
{
	const struct sg_cmd *c = nd->cmd;
	nd->solo_ns = sg_model_copy_ns(sg_core.model, c->dir, c->bytes);
	uint64_t ready = max_u64(start_of(nd->item), nd->pred_end_ns);
	nd->start_ns = sg_share_copy(sg_core.share, (unsigned)nd->item->domain->device, c->dir,
	                             ready, nd->solo_ns);
	nd->end_ns = nd->start_ns + nd->solo_ns;
	struct sg_node **at = &sg_core.timed;
	while (*at && (*at)->end_ns <= nd->end_ns)
		at = &(*at)->timed_next;
	nd->timed_next = *at;
	*at = nd;
}

static void start_node(struct sg_node *nd)
{
	const struct sg_cmd *c = nd->cmd;
	if (c->kind == SG_CMD_MEMOP) {
		sg_memop_start(nd);
		return;
	}
	bool host = c->kind == SG_CMD_HOST;
	bool poisoned = rein_load_relaxed(&nd->item->domain->error) != CUDA_SUCCESS;
	bool run =
	    c->run && (!poisoned || c->always_run) && (sg_core.model->mode != SG_MODE_TIME || host);
	nd->untimed =
	    host || c->kind == SG_CMD_MARK || poisoned || sg_core.model->mode == SG_MODE_FAST;
	nd->ran = !run;
	if (nd->untimed) {
		nd->start_ns = nd->end_ns = max_u64(start_of(nd->item), nd->pred_end_ns);
		nd->timed_out = true;
	} else if (c->kind == SG_CMD_COPY) {
		start_copy(nd);
	} else {
		start_on_sms(nd);
	}
	if (run)
		sg_executor_push(host ? &sg_core.host : &sg_core.compute, nd);
	else
		check_node(nd);
}

static void start_item(struct sg_item *it)
{
	it->end_ns = max_u64(start_of(it), it->pred_end_ns);
	if (it->batch || !it->n || it->nodes[0].cmd->kind != SG_CMD_MEMOP)
		sg_channel_leave(it, it->end_ns); /* a memory operation: when it is done */
	if (!it->n) {
		sg_item_complete(it);
		return;
	}
	for (uint32_t i = 0; i < it->n; i++) {
		it->nodes[i].pred_end_ns = it->pred_end_ns;
		if (!it->nodes[i].waiting)
			ready_node(&it->nodes[i]);
	}
}

static void start_ready(void)
{
	while (sg_core.ready_items || sg_core.ready_nodes) {
		struct sg_item *it = sg_core.ready_items;
		if (it) {
			sg_core.ready_items = it->ready_next;
			if (!it->ready_next)
				sg_core.ready_items_tail = &sg_core.ready_items;
			start_item(it);
			continue;
		}
		struct sg_node *nd = sg_core.ready_nodes;
		sg_core.ready_nodes = nd->next;
		if (!nd->next)
			sg_core.ready_nodes_tail = &sg_core.ready_nodes;
		nd->next = NULL;
		start_node(nd);
	}
}

/* ---- the shared device */

static void end_ownership(struct sg_timeline *tl, uint64_t at_ns)
{
	sg_sched_freeze(&tl->sched, at_ns);
	sg_record_owned(tl->logged_ns, tl->sched.clock_ns);
	tl->logged_ns = tl->sched.clock_ns;
}

/* A channel that waits for a word in memory: does it count as work, for which the device is
 * wanted and kept? What a real driver sets up is not known: docs/softgpu.md. */
static bool burns_slice(const struct sg_timeline *tl)
{
	return tl->closed && sg_core.model->wait_keeps_slice;
}

/* As sg_sched_wants_ns(), with the channels that wait. */
static uint64_t wants_ns(const struct sg_timeline *tl)
{
	uint64_t wants = sg_sched_wants_ns(&tl->sched);
	if (!burns_slice(tl))
		return wants;
	return min_u64(wants, max_u64(tl->closed_ns, tl->sched.clock_ns));
}

static bool is_idle(const struct sg_timeline *tl)
{
	const struct sg_model *m = sg_core.model;
	uint64_t wants = wants_ns(tl);
	/* the next kernel of a stream comes a gap later, and a few memory operations may be
	 * between: the device is kept for it */
	uint64_t kept_ns = m->kernel_gap_ns + KEPT_MEMOPS * m->memop_ns;
	return wants == SG_NEVER || wants > tl->sched.clock_ns + kept_ns;
}

static void give_up(struct sg_timeline *tl, unsigned device, uint64_t grants)
{
	sg_share_give(sg_core.share, device, tl->sched.clock_ns);
	tl->taken = grants;
}

static void use_grant(struct sg_timeline *tl, const struct sg_seat *seat)
{
	sg_sched_resume(&tl->sched, seat->grant[tl->taken % SG_GRANTS].start_ns);
	tl->logged_ns = tl->sched.clock_ns;
	sg_core.stats.slices++;
	sg_core.stats.slice_switches += seat->switches - tl->switches;
	tl->switches = seat->switches;
}

/* Tries to come to own the device. True: a grant is in use now. */
static bool claim(struct sg_timeline *tl, unsigned device)
{
	uint64_t wants = wants_ns(tl);
	for (;;) {
		struct sg_share_view v;
		sg_share_view(sg_core.share, device, &v);
		if (wants == SG_NEVER) {
			if (v.seat.wants || v.seat.grants > tl->taken)
				give_up(tl, device, v.seat.grants);
			return false;
		}
		if (v.seat.grants > tl->taken) {
			use_grant(tl, &v.seat);
			return true;
		}
		uint64_t now = rein_now_ns();
		if (!v.seat.wants) {
			sg_share_request(sg_core.share, device, tl->taken, wants);
		} else if (v.seat.held) {
			return false;
		} else if (v.owner_end_ns <= now) {
			sg_share_settle(sg_core.share, device, tl->taken);
		} else if (now - tl->looked_ns >= SG_LIVENESS_NS) {
			tl->looked_ns = now;
			sg_share_bury(sg_core.share);
		} else {
			return false;
		}
	}
}

/* The grant in use ends at `limit`, which has come. True: it has really ended; false: nobody
 * wants the device any more, so it goes on. */
static bool expire(struct sg_timeline *tl, unsigned device, uint64_t limit)
{
	struct sg_share_view v;
	sg_share_settle(sg_core.share, device, tl->taken);
	sg_share_view(sg_core.share, device, &v);
	if (v.seat.grant[tl->taken % SG_GRANTS].end_ns > limit)
		return false;
	/* stalled: the model's clock waits for a payload that is to stand still */
	end_ownership(tl, tl->sched.stalled ? tl->sched.clock_ns : limit);
	tl->taken++;
	if (v.seat.held)
		sg_hold_pause(tl);
	return true;
}

static void log_progress(struct sg_timeline *tl)
{
	uint64_t clock = tl->sched.clock_ns;
	if (clock > tl->logged_ns && clock - tl->logged_ns >= LOG_CHUNK_NS) {
		sg_record_owned(tl->logged_ns, clock);
		tl->logged_ns = clock;
	}
}

void sg_timeline_kernels_done(struct sg_kernel *k)
{
	while (k) {
		struct sg_kernel *next = k->next;
		struct sg_node *nd =
		    (struct sg_node *)((char *)k - offsetof(struct sg_node, kernel));
		nd->start_ns = k->start_ns;
		nd->end_ns = k->end_ns;
		nd->timed_out = true;
		check_node(nd);
		k = next;
	}
}

/* Advances a device up to `to`, but not past a completion. True: kernels have completed, call
 * again when their successors have been added. */
static bool run_device(struct sg_timeline *tl, unsigned device, uint64_t to)
{
	if (sg_core.model->mps)
		return sg_corun_run(tl, device, to);
	for (;;) {
		if (!tl->sched.running && !claim(tl, device))
			return false;
		struct sg_share_view v;
		sg_share_view(sg_core.share, device, &v);
		uint64_t limit = v.seat.grant[tl->taken % SG_GRANTS].end_ns;
		struct sg_kernel *done = sg_sched_advance(&tl->sched, min_u64(to, limit));
		if (done) {
			sg_timeline_kernels_done(done);
			return true;
		}
		if (burns_slice(tl))
			sg_sched_pass(&tl->sched, min_u64(to, limit));
		if (is_idle(tl)) {
			end_ownership(tl, tl->sched.clock_ns);
			give_up(tl, device, v.seat.grants);
			if (v.seat.held) /* what is launched from now on does not run */
				sg_hold_pause(tl);
		} else if (limit > to || (tl->sched.stalled && !v.seat.held)) {
			log_progress(tl);
			return false;
		} else {
			expire(tl, device, limit);
		}
	}
}

void sg_timeline_run(uint64_t now_ns)
{
	for (;;) {
		start_ready();
		if (sg_memop_poll())
			continue;
		uint64_t to = now_ns;
		struct sg_node *copy = sg_core.timed;
		if (copy)
			to = min_u64(to, copy->end_ns);
		bool again = false;
		for (unsigned i = 0; sg_core.share && i < sg_core.model->n_devices; i++)
			again |= run_device(&sg_core.device[i], i, to);
		if (again || sg_core.ready_items || sg_core.ready_nodes)
			continue;
		if (!copy || copy->end_ns > now_ns)
			return;
		sg_core.timed = copy->timed_next;
		copy->timed_out = true;
		check_node(copy);
	}
}

static uint64_t device_wake_ns(const struct sg_timeline *tl, unsigned device, uint64_t now_ns)
{
	if (sg_core.model->mps)
		return sg_corun_wake_ns(tl, now_ns);
	if (wants_ns(tl) == SG_NEVER)
		return SG_NEVER;
	struct sg_share_view v;
	sg_share_view(sg_core.share, device, &v);
	if (v.seat.held ? !tl->sched.running : tl->sched.stalled != NULL)
		return SG_NEVER;
	if (!tl->sched.running) /* when its slice ends, the owner may be gone or asleep */
		return min_u64(v.owner_end_ns, now_ns + SG_LIVENESS_NS);
	uint64_t limit = v.seat.grant[tl->taken % SG_GRANTS].end_ns;
	return min_u64(limit, sg_sched_wake_ns(&tl->sched));
}

uint64_t sg_timeline_wake_ns(uint64_t now_ns)
{
	uint64_t wake = sg_core.timed ? sg_core.timed->end_ns : SG_NEVER;
	wake = min_u64(wake, sg_memop_wake_ns(now_ns));
	for (unsigned i = 0; sg_core.share && i < sg_core.model->n_devices; i++)
		wake = min_u64(wake, device_wake_ns(&sg_core.device[i], i, now_ns));
	return max_u64(wake, now_ns + WAKE_MIN_NS);
}

void sg_timeline_stop(void)
{
	uint64_t now = rein_now_ns();
	sg_timeline_run(now);
	for (unsigned i = 0; sg_core.share && i < sg_core.model->n_devices; i++) {
		struct sg_timeline *tl = &sg_core.device[i];
		struct sg_share_view v;
		if (sg_core.model->mps) {
			sg_corun_stop(tl);
			continue;
		}
		sg_share_view(sg_core.share, i, &v);
		if (tl->sched.running)
			end_ownership(tl, min_u64(now, v.seat.grant[tl->taken % SG_GRANTS].end_ns));
	}
}
