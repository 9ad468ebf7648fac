/* Stops the clock of the day for a process that is started with this preloaded; the clock it waits by runs on.
 * libfaketime would do as much, but deadlocks under an allocator that reads the clock before it has found the real one. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* The unix second at which it stands. */
static time_t frozen(void) {
    static time_t at;
    if (at == 0) {
        const char *text = getenv("FROZEN_CLOCK_S");
        at = text ? (time_t)strtoll(text, NULL, 10) : 1;
    }
    return at;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    if (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE)
        return (int)syscall(SYS_clock_gettime, clock, now);
    now->tv_sec = frozen();
    now->tv_nsec = 0;
    return 0;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    (void)zone;
    now->tv_sec = frozen();
    now->tv_usec = 0;
    return 0;
}

time_t time(time_t *now) {
    if (now)
        *now = frozen();
    return frozen();
}
