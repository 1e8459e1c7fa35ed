/* A periodic timer that nobody reads for a while. */
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/timerfd.h>
#include <unistd.h>

int main(void) {
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    struct itimerspec every = {.it_interval = {1, 0}, .it_value = {1, 0}};
    uint64_t count = 0;
    timerfd_settime(fd, 0, &every, NULL);
    fork(); /* two processes with the same timer: it is moved once */
    puts("ready");
    fflush(stdout);
    while (count < 50) {
        poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, -1);
        uint64_t more = 0;
        if (read(fd, &more, sizeof more) == sizeof more)
            count += more;
    }
    printf("expired %lu\n", count);
    fflush(stdout);
    for (;;)
        pause();
}
