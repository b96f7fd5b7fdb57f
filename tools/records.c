// SPDX-License-Identifier: Apache-2.0
#include "records.h"

#include <string.h>
#include <time.h>

#include "../common/clock.h"
#include "../common/duration.h"
#include "../common/wire.h"

#define SPAN_MAX_NS (3600 * REIN_S)
#define LATE_NS (150 * REIN_MS) /* some records come so long after what they tell of */

int rein_cli_span(const struct rein_cli *cli, const char *option, const char *text, uint64_t *ns)
{
	if (rein_duration_parse(text, ns) == 0 && *ns && *ns <= SPAN_MAX_NS)
		return 0;
	return rein_cli_usage(
	    cli, "%s '%s' is no time; accepted: 1ns to 3600s, with its unit (ns, us, ms, s)",
	    option, text);
}

/* What is in the rings goes to the files; no daemon is no failure. `record_ns`: on for so long. */
static int ask(struct rein_cli *cli, struct rein_cli_records *r, uint64_t record_ns, bool *runs)
{
	CLI_AUTO_JSON json_t *a = NULL;
	*runs = !rein_cli_is_nobody(rein_cli_probe(cli, REIN_CONTROL_SOCKET));
	if (!*runs)
		return 0;
	json_t *request = json_pack("{s:s}", "op", "trace");
	uint64_t ms = (record_ns + REIN_MS - 1) / REIN_MS;
	if (ms)
		json_object_set_new(request, "record_ms", json_integer((json_int_t)ms));
	if (ms && r->more)
		json_object_update(request, r->more);
	int status = rein_cli_ask(cli, request, &a);
	if (status)
		return status;
	r->alive = json_is_true(json_object_get(a, "recording"));
	if (json_is_true(json_object_get(a, "failing")))
		rein_cli_warn("the daemon cannot write its recording now; its log says why");
	if (ms && r->more)
		r->answer = json_incref(a);
	return 0;
}

static void sleep_until(uint64_t end_ns)
{
	struct timespec end = rein_timespec(end_ns);
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, NULL) == EINTR)
		;
}

static int record(struct rein_cli *cli, struct rein_cli_records *r)
{
	bool runs;
	uint64_t now_ns = rein_now_ns();
	int status = ask(cli, r, r->duration_ns ? r->duration_ns + REIN_S : 0, &runs);
	if (status)
		return status;
	if (r->duration_ns && !runs)
		return rein_cli_fail(
		    cli, CLI_FAILED,
		    "nothing can be recorded; no daemon runs in %s; start reind, or "
		    "leave --duration out to read what an earlier one left",
		    cli->run_dir);
	if (r->duration_ns) {
		sleep_until(now_ns + r->duration_ns + LATE_NS);
		r->from_ns = now_ns;
		return ask(cli, r, 0, &runs);
	}
	if (r->last_ns && r->alive)
		r->from_ns = now_ns > r->last_ns ? now_ns - r->last_ns : 0;
	return 0;
}

int rein_cli_records(struct rein_cli *cli, struct rein_cli_records *r)
{
	char why[512];
	int status = record(cli, r);
	if (status)
		return status;
	int err = rein_recording_open(&r->files, cli->run_dir, why, sizeof(why));
	if (!err)
		return 0;
	const char *todo = err != -ENOENT ? "run rein as root or in the group rein"
	                   : r->alive     ? "nothing has happened yet"
	                                  : "`--duration 5s` records from now on; `events = on` in "
	                                    "[daemon] of rein.conf always";
	return rein_cli_fail(cli, CLI_FAILED, "there is nothing to tell; %s; %s", why, todo);
}

int rein_cli_not_written(const struct rein_cli *cli, const char *what, const char *file, int err)
{
	const char *todo = err == ENOSPC || err == EDQUOT ? "free some space"
	                   : err == ENOMEM                ? "ask for less, with --last"
	                                                  : "try another file";
	return rein_cli_fail(cli, CLI_FAILED, "cannot write the %s to %s; %s; %s", what, file,
	                     strerror(err ? err : EIO), todo);
}
