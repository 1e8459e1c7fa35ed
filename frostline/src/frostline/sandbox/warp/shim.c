/* The part of a time warp that lies in a function's processes: their clocks are the machine's plus an offset that Frostline moves.
 *
 * Loaded before everything else by way of /etc/ld.so.preload. The offset is in a small file that is mapped read-only; Frostline writes it while
 * every process of the environment is frozen. What is done here, and nothing else:
 *
 *   clocks            the offset is added
 *   deadlines         the offset is taken off again, because the kernel's clocks do not move. They are passed in a `struct deadline`: whoever moves
 *                     the offset also moves the deadlines that are being waited for (see warp/threads.py, which knows its layout)
 *   waits for a time  at a warp they end with EINTR, and go on here with what is left by then
 *
 * No threads, no signals, no allocation, and no wait is cut into slices: a process that is never warped pays for an addition a call.
 * For glibc, on x86-64 and aarch64.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/times.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

#ifndef __GLIBC__
#error "the time warp is made for glibc"
#endif

/* libc's headers say that nobody passes NULL; some do. */
#if defined __clang__
#pragma clang diagnostic ignored "-Wtautological-pointer-compare"
#elif defined __GNUC__
#pragma GCC diagnostic ignored "-Wnonnull-compare"
#endif

#define PUBLIC __attribute__((visibility("default")))
#define SECOND 1000000000L

/* The clock file: warp/clockfile.py writes it. */
#define CLOCK_FILE "/etc/frostline/clock"
#define CLOCK_MAGIC 0x4b434f4c43545346UL

struct clock_file {
    uint64_t magic;
    uint64_t generation; /* how often the offset was moved */
    int64_t ahead;       /* nanoseconds */
};

static const struct clock_file standing; /* where there is no clock file: nothing ever moves */
static const volatile struct clock_file *the_clock;

/* Set from outside where the clocks that libc reads are moved already: in Go programs, which do not ask libc (see warp/vdso.py). */
PUBLIC volatile int frostline_clocks_move_outside;

static const volatile struct clock_file *open_clock(void) {
    int saved = errno;
    const volatile struct clock_file *found = &standing;
    int fd = open(CLOCK_FILE, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        void *page = mmap(NULL, sizeof *found, PROT_READ, MAP_SHARED, fd, 0);
        if (page != MAP_FAILED && ((struct clock_file *)page)->magic == CLOCK_MAGIC)
            found = page;
        close(fd);
    }
    the_clock = found;
    errno = saved;
    return found;
}

/* Not only from the constructor: other libraries' constructors, which may run earlier, read clocks too. */
static inline const volatile struct clock_file *clock_file(void) {
    const volatile struct clock_file *found = the_clock;
    return __builtin_expect(found != NULL, 1) ? found : open_clock();
}

__attribute__((constructor)) static void begin(void) { clock_file(); }

/* libc's own functions. Condition variables have an older version of each function, which a plain dlsym could find (pthread_cond_wait.c). */
static void *find(const char *name) {
    void *found = dlvsym(RTLD_NEXT, name, "GLIBC_2.3.2");
    return found != NULL ? found : dlsym(RTLD_NEXT, name);
}

