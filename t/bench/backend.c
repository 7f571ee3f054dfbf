
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


/*
 * backend PORT PORT: two releases that take as little time as possible, so
 * that the proxy before them is what limits the rate.  Connections to the
 * first port are answered "v1", those to the second "v2".  A request has no
 * body, and comes in one piece.
 */


#define _GNU_SOURCE

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>


#define CONNECTIONS  16384
#define ANSWER(release)                                                       \
    "HTTP/1.1 200 OK\r\n"                                                     \
    "Date: Mon, 23 Nov 2026 00:00:00 GMT\r\n"                                 \
    "Content-Type: text/plain\r\n"                                            \
    "Content-Length: 3\r\n\r\n" release "\n"


static const char  *answers[] = { ANSWER("v1"), ANSWER("v2") };

static int            listeners[2];
static unsigned char  release_of[CONNECTIONS];    /* by descriptor */


static void
fail(const char *what)
{
    perror(what);
    exit(1);
}


static void
watch(int epoll, int fd)
{
    struct epoll_event  event = { .events = EPOLLIN, .data.fd = fd };

    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == -1) {
        fail("epoll_ctl");
    }
}


static int
listen_on(const char *port)
{
    int                 fd, on = 1;
    struct sockaddr_in  address = {
        .sin_family = AF_INET,
        .sin_port = htons((unsigned short) atoi(port)),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)
    };

    fd = socket(AF_INET, SOCK_STREAM, 0);

    if (fd == -1
        || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == -1
        || bind(fd, (struct sockaddr *) &address, sizeof(address)) == -1
        || listen(fd, 1024) == -1)
    {
        fail("listen");
    }

    return fd;
}


static void
take(int epoll, int release)
{
    int  fd, on = 1;

    fd = accept(listeners[release], NULL, NULL);

    if (fd == -1 || fd >= CONNECTIONS) {
        fail("accept");
    }

    (void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));

    release_of[fd] = (unsigned char) release;
    watch(epoll, fd);
}


static void
answer(int fd)
{
    char         request[8192];
    ssize_t      n;
    const char  *text;

    n = read(fd, request, sizeof(request));
    text = answers[release_of[fd]];

    if (n <= 0 || write(fd, text, strlen(text)) == -1) {
        (void) close(fd);
    }
}


int
main(int argc, char **argv)
{
    int                 i, n, fd, epoll;
    struct rlimit       limit = { CONNECTIONS, CONNECTIONS };
    struct epoll_event  events[64];

    if (argc != 3) {
        (void) fprintf(stderr, "usage: backend PORT PORT\n");
        return 1;
    }

    (void) setrlimit(RLIMIT_NOFILE, &limit);

    epoll = epoll_create1(0);

    for (i = 0; i < 2; i++) {
        listeners[i] = listen_on(argv[i + 1]);
        watch(epoll, listeners[i]);
    }

    for ( ;; ) {
        n = epoll_wait(epoll, events, 64, -1);

        for (i = 0; i < n; i++) {
            fd = events[i].data.fd;

            if (fd == listeners[0] || fd == listeners[1]) {
                take(epoll, fd == listeners[1]);

            } else {
                answer(fd);
            }
        }
    }
}
