
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


/*
 * What -fsanitize=thread calls, and the few functions of the C library that
 * store or wait: see kills.h.
 */


#define _GNU_SOURCE

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "kills.h"


#define KILLS_ZONES     8
#define KILLS_ZONE_MIN  65536    /* what nginx maps that is smaller is none */

#define KILLS_SITE      ((uintptr_t) __builtin_return_address(0))


typedef struct {
    uintptr_t  from;
    uintptr_t  to;
} kills_range_t;


kills_t  *kills;

/* of nginx: what kind of process this is */

extern unsigned long  ngx_process __attribute__((weak));

static kills_range_t  kills_zones[KILLS_ZONES];
static unsigned       kills_nzones;
static kills_range_t  kills_module;
static uintptr_t      kills_base;


static void kills_begin(void) __attribute__((constructor));
static int kills_find(struct dl_phdr_info *info, size_t size, void *data);
static void kills_count(uintptr_t zone, uintptr_t site);
static void kills_move(char *to, const char *from, size_t n);


/* nginx clears the environment of its processes: it is looked at once */

static void
kills_begin(void)
{
    int          fd;
    const char  *path;

    path = getenv("CANARY_KILLS");
    fd = path ? open(path, O_RDWR) : -1;

    kills = mmap(NULL, sizeof(kills_t), PROT_READ | PROT_WRITE,
                 MAP_SHARED | (fd == -1 ? MAP_ANONYMOUS : 0), fd, 0);

    if (fd != -1) {
        (void) close(fd);
    }

    if (kills == MAP_FAILED) {
        abort();
    }
}


/* by the module when it is loaded: where its code is */

void
__tsan_init(void)
{
    uintptr_t  site;

    site = KILLS_SITE;

    if (kills_module.to == 0) {
        (void) dl_iterate_phdr(kills_find, &site);
    }
}


static int
kills_find(struct dl_phdr_info *info, size_t size, void *data)
{
    int        i;
    uintptr_t  from, to, site;

    (void) size;

    site = *(uintptr_t *) data;

    for (i = 0; i < info->dlpi_phnum; i++) {
        from = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
        to = from + info->dlpi_phdr[i].p_memsz;

        if (info->dlpi_phdr[i].p_type == PT_LOAD && site >= from && site < to)
        {
            kills_base = info->dlpi_addr;
            kills_module.from = from;
            kills_module.to = to;
            return 1;
        }
    }

    return 0;
}


static inline int
kills_is_in(const kills_range_t *range, uintptr_t address)
{
    return address >= range->from && address < range->to;
}


/* the zone of an address, 0: none */

static inline uintptr_t
kills_zone(uintptr_t address)
{
    unsigned  i;

    for (i = 0; i < kills_nzones; i++) {
        if (kills_is_in(&kills_zones[i], address)) {
            return kills_zones[i].from;
        }
    }

    return 0;
}


static inline void
kills_store(const volatile void *address, uintptr_t site)
{
    uintptr_t  zone;

    if (kills == NULL || kills->kind == 0) {
        return;
    }

    zone = kills_zone((uintptr_t) address);

    if (zone) {
        kills_count(zone, site);
    }
}


/* the first word of a zone is that of its lock: the process that has it */

static void
kills_count(uintptr_t zone, uintptr_t site)
{
    if ((kills->kind != -1 && (unsigned long) kills->kind != ngx_process)
        || (kills->locked && *(volatile uint64_t *) zone
                             != (uint64_t) getpid()))
    {
        return;
    }

    /* the call itself, not where it returns to */

    site -= kills_base + 1;

    if (kills->nsites < kills->room) {
        kills->sites[kills->nsites++] = (uint32_t) site;
    }

    (void) __atomic_add_fetch(&kills->count, 1, __ATOMIC_RELAXED);

    if (__atomic_fetch_sub(&kills->left, 1, __ATOMIC_SEQ_CST) == 0) {
        kills->site = site;
        kills->died = getpid();
        (void) kill(getpid(), SIGKILL);
    }
}


#define KILLS_ACCESS(size)                                                    \
    void __tsan_read##size(void *p) { (void) p; }                             \
    void __tsan_unaligned_read##size(void *p) { (void) p; }                   \
    void __tsan_write##size(void *p) { kills_store(p, KILLS_SITE); }          \
    void __tsan_unaligned_write##size(void *p) { kills_store(p, KILLS_SITE); }

