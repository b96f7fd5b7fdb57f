// SPDX-License-Identifier: Apache-2.0
/* server.c: see server.h. */
#include "server.h"

static int64_t clamp(uint64_t ns)
{
	return ns < (uint64_t)REIN_SERVER_NS_MAX ? (int64_t)ns : REIN_SERVER_NS_MAX;
}

void rein_server_join(struct rein_server *s, uint64_t reaction_ns)
{
	*s = (struct rein_server){0};
	s->early_ns = reaction_ns ? reaction_ns : REIN_ADMISSION_REACTION_NS;
}

static void fill(struct rein_server *s, const struct rein_policy_client *c, uint64_t now_ns)
{
	uint64_t from_ns = now_ns > s->due_ns ? now_ns : s->due_ns;
	uint64_t periods = 1 + (from_ns - s->due_ns) / c->period_ns;
	__int128 left = s->left_ns + (__int128)clamp(c->budget_ns) * periods;
	bool full = !s->due_ns || left > clamp(c->budget_ns);
	s->left_ns = full ? clamp(c->budget_ns) : (int64_t)left;
	s->due_ns = rein_policy_add(from_ns, c->period_ns);
}

/* More left than its bandwidth allows until it is due? */
static bool dense(const struct rein_server *s, const struct rein_policy_client *c, uint64_t now_ns)
{
	return (__int128)s->left_ns * clamp(c->period_ns) >
	       (__int128)(s->due_ns - now_ns) * clamp(c->budget_ns);
}

static uint64_t later(const struct rein_server *s, const struct rein_policy_client *c,
                      uint64_t now_ns)
{
	uint64_t product, left = (uint64_t)s->left_ns, period = (uint64_t)clamp(c->period_ns);
	uint64_t budget = (uint64_t)clamp(c->budget_ns);
	if (!__builtin_mul_overflow(left, period, &product)) /* much faster, and nearly always */
		return rein_policy_add(now_ns, product / budget);
	return rein_policy_add(now_ns, (uint64_t)((unsigned __int128)left * period / budget));
}

void rein_server_ready(struct rein_server *s, const struct rein_policy_client *c, uint64_t now_ns)
{
	uint64_t early_ns = s->early_ns < c->budget_ns ? s->early_ns : c->budget_ns;
	if (rein_policy_add(now_ns, early_ns) >= s->due_ns)
		fill(s, c, now_ns);
	else if (s->left_ns > 0 && dense(s, c, now_ns))
		s->due_ns = later(s, c, now_ns);
	s->open = true;
}

void rein_server_look(struct rein_server *s, const struct rein_policy_client *c, uint64_t now_ns)
{
	if (rein_server_spent(s) && now_ns >= s->due_ns)
		fill(s, c, now_ns);
	if (!c->active || c->background)
		s->open = false;
	else if (!s->open)
		rein_server_ready(s, c, now_ns);
}

void rein_server_charge(struct rein_server *s, const struct rein_policy_client *c, uint64_t ns,
                        bool advance)
{
	bool spare = !c->held && rein_server_spent(s);
	int64_t least = spare ? -clamp(c->budget_ns) : -REIN_SERVER_NS_MAX;
	if (spare && !advance)
		return;
	least = s->left_ns < least ? s->left_ns : least;
	s->left_ns -= clamp(ns);
	if (s->left_ns < least)
		s->left_ns = least;
}

uint64_t rein_server_deadline(const struct rein_server *s, const struct rein_policy_client *c,
                              uint64_t now_ns)
{
	struct rein_server would = *s;
	if (!s->open)
		rein_server_ready(&would, c, now_ns);
	return rein_server_spent(&would) ? UINT64_MAX : would.due_ns;
}

uint64_t rein_server_ends(const struct rein_server *s, uint64_t now_ns)
{
	return s->left_ns > 0 ? rein_policy_add(now_ns, (uint64_t)s->left_ns) : UINT64_MAX;
}
