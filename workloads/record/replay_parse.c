// SPDX-License-Identifier: Apache-2.0
/* replay_parse.c: reads a trace and checks every line of it before anything is replayed. */
#include "replay.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define TRACE_MAX (256u << 20)

static bool damaged(const struct rp_trace *t, int line, const char *what)
{
	fprintf(stderr, "replay: %s: line %d: %s: the trace is damaged\n", t->path, line, what);
	return false;
}

/* ---------------------------------------------------------------- the file */

/* The descriptor to read from; a .gz through gzip, whose pid is stored. */
static int open_trace(const char *path, pid_t *gzip)
{
	size_t len = strlen(path);
	int fd = open(path, O_RDONLY | O_CLOEXEC), ends[2];
	*gzip = 0;
	if (fd < 0 || len < 3 || strcmp(path + len - 3, ".gz") != 0)
		return fd;
	if (pipe2(ends, O_CLOEXEC) < 0 || (*gzip = fork()) < 0) {
		close(fd);
		return -1;
	}
	if (*gzip == 0) {
		dup2(fd, 0);
		dup2(ends[1], 1);
		execlp("gzip", "gzip", "-dc", (char *)NULL);
		_exit(127);
	}
	close(fd);
	close(ends[1]);
	return ends[0];
}

static bool read_file(struct rp_trace *t)
{
	pid_t gzip;
	int fd = open_trace(t->path, &gzip), status = 0;
	size_t room = 1 << 16, len = 0;
	ssize_t n = 1;

	if (fd < 0) {
		fprintf(stderr, "replay: %s: %s\n", t->path, strerror(errno));
		return false;
	}
	t->text = malloc(room);
	while (n > 0 && len < TRACE_MAX) {
		char *more = len + 1 < room ? t->text : realloc(t->text, room *= 2);
		n = -1;
		if (!more)
			break;
		t->text = more;
		n = read(fd, t->text + len, room - 1 - len);
		len += n > 0 ? (size_t)n : 0;
	}
	close(fd);
	if (gzip > 0)
		waitpid(gzip, &status, 0);
	if (n != 0 || status != 0) {
		fprintf(stderr, "replay: %s: %s\n", t->path,
		        status  ? "gzip cannot unpack it: the file is damaged"
		        : n < 0 ? strerror(errno)
		                : "larger than 256 MiB unpacked");
		return false;
	}
	t->text[len] = 0;
	if (strlen(t->text) != len)
		return damaged(t, 1, "it holds a NUL byte");
	return true;
}

/* ---------------------------------------------------------------- words and values */

/* The next word of *at: to a space outside quotes. */
static struct slice word(const char **at)
{
	while (**at == ' ')
		++*at;
	struct slice s = {*at, 0};
	for (bool quoted = false; **at && **at != '\n' && (quoted || **at != ' '); ++*at)
		quoted ^= **at == '"';
	s.len = (size_t)(*at - s.at);
	return s;
}

static bool is(struct slice s, const char *text)
{
	return s.len == strlen(text) && memcmp(s.at, text, s.len) == 0;
}

static bool number(struct slice s, uint64_t *v)
{
	char *end;
	errno = 0;
	*v = s.len && s.at[0] == '-' ? (uint64_t)strtoll(s.at, &end, 10) : strtoull(s.at, &end, 0);
	return s.len && !isspace((unsigned char)s.at[0]) && errno == 0 && end == s.at + s.len;
}

static bool hexadecimal(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!isxdigit((unsigned char)s.at[i]))
			return false;
	return s.len % 2 == 0;
}

size_t rp_bytes(struct slice digits, void *out, size_t max)
{
	unsigned char *b = out;
	size_t n = 0;
	for (; n < max && 2 * n + 1 < digits.len; n++) {
		char pair[3] = {digits.at[2 * n], digits.at[2 * n + 1], 0};
		b[n] = (unsigned char)strtoul(pair, NULL, 16);
	}
	return n;
}

char *rp_text(struct slice quoted)
{
	char *out = malloc(quoted.len + 1), *to = out;
	for (size_t i = 0; out && i < quoted.len; i++) {
		unsigned char c = (unsigned char)quoted.at[i];
		if (c == '\\' && i + 3 < quoted.len) {
			rp_bytes((struct slice){quoted.at + i + 2, 2}, &c, 1);
			i += 3;
		}
		*to++ = (char)c;
	}
	if (out)
		*to = 0;
	return out;
}

