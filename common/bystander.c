// SPDX-License-Identifier: Apache-2.0
#include "bystander.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>

#include "util.h"

#define SHARED_MAX 8 /* software GPUs that clients map */
#define ANCESTORS_MAX 16
#define PREFIX "softgpu-"

/* They keep the device open, read counters, and give it no work of their own: what MPS runs is its
 * clients', which are seen themselves. The first 15 characters of a name are all there is. */
static const char *const managers[] = {"nvidia-persiste", "nv-hostengine", "nvidia-smi",
                                       "dcgm-exporter",   "nvtop",         "nvidia-powerd",
                                       "nvidia-cuda-mps"};

struct scan {
	const char *proc;
	const pid_t *client;
	bool real; /* the real device matters: not if all that clients use are software GPUs */
	unsigned n_clients, n_shared;
	char shared[SHARED_MAX][256]; /* paths */
};

static bool is_client(const struct scan *s, pid_t pid)
{
	for (unsigned i = 0; i < s->n_clients; i++)
		if (s->client[i] == pid)
			return true;
	return false;
}

static FILE *open_of(const struct scan *s, pid_t pid, const char *file)
{
	char path[PATH_MAX];
	snprintf(path, sizeof(path), "%s/%d/%s", s->proc, (int)pid, file);
	return fopen(path, "re");
}

/* ---------------------------------------------------------------- the real device */

static bool has_device_open(const struct scan *s, pid_t pid)
{
	static const char device[] = "/dev/nvidia";
	char path[PATH_MAX], to[64];
	snprintf(path, sizeof(path), "%s/%d/fd", s->proc, (int)pid);
	DIR *d = opendir(path);
	bool found = false;
	for (const struct dirent *e; d && !found && (e = readdir(d));) {
		ssize_t n = readlinkat(dirfd(d), e->d_name, to, sizeof(to) - 1);
		to[n > 0 ? n : 0] = 0;
		found = strncmp(to, device, sizeof(device) - 1) == 0 &&
		        isdigit((unsigned char)to[sizeof(device) - 1]);
	}
	if (d)
		closedir(d);
	return found;
}

/* ---------------------------------------------------------------- the software GPU */

/* Calls see() with each software GPU's path that the process maps, until it says true. */
static bool each_mapped(struct scan *s, pid_t pid, bool (*see)(struct scan *s, const char *path))
{
	REIN_AUTO_FCLOSE FILE *f = open_of(s, pid, "maps");
	char line[PATH_MAX + 128];
	while (f && fgets(line, sizeof(line), f)) {
		char *path = strchr(line, '/');
		char *name = path ? strrchr(path, '/') : NULL;
		if (!name || strncmp(name + 1, PREFIX, sizeof(PREFIX) - 1) != 0 ||
		    strncmp(path, "/dev/shm/", 9) != 0)
			continue;
		path[strcspn(path, "\n")] = 0;
		if (see(s, path))
			return true;
	}
	return false;
}

static bool is_shared(struct scan *s, const char *path)
{
	for (unsigned i = 0; i < s->n_shared; i++)
		if (strcmp(s->shared[i], path) == 0)
			return true;
	return false;
}

static bool note_shared(struct scan *s, const char *path)
{
	if (!is_shared(s, path) && s->n_shared < SHARED_MAX)
		snprintf(s->shared[s->n_shared++], sizeof(s->shared[0]), "%s", path);
	return false;
}

static bool has_software_gpus(const char *shm)
{
	DIR *d = opendir(shm);
	bool found = false;
	for (const struct dirent *e; d && !found && (e = readdir(d));)
		found = strncmp(e->d_name, PREFIX, sizeof(PREFIX) - 1) == 0;
	if (d)
		closedir(d);
	return found;
}

/* ---------------------------------------------------------------- whose it is */

/* Its parent, and where its stack begins: exec chooses a new place, fork keeps it. 0: not known. */
static pid_t parent_of(const struct scan *s, pid_t pid, unsigned long *stack)
{
	REIN_AUTO_FCLOSE FILE *f = open_of(s, pid, "stat");
	char line[1024];
	int parent = 0;
	*stack = 0;
	const char *after = f && fgets(line, sizeof(line), f) ? strrchr(line, ')') : NULL;
	if (after && sscanf(after + 1,
	                    " %*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d "
	                    "%*d %*d %*u %*u %*d %*u %*u %*u %lu",
	                    &parent, stack) < 1)
		return 0;
	return (pid_t)parent;
}

static bool is_fork_of_client(const struct scan *s, pid_t pid)
{
	unsigned long stack, above;
	pid_t parent = parent_of(s, pid, &stack);
	for (unsigned i = 0; parent > 1 && i < ANCESTORS_MAX; i++) {
		pid_t grandparent = parent_of(s, parent, &above);
		if (!stack || stack != above)
			return false;
		if (is_client(s, parent))
			return true;
		parent = grandparent;
	}
	return false;
}

static void read_comm(const struct scan *s, pid_t pid, char *comm, size_t len)
{
	REIN_AUTO_FCLOSE FILE *f = open_of(s, pid, "comm");
	char line[64] = "";
	if (!f || !fgets(line, sizeof(line), f))
		snprintf(line, sizeof(line), "?");
	line[strcspn(line, "\n")] = 0;
	rein_printable(comm, len, line);
}

static bool is_manager(const char *comm)
{
	for (unsigned i = 0; i < REIN_ARRAY_LEN(managers); i++)
		if (strcmp(managers[i], comm) == 0)
			return true;
	return false;
}

static void look_at(struct scan *s, pid_t pid, struct rein_bystanders *out)
{
	char comm[sizeof(out->process[0].comm)];
	if (is_client(s, pid) || pid == getpid())
		return;
	if (!(s->real && has_device_open(s, pid)) &&
	    !(s->n_shared && each_mapped(s, pid, is_shared)))
		return;
	read_comm(s, pid, comm, sizeof(comm));
	if (is_manager(comm) || is_fork_of_client(s, pid))
		return;
	if (out->n < REIN_BYSTANDERS_MAX) {
		out->process[out->n].pid = pid;
		memcpy(out->process[out->n].comm, comm, sizeof(comm));
	}
	out->n++;
}

void rein_bystander_scan(const char *proc, const char *shm, const pid_t *client, unsigned n_clients,
                         struct rein_bystanders *out)
{
	struct scan s = {.proc = proc, .client = client, .n_clients = n_clients};
	memset(out, 0, sizeof(*out));
	if (has_software_gpus(shm))
		for (unsigned i = 0; i < n_clients; i++)
			(void)each_mapped(&s, client[i], note_shared);
	s.real = !s.n_shared;
	for (unsigned i = 0; i < n_clients && !s.real; i++)
		s.real = has_device_open(&s, client[i]);
	DIR *d = opendir(proc);
	for (const struct dirent *e; d && (e = readdir(d));)
		if (isdigit((unsigned char)e->d_name[0]))
			look_at(&s, (pid_t)strtol(e->d_name, NULL, 10), out);
	if (d)
		closedir(d);
}