KILLS_ACCESS(1)
KILLS_ACCESS(2)
KILLS_ACCESS(4)
KILLS_ACCESS(8)
KILLS_ACCESS(16)


void __tsan_func_entry(void *caller) { (void) caller; }
void __tsan_func_exit(void) {}
void __tsan_vptr_update(void **p, void *value) { (void) p; (void) value; }
void __tsan_vptr_read(void **p) { (void) p; }
void __tsan_read_range(void *p, size_t n) { (void) p; (void) n; }
void __tsan_write_range(void *p, size_t n)
{
    (void) n;
    kills_store(p, KILLS_SITE);
}


#define KILLS_FETCH(bits, name)                                               \
    uint##bits##_t                                                            \
    __tsan_atomic##bits##_fetch_##name(volatile uint##bits##_t *p,            \
        uint##bits##_t value, int order)                                      \
    {                                                                         \
        (void) order;                                                         \
        kills_store(p, KILLS_SITE);                                           \
        return __atomic_fetch_##name(p, value, __ATOMIC_SEQ_CST);             \
    }

#define KILLS_EXCHANGE(bits, name)                                            \
    int                                                                       \
    __tsan_atomic##bits##_compare_exchange_##name(                            \
        volatile uint##bits##_t *p, uint##bits##_t *expected,                 \
        uint##bits##_t value, int order, int failure)                         \
    {                                                                         \
        (void) order;                                                         \
        (void) failure;                                                       \
        kills_store(p, KILLS_SITE);                                           \
        return __atomic_compare_exchange_n(p, expected, value, 0,             \
                                           __ATOMIC_SEQ_CST,                  \
                                           __ATOMIC_SEQ_CST);                 \
    }

#define KILLS_ATOMIC(bits)                                                    \
    uint##bits##_t                                                            \
    __tsan_atomic##bits##_load(const volatile uint##bits##_t *p, int order)   \
    {                                                                         \
        (void) order;                                                         \
        return __atomic_load_n(p, __ATOMIC_SEQ_CST);                          \
    }                                                                         \
                                                                              \
    void                                                                      \
    __tsan_atomic##bits##_store(volatile uint##bits##_t *p,                   \
        uint##bits##_t value, int order)                                      \
    {                                                                         \
        (void) order;                                                         \
        kills_store(p, KILLS_SITE);                                           \
        __atomic_store_n(p, value, __ATOMIC_SEQ_CST);                         \
    }                                                                         \
                                                                              \
    uint##bits##_t                                                            \
    __tsan_atomic##bits##_exchange(volatile uint##bits##_t *p,                \
        uint##bits##_t value, int order)                                      \
    {                                                                         \
        (void) order;                                                         \
        kills_store(p, KILLS_SITE);                                           \
        return __atomic_exchange_n(p, value, __ATOMIC_SEQ_CST);               \
    }                                                                         \
                                                                              \
    KILLS_FETCH(bits, add)                                                    \
    KILLS_FETCH(bits, sub)                                                    \
    KILLS_FETCH(bits, and)                                                    \
    KILLS_FETCH(bits, or)                                                     \
    KILLS_FETCH(bits, xor)                                                    \
    KILLS_EXCHANGE(bits, strong)                                              \
    KILLS_EXCHANGE(bits, weak)

KILLS_ATOMIC(8)
KILLS_ATOMIC(16)
KILLS_ATOMIC(32)
KILLS_ATOMIC(64)

void __tsan_atomic_thread_fence(int order) { (void) order; }
void __tsan_atomic_signal_fence(int order) { (void) order; }


/* Of a copy by the module into the zone: how many bytes are one part. */

static size_t
kills_part(const void *to, size_t n, uintptr_t site)
{
    if (kills == NULL || kills->kind == 0 || n == 0
        || !kills_is_in(&kills_module, site) || !kills_zone((uintptr_t) to))
    {
        return 0;
    }

    return (n > 256) ? n / 4 + 1 : (n > 16) ? n / 2 + 1 : n;
}


static void
kills_copy(char *to, const char *from, size_t n, uintptr_t site)
{
    size_t  part;

    part = kills_part(to, n, site);

    for ( /* void */ ; part && n > part; n -= part) {
        kills_store(to, site);
        kills_move(to, from, part);
        to += part;
        from += part;
    }

    if (part) {
        kills_store(to, site);
    }

    kills_move(to, from, n);
}