#define LIBC(name)                                                              \
    ({                                                                          \
        static __typeof__(&name) known;                                         \
        __typeof__(&name) function = __atomic_load_n(&known, __ATOMIC_RELAXED); \
        if (__builtin_expect(function == NULL, 0)) {                            \
            function = (__typeof__(&name))find(#name);                          \
            __atomic_store_n(&known, function, __ATOMIC_RELAXED);               \
        }                                                                       \
        function;                                                               \
    })

/* A system call, and nothing else: the result is negative for an error. */
static inline long ask_kernel(long number, long a, long b, long c, long d, long e, long f) {
#if defined __x86_64__
    register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
    return result;
#elif defined __aarch64__
    register long x8 __asm__("x8") = number, x0 __asm__("x0") = a, x1 __asm__("x1") = b, x2 __asm__("x2") = c, x3 __asm__("x3") = d,
                  x4 __asm__("x4") = e, x5 __asm__("x5") = f;
    __asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
    return x0;
#else
#error "the time warp is made for x86-64 and aarch64"
#endif
}

/* ---- Clocks ------------------------------------------------------------------------------------------------------------------------------ */

static inline int moves(clockid_t id) {
    const unsigned moving = 1U << CLOCK_REALTIME | 1U << CLOCK_MONOTONIC | 1U << CLOCK_MONOTONIC_RAW | 1U << CLOCK_REALTIME_COARSE |
                            1U << CLOCK_MONOTONIC_COARSE | 1U << CLOCK_BOOTTIME | 1U << CLOCK_REALTIME_ALARM | 1U << CLOCK_BOOTTIME_ALARM |
                            1U << CLOCK_TAI;
    return (unsigned)id < 32 && (moving >> id & 1);
}

static inline struct timespec sum(struct timespec a, int64_t seconds, int64_t nanoseconds) {
    a.tv_sec += seconds;
    a.tv_nsec += nanoseconds;
    if (a.tv_nsec >= SECOND) {
        a.tv_nsec -= SECOND;
        a.tv_sec++;
    } else if (a.tv_nsec < 0) {
        a.tv_nsec += SECOND;
        a.tv_sec--;
    }
    return a;
}

static inline int is_time(const struct timespec *t) { return t->tv_nsec >= 0 && t->tv_nsec < SECOND; }
static inline int is_zero(const struct timespec *t) { return t->tv_sec == 0 && t->tv_nsec == 0; }

PUBLIC int clock_gettime(clockid_t id, struct timespec *now) {
    int result = LIBC(clock_gettime)(id, now);
    if (result == 0 && moves(id) && !frostline_clocks_move_outside) {
        int64_t ahead = clock_file()->ahead;
        *now = sum(*now, ahead / SECOND, ahead % SECOND);
    }
    return result;
}

static inline struct timespec read_clock(clockid_t id) {
    struct timespec now = {0, 0};
    clock_gettime(id, &now);
    return now;
}

PUBLIC int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    if (zone != NULL) { /* rare; only the kernel knows the zone */
        struct timeval unmoved;
        if (LIBC(gettimeofday)(&unmoved, zone) != 0)
            return -1;
    }
    if (now != NULL) {
        struct timespec moved = read_clock(CLOCK_REALTIME);
        now->tv_sec = moved.tv_sec;
        now->tv_usec = moved.tv_nsec / 1000;
    }
    return 0;
}

PUBLIC time_t time(time_t *now) {
    time_t seconds = read_clock(CLOCK_REALTIME_COARSE).tv_sec;
    if (now != NULL)
        *now = seconds;
    return seconds;
}

PUBLIC int timespec_get(struct timespec *now, int base) {
    return base == TIME_UTC && clock_gettime(CLOCK_REALTIME, now) == 0 ? base : 0;
}

PUBLIC clock_t times(struct tms *used) {
    return LIBC(times)(used) + clock_file()->ahead / (SECOND / sysconf(_SC_CLK_TCK));
}

/* ---- What is left of a wait -------------------------------------------------------------------------------------------------------------- */

static inline uint64_t generation(void) { return clock_file()->generation; }

/* Whether a call that has just failed did so because the clocks were moved. A signal's EINTR at that very moment looks the same. */
static inline int was_warped(int error, uint64_t before) { return error == EINTR && generation() != before; }

static inline struct timespec after(struct timespec duration) {
    struct timespec now = read_clock(CLOCK_MONOTONIC);
    return sum(now, duration.tv_sec, duration.tv_nsec);
}

/* Until a time on the moved monotonic clock; zero when it has passed. */
static inline struct timespec left_until(struct timespec end) {
    struct timespec now = read_clock(CLOCK_MONOTONIC), left = sum(end, -now.tv_sec, -now.tv_nsec);
    return left.tv_sec < 0 ? (struct timespec){0, 0} : left;
}

/* ---- Deadlines --------------------------------------------------------------------------------------------------------------------------- */

#define DEADLINE_MAGIC 0x454e494c44414544UL

struct deadline {
    struct timespec at; /* on the machine's clock */
    volatile uint64_t magic;
};

/* The machine's time for a moved one. Before the machine's clock began is as good as when it began. */
static struct timespec unmoved(struct timespec moved) {
    struct timespec at;
    if (frostline_clocks_move_outside) {
        struct timespec here = read_clock(CLOCK_MONOTONIC), machine;
        ask_kernel(SYS_clock_gettime, CLOCK_MONOTONIC, (long)&machine, 0, 0, 0, 0);
        struct timespec ahead = sum(here, -machine.tv_sec, -machine.tv_nsec);
        at = sum(moved, -ahead.tv_sec, -ahead.tv_nsec);
    } else {
        int64_t ahead = clock_file()->ahead;
        at = sum(moved, -(ahead / SECOND), -(ahead % SECOND));
    }
    return at.tv_sec < 0 ? (struct timespec){0, 0} : at;
}

