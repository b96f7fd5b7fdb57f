// SPDX-License-Identifier: Apache-2.0
#include "locate.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "../common/env.h"

static bool is_file(const char *path, int mode)
{
	struct stat st;
	return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, mode) == 0;
}

/* The folder of the running binary. */
static int own_folder(char path[PATH_MAX])
{
	ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - 1);
	if (n < 0)
		return -errno;
	path[n] = 0;
	char *slash = strrchr(path, '/');
	if (!slash)
		return -ENOENT;
	*(slash == path ? slash + 1 : slash) = 0;
	return 0;
}

/* The first of the places, relative to our folder, that is such a file; its real path. */
static int find_own(const char *const *places, size_t n, int mode, char path[PATH_MAX])
{
	char own[PATH_MAX], candidate[PATH_MAX], searched[PATH_MAX] = "";
	int err = own_folder(own);
	if (err)
		return err;
	for (size_t i = 0; i < n; i++) {
		int len = snprintf(candidate, sizeof(candidate), "%s/%s", own, places[i]);
		if (len >= (int)sizeof(candidate))
			continue;
		if (is_file(candidate, mode))
			return realpath(candidate, path) ? 0 : -errno;
		size_t used = strlen(searched);
		len = snprintf(searched + used, sizeof(searched) - used, "%s%s", used ? ", " : "",
		               candidate);
		if (len < 0 || (size_t)len >= sizeof(searched) - used)
			searched[used] = 0;
	}
	memcpy(path, searched, sizeof(searched));
	return -ENOENT;
}

int rein_cli_locate_library(char path[PATH_MAX])
{
	static const char *const places[] = {"librein.so", "../lib/rein/librein.so"};
	const char *set = rein_env(REIN_ENV_LIB);
	if (!set || !*set)
		return find_own(places, REIN_ARRAY_LEN(places), R_OK, path);
	if (is_file(set, R_OK))
		return realpath(set, path) ? 0 : -errno;
	snprintf(path, PATH_MAX, "%s (from REIN_LIB)", set);
	return -ENOENT;
}

/* Installed it has a folder of its own, so that nothing else is found there. */
int rein_cli_locate_standin(char path[PATH_MAX])
{
	static const char *const places[] = {"libcuda.so.1", "../lib/rein/standin/libcuda.so.1"};
	return find_own(places, REIN_ARRAY_LEN(places), R_OK, path);
}

int rein_cli_locate_softgpu(const char *library, char path[PATH_MAX])
{
	char driver[PATH_MAX];
	const char *slash = strrchr(library, '/');
	int dir = slash ? (int)(slash - library) : 0;
	if (snprintf(path, PATH_MAX, "%.*s/softgpu", dir, library) >= PATH_MAX ||
	    snprintf(driver, sizeof(driver), "%s/libcuda.so.1", path) >= PATH_MAX)
		return -ENAMETOOLONG;
	return is_file(driver, R_OK) ? 0 : -ENOENT;
}

int rein_cli_locate_daemon(char path[PATH_MAX])
{
	static const char *const places[] = {"reind", "../libexec/rein/reind", "../sbin/reind"};
	char in_path[PATH_MAX];
	int err = find_own(places, REIN_ARRAY_LEN(places), X_OK, path);
	if (err && rein_cli_locate_program("reind", in_path) == 0) {
		memcpy(path, in_path, PATH_MAX);
		return 0;
	}
	return err;
}

int rein_cli_locate_probes(char *path, size_t len)
{
	static const char *const places[] = {"gpu/ctx_hold", "../libexec/rein/gpu/ctx_hold"};
	char file[PATH_MAX];
	int err = find_own(places, REIN_ARRAY_LEN(places), X_OK, file);
	if (!err)
		*strrchr(file, '/') = 0;
	if (snprintf(path, len, "%s", file) >= (int)len && !err)
		return -ENAMETOOLONG;
	return err;
}

static int check_program(const char *path)
{
	struct stat st;
	if (stat(path, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	return access(path, X_OK) < 0 ? -EACCES : 0;
}

int rein_cli_locate_program(const char *name, char path[PATH_MAX])
{
	if (strchr(name, '/')) {
		if (snprintf(path, PATH_MAX, "%s", name) >= PATH_MAX)
			return -ENAMETOOLONG;
		return check_program(path);
	}
	const char *dirs = rein_env(REIN_ENV_PATH);
	int result = -ENOENT;
	if (!*name)
		return result;
	for (const char *d = dirs ? dirs : "/bin:/usr/bin", *end;; d = end + 1) {
		end = strchrnul(d, ':');
		int len = (int)(end - d);
		/* an empty entry of PATH is the working directory */
		int n = snprintf(path, PATH_MAX, "%.*s%s%s", len, d, len ? "/" : "./", name);
		int err = n < PATH_MAX ? check_program(path) : -ENAMETOOLONG;
		if (err == 0)
			return 0;
		/* as execvp: a file that may not be run is the answer only if nothing better comes
		 */
		if (err == -EACCES)
			result = err;
		if (!*end)
			return result;
	}
}

/* Of a script: what its first line names; `env` runs what its argument names. */
static bool find_interpreter(const char *path, char interpreter[PATH_MAX])
{
	static const char blank[] = " \t\n";
	char line[256], *rest; /* the kernel looks at no more */
	REIN_AUTO_FCLOSE FILE *f = is_file(path, R_OK) ? fopen(path, "re") : NULL;
	if (!f || !fgets(line, sizeof(line), f) || strncmp(line, "#!", 2) != 0)
		return false;
	char *word = strtok_r(line + 2, blank, &rest);
	const char *slash = word ? strrchr(word, '/') : NULL;
	if (slash && strcmp(slash, "/env") == 0)
		do
			word = strtok_r(NULL, blank, &rest);
		while (word && (*word == '-' || strchr(word, '=')));
	return word && rein_cli_locate_program(word, interpreter) == 0;
}

void rein_cli_locate_exe(const char *program, char *exe, size_t len)
{
	char path[PATH_MAX], next[PATH_MAX];
	snprintf(path, sizeof(path), "%s", program);
	for (unsigned i = 0; i < 4 && find_interpreter(path, next); i++)
		memcpy(path, next, sizeof(path));
	*exe = 0;
	if (realpath(path, next) && strlen(next) < len)
		strcpy(exe, next);
}

bool rein_cli_is_privileged(const char *path)
{
	struct stat st;
	char caps[64];
	if (stat(path, &st) < 0)
		return false;
	return ((st.st_mode & S_ISUID) && st.st_uid != geteuid()) ||
	       ((st.st_mode & S_ISGID) && st.st_gid != getegid()) ||
	       (geteuid() != 0 && getxattr(path, "security.capability", caps, sizeof(caps)) > 0);
}