/* open…close, perhaps with a + behind: what is between. */
static bool bracketed(struct slice s, char open, char close, struct slice *inner, bool *cut)
{
	*cut = s.len && s.at[s.len - 1] == '+';
	s.len -= *cut;
	*inner = (struct slice){s.at + 1, s.len - 2};
	return s.len >= 2 && s.at[0] == open && s.at[s.len - 1] == close;
}

/* One side of A>B. */
static bool behind(struct slice s, bool *is_number, uint64_t *v, struct slice *bytes, bool *cut)
{
	*is_number = s.len && s.at[0] == '*';
	if (*is_number)
		return number((struct slice){s.at + 1, s.len - 1}, v);
	return bracketed(s, '{', '}', bytes, cut) && hexadecimal(*bytes);
}

static bool object(struct slice s, struct rp_value *v)
{
	const char *arrow = memchr(s.at, '>', s.len);
	struct slice before = {s.at, arrow ? (size_t)(arrow - s.at) : s.len};
	bool as_number;
	v->has_after = arrow != NULL;
	if (arrow && (!behind((struct slice){arrow + 1, s.len - before.len - 1}, &as_number,
	                      &v->after_number, &v->after, &v->cut) ||
	              as_number != (before.at[0] == '*')))
		return false;
	if (!behind(before, &v->is_number, &v->number, &v->bytes, &v->cut))
		return false;
	if (!arrow) {
		v->after = v->bytes;
		v->after_number = v->number;
	}
	return true;
}

bool rp_value(const struct rec_param *p, struct slice s, struct rp_value *v)
{
	char text[64];
	*v = (struct rp_value){.null = is(s, "0")};
	bool by_value = p->kind <= REC_STRUCT || p->kind == REC_CALLBACK;
	if (v->null && !by_value)
		return true;
	switch ((enum rec_kind)p->kind) {
	case REC_INT:
	case REC_HANDLE:
	case REC_DEVPTR:
	case REC_HOST:
	case REC_CALLBACK:
		return number(s, &v->number);
	case REC_FLOAT:
		snprintf(text, sizeof(text), "%.*s", (int)s.len, s.at);
		v->real = strtod(text, NULL);
		return s.len > 0 && s.len < sizeof(text);
	case REC_STRUCT:
	case REC_EXTRA:
		return bracketed(s, '{', '}', &v->bytes, &v->cut) && hexadecimal(v->bytes);
	case REC_STRING:
	case REC_TEXT_OUT:
		return bracketed(s, '"', '"', &v->bytes, &v->cut);
	case REC_TEXT_PTR:
		return is(s, "*0") || bracketed(s, '"', '"', &v->bytes, &v->cut);
	case REC_LIST_PTR:
		return is(s, "*0") ||
		       (bracketed(s, '{', '}', &v->bytes, &v->cut) && hexadecimal(v->bytes));
	case REC_OBJECT:
		return object(s, v) && (!v->is_number || p->size <= sizeof(v->number));
	case REC_IMAGE:
		return bracketed(s, '<', '>', &v->bytes, &v->cut);
	case REC_PARAMS:
		return bracketed(s, '[', ']', &v->bytes, &v->cut);
	}
	return false;
}

/* ---------------------------------------------------------------- lines */

int rp_args(const struct rp_call *c, struct rp_arg *args, int max)
{
	const char *at = c->args.at, *end = c->args.at + c->args.len;
	int n = 0;
	while (at < end) {
		struct slice w = word(&at);
		const char *equals = memchr(w.at, '=', w.len);
		if (w.len == 0)
			break;
		if (!equals || n == max)
			return -1;
		size_t name = (size_t)(equals - w.at);
		args[n++] = (struct rp_arg){{w.at, name}, {equals + 1, w.len - name - 1}};
	}
	return n;
}

struct slice rp_arg_named(const struct rp_arg *args, int n, const char *name)
{
	for (int i = 0; i < n; i++)
		if (is(args[i].name, name))
			return args[i].value;
	return (struct slice){NULL, 0};
}