/* so that the compiler makes no call of memcpy() of these */

__attribute__((optimize("no-tree-loop-distribute-patterns")))
static void
kills_move(char *to, const char *from, size_t n)
{
    typedef uint64_t __attribute__((may_alias, aligned(1)))  word_t;

    for ( /* void */ ; n >= 8; n -= 8) {
        *(word_t *) to = *(const word_t *) from;
        to += 8;
        from += 8;
    }

    while (n--) {
        *to++ = *from++;
    }
}


__attribute__((optimize("no-tree-loop-distribute-patterns")))
static void
kills_fill(char *to, int value, size_t n)
{
    typedef uint64_t __attribute__((may_alias, aligned(1)))  word_t;

    uint64_t  word;

    word = 0x0101010101010101ull * (unsigned char) value;

    for ( /* void */ ; n >= 8; n -= 8) {
        *(word_t *) to = word;
        to += 8;
    }

    while (n--) {
        *to++ = (char) value;
    }
}


void *
memcpy(void *restrict to, const void *restrict from, size_t n)
{
    kills_copy(to, from, n, KILLS_SITE);

    return to;
}


__attribute__((optimize("no-tree-loop-distribute-patterns")))
void *
memmove(void *to, const void *from, size_t n)
{
    const char  *last;

    if ((uintptr_t) to - (uintptr_t) from >= n) {
        kills_copy(to, from, n, KILLS_SITE);
        return to;
    }

    for (last = (const char *) from + n; n--; /* void */ ) {
        ((char *) to)[n] = *--last;
    }

    return to;
}


void *
memset(void *to, int value, size_t n)
{
    char       *p;
    size_t      part;
    uintptr_t   site;

    p = to;
    site = KILLS_SITE;
    part = kills_part(to, n, site);

    for ( /* void */ ; part && n > part; n -= part) {
        kills_store(p, site);
        kills_fill(p, value, part);
        p += part;
    }

    if (part) {
        kills_store(p, site);
    }

    kills_fill(p, value, n);

    return to;
}


void *
mmap(void *address, size_t size, int protection, int flags, int fd,
    off_t offset)
{
    void  *p;

    p = (void *) syscall(SYS_mmap, address, size, protection, flags, fd,
                         offset);

    if (p != MAP_FAILED && size >= KILLS_ZONE_MIN && kills
        && !kills->simulated
        && (flags & (MAP_SHARED | MAP_ANONYMOUS))
           == (MAP_SHARED | MAP_ANONYMOUS)
        && kills_nzones < KILLS_ZONES)
    {
        kills_zones[kills_nzones].from = (uintptr_t) p;
        kills_zones[kills_nzones].to = (uintptr_t) p + size;
        kills_nzones++;
    }

    return p;
}


void *mmap64(void *address, size_t size, int protection, int flags, int fd,
    off_t offset) __attribute__((alias("mmap")));


int
clock_gettime(clockid_t clock, struct timespec *ts)
{
    if (kills && kills->simulated && clock == CLOCK_MONOTONIC
        && kills_is_in(&kills_module, KILLS_SITE))
    {
        ts->tv_sec = (time_t) (kills->now / 1000000);
        ts->tv_nsec = (long) (kills->now % 1000000 * 1000);
        return 0;
    }

    return (int) syscall(SYS_clock_gettime, clock, ts);
}


/* what a thread would do is done at once where there is none */

int
pthread_create(pthread_t *restrict thread,
    const pthread_attr_t *restrict attributes, void *(*start)(void *),
    void *restrict data)
{
    static int (*next)(pthread_t *, const pthread_attr_t *,
                       void *(*)(void *), void *);

    if (kills && kills->simulated) {
        return EAGAIN;
    }

    if (next == NULL) {
        *(void **) &next = dlsym(RTLD_NEXT, "pthread_create");
    }

    return next(thread, attributes, start, data);
}


int
fsync(int fd)
{
    if (kills == NULL || !kills->simulated) {
        return (int) syscall(SYS_fsync, fd);
    }

    if (kills->disk) {
        errno = kills->disk;
        return -1;
    }

    return 0;
}
