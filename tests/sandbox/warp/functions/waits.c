/* Each wait of libc that has a limit, and of the kernel's by way of syscall(), for 1, 2 and 8 units of time: each in a thread of its own.
   Prints `fired NAME UNITS AFTER BY-WALL`, and `ready`. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

static double unit, start, wall;

static double now(clockid_t id) {
    struct timespec t;
    clock_gettime(id, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static struct timespec span(double seconds) { return (struct timespec){(time_t)seconds, (long)((seconds - (time_t)seconds) * 1e9)}; }
static struct timespec deadline(clockid_t id, double seconds) { return span(now(id) + seconds); }
static pthread_mutex_t *held(void) {
    pthread_mutex_t *mutex = calloc(1, sizeof *mutex);
    pthread_mutex_init(mutex, NULL);
    return mutex;
}
static void *hold(void *mutex) {
    pthread_mutex_lock(mutex);
    pause();
    return NULL;
}
static pthread_mutex_t *foreign(void) {
    pthread_t thread;
    pthread_mutex_t *mutex = held();
    pthread_create(&thread, NULL, hold, mutex);
    while (pthread_mutex_trylock(mutex) == 0)
        pthread_mutex_unlock(mutex), sched_yield();
    return mutex;
}
static pthread_rwlock_t *written(void) {
    pthread_rwlock_t *lock = calloc(1, sizeof *lock);
    pthread_rwlock_init(lock, NULL);
    return lock;
}
static void *hold_rw(void *lock) {
    pthread_rwlock_wrlock(lock);
    pause();
    return NULL;
}
static pthread_rwlock_t *foreign_rw(void) {
    pthread_t thread;
    pthread_rwlock_t *lock = written();
    pthread_create(&thread, NULL, hold_rw, lock);
    while (pthread_rwlock_trywrlock(lock) == 0)
        pthread_rwlock_unlock(lock), sched_yield();
    return lock;
}

#define WAIT(name, ...)                                 \
    static int name(double seconds) {                   \
        struct timespec real = deadline(CLOCK_REALTIME, seconds), mono = deadline(CLOCK_MONOTONIC, seconds), left = span(seconds); \
        (void)real, (void)mono, (void)left;             \
        __VA_ARGS__                                     \
    }

/* Each answers 0 when it ended by its limit. */
WAIT(nanosleep_, return nanosleep(&left, NULL);)
WAIT(clock_nanosleep_, return clock_nanosleep(CLOCK_MONOTONIC, 0, &left, NULL);)
WAIT(clock_nanosleep_until, return clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &real, NULL);)
WAIT(usleep_, return usleep(seconds * 1e6);)
WAIT(thrd_sleep_, return thrd_sleep(&left, NULL);)
WAIT(poll_, return poll(NULL, 0, seconds * 1000);)
WAIT(ppoll_, return ppoll(NULL, 0, &left, NULL);)
WAIT(select_, return select(0, NULL, NULL, NULL, &(struct timeval){left.tv_sec, left.tv_nsec / 1000});)
WAIT(pselect_, return pselect(0, NULL, NULL, NULL, &left, NULL);)
WAIT(sem_timedwait_, sem_t s; sem_init(&s, 0, 0); return !(sem_timedwait(&s, &real) < 0 && errno == ETIMEDOUT);)
WAIT(sem_clockwait_, sem_t s; sem_init(&s, 0, 0); return !(sem_clockwait(&s, CLOCK_MONOTONIC, &mono) < 0 && errno == ETIMEDOUT);)
WAIT(cond_timedwait, pthread_cond_t c = PTHREAD_COND_INITIALIZER; pthread_mutex_t *m = held(); pthread_mutex_lock(m);
     return pthread_cond_timedwait(&c, m, &real) != ETIMEDOUT;)
WAIT(cond_clockwait, pthread_cond_t c = PTHREAD_COND_INITIALIZER; pthread_mutex_t *m = held(); pthread_mutex_lock(m);
     return pthread_cond_clockwait(&c, m, CLOCK_MONOTONIC, &mono) != ETIMEDOUT;)
WAIT(mutex_timedlock, return pthread_mutex_timedlock(foreign(), &real) != ETIMEDOUT;)
WAIT(mutex_clocklock, return pthread_mutex_clocklock(foreign(), CLOCK_MONOTONIC, &mono) != ETIMEDOUT;)
WAIT(mutex_inheriting, pthread_mutexattr_t a; pthread_mutexattr_init(&a); pthread_mutexattr_setprotocol(&a, PTHREAD_PRIO_INHERIT);
     pthread_mutex_t *m = calloc(1, sizeof *m); pthread_mutex_init(m, &a); pthread_t t; pthread_create(&t, NULL, hold, m);
     while (pthread_mutex_trylock(m) == 0) pthread_mutex_unlock(m), sched_yield(); return pthread_mutex_timedlock(m, &real) != ETIMEDOUT;)