/* Calls `name` with `until` on the machine's clock; an impossible time is libc's to refuse. libc waits in a loop and reads the deadline anew each
   time, so when it is moved where it lies, the wait ends when it should. */
#define WITH_DEADLINE(name, ...)                                   \
    ({                                                             \
        __typeof__(name(__VA_ARGS__)) result;                      \
        if (until == NULL || !is_time(until)) {                    \
            result = LIBC(name)(__VA_ARGS__);                      \
        } else {                                                   \
            struct deadline deadline = {unmoved(*until), DEADLINE_MAGIC}; \
            until = &deadline.at;                                  \
            result = LIBC(name)(__VA_ARGS__);                      \
            deadline.magic = 0;                                    \
        }                                                          \
        result;                                                    \
    })

typedef const struct timespec *Until;

PUBLIC int pthread_cond_timedwait(pthread_cond_t *restrict condition, pthread_mutex_t *restrict mutex, Until restrict until) {
    return WITH_DEADLINE(pthread_cond_timedwait, condition, mutex, until);
}

PUBLIC int pthread_cond_clockwait(pthread_cond_t *restrict condition, pthread_mutex_t *restrict mutex, clockid_t id, Until restrict until) {
    return WITH_DEADLINE(pthread_cond_clockwait, condition, mutex, id, until);
}

PUBLIC int pthread_mutex_timedlock(pthread_mutex_t *restrict mutex, Until restrict until) {
    return WITH_DEADLINE(pthread_mutex_timedlock, mutex, until);
}

PUBLIC int pthread_mutex_clocklock(pthread_mutex_t *restrict mutex, clockid_t id, Until restrict until) {
    return WITH_DEADLINE(pthread_mutex_clocklock, mutex, id, until);
}

PUBLIC int pthread_rwlock_timedrdlock(pthread_rwlock_t *restrict lock, Until restrict until) {
    return WITH_DEADLINE(pthread_rwlock_timedrdlock, lock, until);
}

PUBLIC int pthread_rwlock_timedwrlock(pthread_rwlock_t *restrict lock, Until restrict until) {
    return WITH_DEADLINE(pthread_rwlock_timedwrlock, lock, until);
}

PUBLIC int pthread_rwlock_clockrdlock(pthread_rwlock_t *restrict lock, clockid_t id, Until restrict until) {
    return WITH_DEADLINE(pthread_rwlock_clockrdlock, lock, id, until);
}

PUBLIC int pthread_rwlock_clockwrlock(pthread_rwlock_t *restrict lock, clockid_t id, Until restrict until) {
    return WITH_DEADLINE(pthread_rwlock_clockwrlock, lock, id, until);
}

PUBLIC int pthread_timedjoin_np(pthread_t thread, void **value, Until until) { return WITH_DEADLINE(pthread_timedjoin_np, thread, value, until); }

PUBLIC int pthread_clockjoin_np(pthread_t thread, void **value, clockid_t id, Until until) {
    return WITH_DEADLINE(pthread_clockjoin_np, thread, value, id, until);
}

PUBLIC int cnd_timedwait(cnd_t *restrict condition, mtx_t *restrict mutex, Until restrict until) {
    return WITH_DEADLINE(cnd_timedwait, condition, mutex, until);
}

PUBLIC int mtx_timedlock(mtx_t *restrict mutex, Until restrict until) { return WITH_DEADLINE(mtx_timedlock, mutex, until); }

/* Semaphores hand EINTR to their caller. */
static int sem_wait_until(sem_t *semaphore, const clockid_t *id, Until given) {
    for (;;) {
        uint64_t before = generation();
        Until until = given;
        int result = id == NULL ? WITH_DEADLINE(sem_timedwait, semaphore, until) : WITH_DEADLINE(sem_clockwait, semaphore, *id, until);
        if (result == 0 || !was_warped(errno, before))
            return result;
    }
}

PUBLIC int sem_timedwait(sem_t *restrict semaphore, Until restrict until) { return sem_wait_until(semaphore, NULL, until); }