static bool check_call(const struct rp_trace *t, const struct rp_call *c)
{
	struct rp_arg args[2 * REC_ARGS_MAX];
	struct rp_value v;
	int n = rp_args(c, args, 2 * REC_ARGS_MAX);
	if (n < 0)
		return damaged(t, c->line, "not a list of arguments");
	if (c->entry < 0)
		return true; /* a call of a newer cuda.h */
	const struct rec_entry *e = &rec_entries[c->entry];
	if (n < e->n)
		return damaged(t, c->line, "arguments are missing");
	for (int i = 0; i < e->n; i++)
		if (!is(args[i].name, e->params[i].name) ||
		    !rp_value(&e->params[i], args[i].value, &v))
			return damaged(t, c->line, e->params[i].name);
	return true;
}

static bool read_call(struct rp_trace *t, const char *at, int line)
{
	uint64_t v[5];
	char name[128];
	if (t->n_calls % 1024 == 0) {
		struct rp_call *more =
		    realloc(t->calls, ((size_t)t->n_calls + 1024) * sizeof(*more));
		if (!more)
			return damaged(t, line, "out of memory");
		t->calls = more;
	}
	for (int i = 0; i < 5; i++)
		if (!number(word(&at), &v[i]))
			return damaged(t, line, "not a call");
	struct rp_call *c = &t->calls[t->n_calls];
	*c = (struct rp_call){.line = line,
	                      .seq = v[0],
	                      .tid = (long)v[1],
	                      .status = (int)v[4],
	                      .module = -1,
	                      .name = word(&at)};
	c->args = (struct slice){at, strcspn(at, "\n")};
	snprintf(name, sizeof(name), "%.*s", (int)c->name.len, c->name.at);
	c->entry = rec_entry_find(name);
	if (c->name.len < 3 || !check_call(t, c))
		return c->name.len < 3 ? damaged(t, line, "not a call") : false;
	t->n_calls++;
	return true;
}

static bool read_kernel(struct rp_trace *t, const char *at, int line)
{
	struct rp_kernel_line k = {.before = t->n_calls};
	struct rp_kernel_line *more =
	    realloc(t->kernels, ((size_t)t->n_kernels + 1) * sizeof(*more));
	bool cut;
	if (!more)
		return damaged(t, line, "out of memory");
	t->kernels = more;
	if (!number(word(&at), &k.handle) || !bracketed(word(&at), '"', '"', &k.name, &cut))
		return damaged(t, line, "not a kernel");
	k.sizes = word(&at);
	for (size_t i = 0; i < k.sizes.len; i++)
		if (!isdigit((unsigned char)k.sizes.at[i]) && k.sizes.at[i] != ',')
			return damaged(t, line, "not the sizes of parameters");
	t->kernels[t->n_kernels++] = k;
	return true;
}

static bool read_header(struct rp_trace *t, const char *line)
{
	int version = 0, forked = 0, end = 0;
	if (sscanf(line, "cuda-trace %d program=\"%63[^\"]\" pid=%d parent=%*d forked=%d%n",
	           &version, t->program, &t->pid, &forked, &end) < 4 ||
	    !end)
		return damaged(t, 1, "it does not begin with cuda-trace");
	t->forked = forked;
	if (version != REC_VERSION) {
		fprintf(stderr, "replay: %s: written in version %d of the format; this reads %d\n",
		        t->path, version, REC_VERSION);
		return false;
	}
	return true;
}

bool rp_read(struct rp_trace *t, const char *path)
{
	*t = (struct rp_trace){.path = path};
	if (!read_file(t) || !read_header(t, t->text))
		return false;
	int number_of = 2;
	char *line = strchr(t->text, '\n');
	for (; line && line[1]; line = strchr(line + 1, '\n'), number_of++) {
		const char *at = line + 1;
		struct slice w = word(&at);
		if (!strchr(at, '\n'))
			return damaged(t, number_of, "it ends within this line");
		t->cut |= is(w, "cut");
		t->ended |= is(w, "end"); /* destructors that ran later may still have called */
		if (is(w, "call") ? !read_call(t, at, number_of)
		    : is(w, "kernel")
		        ? !read_kernel(t, at, number_of)
		        : !is(w, "cut") && !is(w, "end") && !damaged(t, number_of, "unknown line"))
			return false;
	}
	if (!line)
		return damaged(t, 1, "it ends within this line");
	return true;
}

void rp_free(struct rp_trace *t)
{
	free(t->text);
	free(t->calls);
	free(t->kernels);
}
