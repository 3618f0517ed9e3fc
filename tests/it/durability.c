// Writes down, for `durability.rs`, what the program puts through to the disk and what it gives a name.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static void note(const char *what, const char *one, const char *other) {
    char program[PATH_MAX] = "", line[3 * PATH_MAX];
    const char *list = getenv("TEST_NOTES");
    // Of dpgui alone, not of the programs that it starts.
    if (!list || readlink("/proc/self/exe", program, sizeof program - 1) < 0) return;
    const char *name = strrchr(program, '/');
    if (!name || strcmp(name, "/dpgui")) return;
    int size = snprintf(line, sizeof line, "%ld\t%s\t%s\t%s\n", syscall(SYS_gettid), what, one, other);
    int file = open(list, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (file < 0 || write(file, line, size) != size) abort();
    close(file);
}

static int synced(const char *call, int fd) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, call);
    int result = real(fd);
    char link[64], path[PATH_MAX] = "";
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    if (result == 0 && readlink(link, path, sizeof path - 1) > 0)
        note(strcmp(call, "syncfs") ? "sync" : "syncfs", path, "");
    return result;
}

int fsync(int fd) { return synced("fsync", fd); }
int fdatasync(int fd) { return synced("fdatasync", fd); }
int syncfs(int fd) { return synced("syncfs", fd); }

int rename(const char *from, const char *to) {
    int (*real)(const char *, const char *) = (int (*)(const char *, const char *))dlsym(RTLD_NEXT, "rename");
    note("name", from, to);
    return real(from, to);
}

int renameat2(int at, const char *from, int to_at, const char *to, unsigned flags) {
    note("name", from, to);
    return (int)syscall(SYS_renameat2, at, from, to_at, to, flags);
}