PUBLIC int sem_clockwait(sem_t *restrict semaphore, clockid_t id, Until restrict until) { return sem_wait_until(semaphore, &id, until); }

/* Timers of the kernel: those that run already are moved from outside (warp/timers.py). A value of zero would disarm them. */
static struct itimerspec unmoved_timer(struct itimerspec given) {
    if (is_time(&given.it_value) && !is_zero(&given.it_value)) {
        given.it_value = unmoved(given.it_value);
        if (is_zero(&given.it_value))
            given.it_value.tv_nsec = 1;
    }
    return given;
}

PUBLIC int timerfd_settime(int fd, int flags, const struct itimerspec *value, struct itimerspec *old) {
    if (value == NULL || !(flags & TFD_TIMER_ABSTIME))
        return LIBC(timerfd_settime)(fd, flags, value, old);
    struct itimerspec at = unmoved_timer(*value);
    return LIBC(timerfd_settime)(fd, flags, &at, old);
}

PUBLIC int timer_settime(timer_t timer, int flags, const struct itimerspec *restrict value, struct itimerspec *restrict old) {
    if (value == NULL || !(flags & TIMER_ABSTIME))
        return LIBC(timer_settime)(timer, flags, value, old);
    struct itimerspec at = unmoved_timer(*value);
    return LIBC(timer_settime)(timer, flags, &at, old);
}

/* ---- Waits for a time ------------------------------------------------------------------------------------------------------------------- */

PUBLIC int clock_nanosleep(clockid_t id, int flags, const struct timespec *wanted, struct timespec *rest) {
    if (!moves(id) || !is_time(wanted))
        return LIBC(clock_nanosleep)(id, flags, wanted, rest);
    int absolute = flags & TIMER_ABSTIME;
    struct timespec end = absolute ? *wanted : after(*wanted), next = *wanted;
    for (;;) {
        uint64_t before = generation();
        if (absolute)
            next = unmoved(end);
        int error = LIBC(clock_nanosleep)(id, flags, &next, rest);
        if (!was_warped(error, before))
            return error;
        if (!absolute) {
            next = left_until(end);
            if (is_zero(&next))
                return 0;
        }
    }
}

PUBLIC int nanosleep(const struct timespec *wanted, struct timespec *rest) {
    int error = clock_nanosleep(CLOCK_MONOTONIC, 0, wanted, rest);
    if (error != 0)
        errno = error;
    return error == 0 ? 0 : -1;
}

PUBLIC int usleep(useconds_t microseconds) {
    return nanosleep(&(struct timespec){microseconds / 1000000, (long)(microseconds % 1000000) * 1000}, NULL);
}

PUBLIC unsigned sleep(unsigned seconds) {
    struct timespec rest = {0, 0};
    if (nanosleep(&(struct timespec){seconds, 0}, &rest) == 0)
        return 0;
    return (unsigned)rest.tv_sec + (rest.tv_nsec >= SECOND / 2); /* as glibc rounds */
}

PUBLIC int thrd_sleep(const struct timespec *wanted, struct timespec *rest) {
    int error = clock_nanosleep(CLOCK_REALTIME, 0, wanted, rest);
    return error == 0 ? 0 : error == EINTR ? -1 : -2;
}

static int milliseconds(struct timespec left) { return (int)(left.tv_sec * 1000 + (left.tv_nsec + 999999) / 1000000); }

PUBLIC int poll(struct pollfd *files, nfds_t count, int timeout) {
    if (timeout == 0)
        return LIBC(poll)(files, count, timeout);
    struct timespec end = timeout < 0 ? (struct timespec){0, 0} : after((struct timespec){timeout / 1000, timeout % 1000 * 1000000L});
    for (int next = timeout;;) {
        uint64_t before = generation();
        int result = LIBC(poll)(files, count, next);
        if (result >= 0 || !was_warped(errno, before))
            return result;
        if (timeout > 0)
            next = milliseconds(left_until(end));
    }
}

PUBLIC int ppoll(struct pollfd *files, nfds_t count, const struct timespec *timeout, const sigset_t *mask) {
    if (timeout == NULL || !is_time(timeout))
        return LIBC(ppoll)(files, count, timeout, mask);
    struct timespec end = after(*timeout), next = *timeout;
    for (;;) {
        uint64_t before = generation();
        int result = LIBC(ppoll)(files, count, &next, mask);
        if (result >= 0 || !was_warped(errno, before))
            return result;
        next = left_until(end);
    }
}

