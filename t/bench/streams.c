
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


/*
 * streams PORT COUNT: holds so many streams of events open and reads them.
 * Says "open" when all have begun, and at SIGTERM in one line how many are
 * still open, how many events came, how many of them not in order, how many
 * heartbeats, and the longest time in microseconds from the first stream that
 * had an event to the last one.
 */


#define _GNU_SOURCE

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>


#define STREAMS      1024
#define LINE         32               /* as much as tells what it is */
#define REQUEST                                                               \
    "GET /canary/events HTTP/1.1\r\n"                                         \
    "Host: 127.0.0.1\r\n\r\n"


typedef struct {
    int        fd;                    /* -1: it has ended */
    char       line[LINE];
    size_t     length;
    long long  last;                  /* id */
} stream_t;


static stream_t               streams[STREAMS];
static long                   begun, events, disordered, heartbeats, longest;
static long long              newest;
static long                   newest_came;
static volatile sig_atomic_t  stopped;


static void
fail(const char *what)
{
    perror(what);
    exit(1);
}


static void
stop(int signo)
{
    (void) signo;

    stopped = 1;
}


static long
now_us(void)
{
    struct timespec  now;

    (void) clock_gettime(CLOCK_MONOTONIC, &now);

    return now.tv_sec * 1000000L + now.tv_nsec / 1000;
}


static int
open_stream(in_port_t port)
{
    int                 fd;
    struct sockaddr_in  address = {
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)
    };

    fd = socket(AF_INET, SOCK_STREAM, 0);

    if (fd == -1
        || connect(fd, (struct sockaddr *) &address, sizeof(address)) == -1
        || write(fd, REQUEST, strlen(REQUEST)) == -1)
    {
        fail("connect");
    }

    return fd;
}


static void
take_event(stream_t *stream, long long id)
{
    long  now, late;

    now = now_us();

    if (id > newest) {
        newest = id;
        newest_came = now;
    }

    late = now - newest_came;

    if (id == newest && late > longest) {
        longest = late;
    }

    if (id <= stream->last) {
        disordered++;
    }

    stream->last = id;
    events++;
}


static void
take_line(stream_t *stream)
{
    stream->line[stream->length] = '\0';

    if (strncmp(stream->line, "id: ", 4) == 0) {
        take_event(stream, atoll(stream->line + 4));

    } else if (strcmp(stream->line, ":") == 0) {
        heartbeats++;

    } else if (strncmp(stream->line, "retry: ", 7) == 0) {
        begun++;
    }

    stream->length = 0;
}


static void
take(stream_t *stream)
{
    char     bytes[65536];
    ssize_t  n, i;

    n = read(stream->fd, bytes, sizeof(bytes));

    if (n <= 0) {
        (void) close(stream->fd);
        stream->fd = -1;
        return;
    }

    for (i = 0; i < n; i++) {
        if (bytes[i] == '\n') {
            take_line(stream);

        } else if (stream->length < LINE - 1) {
            stream->line[stream->length++] = bytes[i];
        }
    }
}


static void
run(int epoll, long count)
{
    int                 i, n, told = 0;
    struct epoll_event  ready[64];

    while (!stopped) {
        n = epoll_wait(epoll, ready, 64, 1000);

        if (n == -1 && errno != EINTR) {
            fail("epoll_wait");
        }

        for (i = 0; i < n; i++) {
            take(ready[i].data.ptr);
        }

        if (begun == count && !told) {
            told = 1;
            (void) printf("open\n");
            (void) fflush(stdout);
        }
    }
}


static long
still_open(long count)
{
    long  i, n;

    for (i = 0, n = 0; i < count; i++) {
        n += (streams[i].fd != -1);
    }

    return n;
}


int
main(int argc, char **argv)
{
    int                 epoll;
    long                i, count;
    struct rlimit       limit = { STREAMS + 64, STREAMS + 64 };
    struct sigaction    action = { .sa_handler = stop };
    struct epoll_event  event = { .events = EPOLLIN };

    count = (argc == 3) ? atol(argv[2]) : 0;

    if (count < 1 || count > STREAMS) {
        (void) fprintf(stderr, "usage: streams PORT COUNT\n");
        return 1;
    }

    (void) setrlimit(RLIMIT_NOFILE, &limit);
    (void) sigaction(SIGTERM, &action, NULL);

    epoll = epoll_create1(0);

    for (i = 0; i < count; i++) {
        streams[i].fd = open_stream((in_port_t) atoi(argv[1]));
        event.data.ptr = &streams[i];

        if (epoll_ctl(epoll, EPOLL_CTL_ADD, streams[i].fd, &event) == -1) {
            fail("epoll_ctl");
        }
    }

    run(epoll, count);

    (void) printf("result %ld %ld %ld %ld %ld\n", still_open(count), events,
                  disordered, heartbeats, longest);

    return 0;
}
