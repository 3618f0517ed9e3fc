// What a disk, a file system and a clock may answer, for dpgui alone and not for the programs that it starts:
//   TEST_FULL=FILE      while FILE exists, nothing can be written to regular files below TEST_FULL_BELOW
//   TEST_CLOCK=FILE     the time of day is wrong by the seconds that FILE holds
//   TEST_NO_LOCKS=DIR   files below DIR cannot be locked, as on a network share without locks
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static int is_dpgui(void) {
    static int known = -1;
    char program[PATH_MAX] = "";
    if (known < 0) {
        const char *name = readlink("/proc/self/exe", program, sizeof program - 1) > 0 ? strrchr(program, '/') : 0;
        known = name && !strcmp(name, "/dpgui");
    }
    return known;
}

static int is_below(int fd, const char *dir) {
    struct stat found;
    char link[64], path[PATH_MAX] = "";
    if (!dir || !is_dpgui() || fstat(fd, &found) || !S_ISREG(found.st_mode)) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    return readlink(link, path, sizeof path - 1) > 0 && !strncmp(path, dir, strlen(dir));
}

static int is_full(int fd) {
    const char *flag = getenv("TEST_FULL");
    if (!flag || access(flag, F_OK) || !is_below(fd, getenv("TEST_FULL_BELOW"))) return 0;
    errno = ENOSPC;
    return 1;
}

int flock(int fd, int operation) {
    if (is_below(fd, getenv("TEST_NO_LOCKS"))) {
        errno = ENOLCK;
        return -1;
    }
    return (int)syscall(SYS_flock, fd, operation);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int result = (int)syscall(SYS_clock_gettime, clock, now);
    const char *name = getenv("TEST_CLOCK");
    if (result || clock != CLOCK_REALTIME || !name || !is_dpgui()) return result;
    char text[32] = "";
    int file = (int)syscall(SYS_openat, AT_FDCWD, name, O_RDONLY | O_CLOEXEC);
    if (file >= 0 && read(file, text, sizeof text - 1) > 0) now->tv_sec += atol(text);
    close(file);
    return 0;
}

ssize_t write(int fd, const void *bytes, size_t count) {
    return is_full(fd) ? -1 : syscall(SYS_write, fd, bytes, count);
}

ssize_t writev(int fd, const struct iovec *pieces, int count) {
    return is_full(fd) ? -1 : syscall(SYS_writev, fd, pieces, count);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t at) {
    return is_full(fd) ? -1 : syscall(SYS_pwrite64, fd, bytes, count, at);
}