/* What programs call instead that were compiled with _FORTIFY_SOURCE. */
PUBLIC int __poll_chk(struct pollfd *files, nfds_t count, int timeout, size_t size) {
    if (size / sizeof *files < count)
        __builtin_trap();
    return poll(files, count, timeout);
}

PUBLIC int __ppoll_chk(struct pollfd *files, nfds_t count, const struct timespec *timeout, const sigset_t *mask, size_t size) {
    if (size / sizeof *files < count)
        __builtin_trap();
    return ppoll(files, count, timeout, mask);
}

PUBLIC int pselect(int count, fd_set *restrict in, fd_set *restrict out, fd_set *restrict other, const struct timespec *restrict timeout,
                   const sigset_t *restrict mask) {
    if (timeout == NULL || !is_time(timeout))
        return LIBC(pselect)(count, in, out, other, timeout, mask);
    struct timespec end = after(*timeout), next = *timeout;
    for (;;) {
        uint64_t before = generation();
        int result = LIBC(pselect)(count, in, out, other, &next, mask);
        if (result >= 0 || !was_warped(errno, before)) /* after an error the sets are as they were: core_sys_select */
            return result;
        next = left_until(end);
    }
}

/* Linux leaves in the timeout what was not slept. */
PUBLIC int select(int count, fd_set *restrict in, fd_set *restrict out, fd_set *restrict other, struct timeval *restrict timeout) {
    if (timeout == NULL || timeout->tv_sec < 0 || timeout->tv_usec < 0)
        return LIBC(select)(count, in, out, other, timeout);
    struct timespec end = after((struct timespec){timeout->tv_sec + timeout->tv_usec / 1000000, timeout->tv_usec % 1000000 * 1000});
    for (;;) {
        uint64_t before = generation();
        int result = LIBC(select)(count, in, out, other, timeout);
        if (result >= 0 || !was_warped(errno, before))
            return result;
        struct timespec left = left_until(end);
        *timeout = (struct timeval){left.tv_sec, (left.tv_nsec + 999) / 1000};
    }
}

/* ---- syscall() --------------------------------------------------------------------------------------------------------------------------- */

static int is_absolute(long operation) {
    switch (operation & FUTEX_CMD_MASK) {
    case FUTEX_WAIT_BITSET:
    case FUTEX_WAIT_REQUEUE_PI:
    case FUTEX_LOCK_PI:
    case 13: /* FUTEX_LOCK_PI2, which older headers do not have */
        return 1;
    default:
        return 0;
    }
}

static long futex_wait(long word, long operation, long expected, const struct timespec *timeout, long word2, long last) {
    int absolute = is_absolute(operation);
    struct timespec end = absolute ? *timeout : after(*timeout);
    struct deadline next = {*timeout, absolute ? DEADLINE_MAGIC : 0};
    for (;;) {
        uint64_t before = generation();
        if (absolute)
            next.at = unmoved(end);
        long result = ask_kernel(SYS_futex, word, operation, expected, (long)&next.at, word2, last);
        if (!was_warped((int)-result, before)) {
            next.magic = 0;
            return result;
        }
        if (!absolute)
            next.at = left_until(end);
    }
}

/* Abseil (so gRPC), libstdc++ and Rust's standard library call the kernel's clocks and futexes this way. */
PUBLIC long syscall(long number, ...) {
    va_list list;
    va_start(list, number);
    long a = va_arg(list, long), b = va_arg(list, long), c = va_arg(list, long), d = va_arg(list, long), e = va_arg(list, long),
         f = va_arg(list, long), result;
    va_end(list);
    const struct timespec *timeout = (const struct timespec *)d;
    switch (number) {
    case SYS_clock_gettime:
        return clock_gettime((clockid_t)a, (struct timespec *)b);
    case SYS_gettimeofday:
        return gettimeofday((struct timeval *)a, (void *)b);
    case SYS_futex:
        if (timeout != NULL && ((b & FUTEX_CMD_MASK) == FUTEX_WAIT || is_absolute(b)) && is_time(timeout)) {
            result = futex_wait(a, b, c, timeout, e, f);
            break;
        }
        /* fall through */
    default:
        result = ask_kernel(number, a, b, c, d, e, f);
    }
    if (result < 0 && result > -4096) {
        errno = (int)-result;
        return -1;
    }
    return result;
}