WAIT(rwlock_timedrdlock, return pthread_rwlock_timedrdlock(foreign_rw(), &real) != ETIMEDOUT;)
WAIT(rwlock_clockwrlock, return pthread_rwlock_clockwrlock(foreign_rw(), CLOCK_MONOTONIC, &mono) != ETIMEDOUT;)
WAIT(timedjoin, pthread_t t; pthread_create(&t, NULL, hold, held()); return pthread_timedjoin_np(t, NULL, &real) != ETIMEDOUT;)
WAIT(cnd_timedwait_, cnd_t c; mtx_t m; cnd_init(&c); mtx_init(&m, mtx_timed); mtx_lock(&m); return cnd_timedwait(&c, &m, &real) != thrd_timedout;)
WAIT(futex_for, static int word; return !(syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &left, NULL, 0) < 0 && errno == ETIMEDOUT);)
WAIT(futex_until, static int word;
     return !(syscall(SYS_futex, &word, FUTEX_WAIT_BITSET_PRIVATE | FUTEX_CLOCK_REALTIME, 0, &real, NULL, FUTEX_BITSET_MATCH_ANY) < 0 && errno == ETIMEDOUT);)
/* The kernel's own timers, waited for without a limit. */
static int timer(clockid_t id, int flags, struct timespec at) {
    uint64_t count;
    int fd = timerfd_create(id, 0);
    timerfd_settime(fd, flags, &(struct itimerspec){.it_value = at}, NULL);
    return read(fd, &count, sizeof count) != sizeof count || count != 1;
}
WAIT(timerfd_for, return timer(CLOCK_BOOTTIME, 0, left);)
WAIT(timerfd_until, return timer(CLOCK_REALTIME, TFD_TIMER_ABSTIME, real);)
WAIT(timerfd_in_epoll, int e = epoll_create1(0); int fd = timerfd_create(CLOCK_MONOTONIC, 0); struct epoll_event v = {.events = EPOLLIN};
     epoll_ctl(e, EPOLL_CTL_ADD, fd, &v); timerfd_settime(fd, TFD_TIMER_ABSTIME, &(struct itimerspec){.it_value = mono}, NULL);
     int n; while ((n = epoll_wait(e, &v, 1, -1)) < 0 && errno == EINTR); return n != 1;)

static const struct way {
    const char *name;
    int (*wait)(double);
} ways[] = {
    {"nanosleep", nanosleep_}, {"clock_nanosleep", clock_nanosleep_}, {"clock_nanosleep-until", clock_nanosleep_until}, {"usleep", usleep_},
    {"thrd_sleep", thrd_sleep_}, {"poll", poll_}, {"ppoll", ppoll_}, {"select", select_}, {"pselect", pselect_}, {"sem_timedwait", sem_timedwait_},
    {"sem_clockwait", sem_clockwait_}, {"cond_timedwait", cond_timedwait}, {"cond_clockwait", cond_clockwait}, {"mutex_timedlock", mutex_timedlock},
    {"mutex_clocklock", mutex_clocklock}, {"mutex-inheriting", mutex_inheriting}, {"rwlock_timedrdlock", rwlock_timedrdlock},
    {"rwlock_clockwrlock", rwlock_clockwrlock}, {"timedjoin", timedjoin}, {"cnd_timedwait", cnd_timedwait_}, {"futex-for", futex_for},
    {"futex-until", futex_until}, {"timerfd-for", timerfd_for}, {"timerfd-until", timerfd_until}, {"timerfd-in-epoll", timerfd_in_epoll},
};

struct job {
    const struct way *way;
    int units;
};

static void *work(void *given) {
    struct job *job = given;
    int wrong = job->way->wait(job->units * unit);
    double after = (now(CLOCK_MONOTONIC) - start) / unit;
    struct timeval t;
    gettimeofday(&t, NULL);
    double by_wall = (t.tv_sec + t.tv_usec / 1e6 - wall) / unit;
    printf("%s %s %d %.4f %.4f\n", wrong ? "wrong" : "fired", job->way->name, job->units, after, by_wall);
    return NULL;
}

int main(int count, char **given) {
    (void)count;
    setvbuf(stdout, NULL, _IOLBF, 0);
    unit = atof(given[1]);
    start = now(CLOCK_MONOTONIC), wall = now(CLOCK_REALTIME);
    for (unsigned number = 0; number < sizeof ways / sizeof *ways; number++)
        for (int units = 1; units <= 8; units *= units == 2 ? 4 : 2) {
            pthread_t thread;
            struct job *job = malloc(sizeof *job);
            *job = (struct job){&ways[number], units};
            pthread_create(&thread, NULL, work, job);
        }
    nanosleep(&(struct timespec){0, 200000000}, NULL);
    puts("ready");
    for (;;)
        pause();
}
