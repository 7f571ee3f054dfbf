
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#define _POSIX_C_SOURCE  200809L
#define _FILE_OFFSET_BITS  64


#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "canary_events.h"


#define CANARY_EVENTS_BUFFER  (2 * CANARY_EVENTS_LINE_MAX)


static void canary_events_forget(canary_events_t *events);
static int canary_events_look(const char *dir,
    canary_events_of_file_t files[2], canary_state_file_error_t *error);
static int canary_events_is(const canary_events_of_file_t *known,
    const canary_events_of_file_t *file);
static int canary_events_scan(canary_events_t *events, unsigned old,
    canary_state_file_error_t *error);
static size_t canary_events_take(canary_events_t *events, unsigned old,
    char *text, size_t len, int *skip);
static void canary_events_take_line(canary_events_t *events, unsigned old,
    uint64_t offset, const char *text, size_t len);
static int canary_events_add(canary_events_t *events,
    const canary_events_entry_t *entry);
static void canary_events_sort(canary_events_t *events);
static int canary_events_by_number(const void *first, const void *second);
static int canary_events_by_endpoint(const void *first, const void *second);
static void canary_events_drop_void(canary_events_t *events);
static void canary_events_drop_again(canary_events_t *events);
static int canary_events_merge(canary_state_endpoint_t *endpoint,
    canary_event_t *list, unsigned n);


canary_events_t *
canary_events_create(void)
{
    canary_events_t  *events;

    events = calloc(1, sizeof(canary_events_t));

    if (events) {
        events->files[0].fd = -1;
        events->files[1].fd = -1;
    }

    return events;
}


void
canary_events_destroy(canary_events_t *events)
{
    if (events) {
        canary_events_forget(events);
        free(events);
    }
}


static void
canary_events_forget(canary_events_t *events)
{
    unsigned  i;

    for (i = 0; i < events->n; i++) {
        free(events->entries[i].name);
    }

    free(events->entries);

    for (i = 0; i < 2; i++) {
        if (events->files[i].fd != -1) {
            (void) close(events->files[i].fd);
        }
    }

    memset(events, 0, sizeof(canary_events_t));

    events->files[0].fd = -1;
    events->files[1].fd = -1;
}


int
canary_events_read(canary_events_t *events, const char *dir,
    canary_state_file_error_t *error)
{
    uint64_t                 before;
    unsigned                 i;
    canary_events_of_file_t  files[2];

    events->bad = 0;

    if (canary_events_look(dir, files, error) != 0) {
        canary_events_forget(events);
        return -1;
    }

    /* another file, or one that has become shorter: all of it anew */

    if (!canary_events_is(&events->files[0], &files[0])
        || !canary_events_is(&events->files[1], &files[1]))
    {
        canary_events_forget(events);
        memcpy(events->files, files, sizeof(files));

    } else {
        for (i = 0; i < 2; i++) {
            events->files[i].id = files[i].id;

            if (files[i].fd != -1) {
                (void) close(files[i].fd);
            }
        }
    }

    before = events->lines;

    /* the old one first: so lines are in the order they were appended in */

    if (canary_events_scan(events, 1, error) != 0
        || canary_events_scan(events, 0, error) != 0)
    {
        canary_events_forget(events);
        return -1;
    }

    if (events->lines != before) {
        canary_events_sort(events);
    }

    return 0;
}


/*
 * The present one first: if it is renamed meanwhile it is found as the old one
 * too, and events that come twice count once.
 */

static int
canary_events_look(const char *dir, canary_events_of_file_t files[2],
    canary_state_file_error_t *error)
{
    unsigned  i;

    static const char *const  names[] = {
        CANARY_EVENTS_FILE, CANARY_EVENTS_OLD
    };

    static const char *const  calls[] = {
        "open() of \"" CANARY_EVENTS_FILE "\"",
        "open() of \"" CANARY_EVENTS_OLD "\""
    };

    memset(files, 0, 2 * sizeof(canary_events_of_file_t));
    files[1].fd = -1;

    for (i = 0; i < 2; i++) {
        files[i].fd = canary_events_open(dir, names[i], &files[i].id);

        if (files[i].fd == -1 && errno != ENOENT) {
            error->call = calls[i];
            error->err = errno;

            if (i && files[0].fd != -1) {
                (void) close(files[0].fd);
            }

            return -1;
        }
    }

    return 0;
}


static int
canary_events_is(const canary_events_of_file_t *known,
    const canary_events_of_file_t *file)
{
    if (known->fd == -1 || file->fd == -1) {
        return known->fd == file->fd;
    }

    return known->id.device == file->id.device
           && known->id.inode == file->id.inode
           && known->read <= file->id.size;
}


static int
canary_events_scan(canary_events_t *events, unsigned old,
    canary_state_file_error_t *error)
{
    int                       skip;
    char                     *buf;
    size_t                    len, taken;
    ssize_t                   n;
    canary_events_of_file_t  *file;

    file = &events->files[old];

    if (file->fd == -1 || file->read >= file->id.size) {
        return 0;
    }

    buf = malloc(CANARY_EVENTS_BUFFER + 1);
    if (buf == NULL) {
        error->call = "malloc()";
        error->err = ENOMEM;
        return -1;
    }

    /* whoever makes it larger than that is not nginx */

    skip = 0;

    if (file->id.size - file->read > 2 * (uint64_t) CANARY_EVENTS_SIZE_MAX) {
        file->read = file->id.size - CANARY_EVENTS_SIZE_MAX;
        skip = 1;
    }

    for (len = 0; /* void */ ; len -= taken) {

        n = pread(file->fd, buf + len, CANARY_EVENTS_BUFFER - len,
                  (off_t) (file->read + len));

        if (n == -1) {
            error->call = "read() of the events";
            error->err = errno;
            free(buf);
            return -1;
        }

        if (n == 0) {
            break;
        }

        len += (size_t) n;
        taken = canary_events_take(events, old, buf, len, &skip);

        memmove(buf, buf + taken, len - taken);
    }

    free(buf);

    return 0;
}


/* Takes whole lines, and all of one that is too long; returns the bytes. */

static size_t
canary_events_take(canary_events_t *events, unsigned old, char *text,
    size_t len, int *skip)
{
    char    *end;
    size_t   taken, size;

    for (taken = 0; taken < len; taken += size) {
        end = memchr(text + taken, '\n', len - taken);

        if (end == NULL) {

            if (len - taken <= CANARY_EVENTS_LINE_MAX) {
                break;
            }

            events->bad += !*skip;
            *skip = 1;
            size = len - taken;

        } else {
            size = (size_t) (end - (text + taken)) + 1;
            *end = '\0';

            if (!*skip) {
                canary_events_take_line(events, old, events->files[old].read,
                                        text + taken, size - 1);
            }

            *skip = 0;
        }

        events->files[old].read += size;
    }

    return taken;
}


static void
canary_events_take_line(canary_events_t *events, unsigned old,
    uint64_t offset, const char *text, size_t len)
{
    canary_event_t         event;
    canary_events_entry_t  entry;

    memset(&entry, 0, sizeof(entry));

    if (len > CANARY_EVENTS_LINE_MAX
        || !canary_events_line(text, len, &entry.name, &event))
    {
        events->bad++;
        return;
    }

    entry.id = event.id;
    entry.generation = event.generation;
    entry.time = event.time;
    entry.verb = event.verb;
    entry.size = (uint32_t) len;
    entry.offset = offset;
    entry.old = old;
    entry.line = ++events->lines;

    if (entry.id > events->last) {
        events->last = entry.id;
    }

    if (!canary_events_add(events, &entry)) {
        free(entry.name);
        events->bad++;
    }
}


static int
canary_events_add(canary_events_t *events, const canary_events_entry_t *entry)
{
    unsigned                room;
    canary_events_entry_t  *entries;

    if (events->n == events->room) {
        room = 2 * events->room + 64;

        entries = realloc(events->entries,
                          room * sizeof(canary_events_entry_t));
        if (entries == NULL) {
            return 0;
        }

        events->entries = entries;
        events->room = room;
    }

    events->entries[events->n++] = *entry;

    return 1;
}


static void
canary_events_sort(canary_events_t *events)
{
    if (events->n) {
        qsort(events->entries, events->n, sizeof(canary_events_entry_t),
              canary_events_by_number);
        canary_events_drop_void(events);

        qsort(events->entries, events->n, sizeof(canary_events_entry_t),
              canary_events_by_endpoint);
        canary_events_drop_again(events);
    }
}


/* the last line first, so that a void comes before what it is about */

static int
canary_events_by_number(const void *first, const void *second)
{
    const canary_events_entry_t  *a = first, *b = second;

    if (a->id != b->id) {
        return (a->id < b->id) ? -1 : 1;
    }

    return (a->line > b->line) ? -1 : 1;
}


static int
canary_events_by_endpoint(const void *first, const void *second)
{
    int                           rc;
    const canary_events_entry_t  *a = first, *b = second;

    rc = strcmp(a->name, b->name);

    return rc ? rc : canary_events_by_number(first, second);
}


static void
canary_events_drop_void(canary_events_t *events)
{
    uint64_t                none;
    unsigned                i, n;
    canary_events_entry_t  *entry;

    none = 0;

    for (i = 0, n = 0; i < events->n; i++) {
        entry = &events->entries[i];

        if (entry->name == NULL) {
            none = entry->id;

        } else if (entry->id == none) {
            free(entry->name);

        } else {
            events->entries[n++] = *entry;
        }
    }

    events->n = n;
}


static void
canary_events_drop_again(canary_events_t *events)
{
    unsigned                i, n;
    canary_events_entry_t  *entry;

    for (i = 0, n = 0; i < events->n; i++) {
        entry = &events->entries[i];

        if (n && events->entries[n - 1].id == entry->id
            && strcmp(events->entries[n - 1].name, entry->name) == 0)
        {
            free(entry->name);

        } else {
            events->entries[n++] = *entry;
        }
    }

    events->n = n;
}


const canary_events_entry_t *
canary_events_find(const canary_events_t *events, const char *name,
    unsigned *n)
{
    unsigned  low, high, middle, first;

    for (low = 0, high = events->n; low < high; /* void */ ) {
        middle = low + (high - low) / 2;

        if (strcmp(events->entries[middle].name, name) < 0) {
            low = middle + 1;

        } else {
            high = middle;
        }
    }

    first = low;

    while (low < events->n && strcmp(events->entries[low].name, name) == 0) {
        low++;
    }

    *n = low - first;

    return *n ? &events->entries[first] : NULL;
}


/*
 * A state file may have what came while it was collected, so the number is not
 * enough; and one that began anew has lower generations than events before.
 */

int
canary_events_is_newer(const canary_events_entry_t *entry,
    uint64_t last_event, const canary_state_endpoint_t *endpoint)
{
    return entry->id > last_event
           && entry->generation > (endpoint ? endpoint->rollout.generation
                                            : 0);
}


const canary_events_entry_t *
canary_events_last(const canary_events_t *events, uint64_t last_event,
    const canary_state_endpoint_t *endpoint)
{
    unsigned                      n;
    const canary_events_entry_t  *list;

    list = canary_events_find(events, endpoint->name, &n);

    while (n && canary_events_is_newer(&list[n - 1], last_event, endpoint)) {
        n--;
    }

    return n ? &list[n - 1] : NULL;
}


int
canary_events_get(const canary_events_t *events,
    const canary_events_entry_t *entry, canary_event_t *event)
{
    int    right;
    char  *text, *name;

    text = malloc(entry->size + 1);
    if (text == NULL) {
        return 0;
    }

    name = NULL;
    right = (pread(events->files[entry->old].fd, text, entry->size,
                   (off_t) entry->offset)
             == (ssize_t) entry->size);

    if (right) {
        text[entry->size] = '\0';

        right = (canary_events_line(text, entry->size, &name, event)
                 && name && event->id == entry->id
                 && strcmp(name, entry->name) == 0);
    }

    free(name);
    free(text);

    return right;
}


int
canary_events_load(const canary_events_t *events, uint64_t last_event,
    canary_state_endpoint_t *endpoint)
{
    unsigned                      n, i, k;
    canary_event_t               *list;
    const canary_events_entry_t  *entries, *last;

    entries = canary_events_find(events, endpoint->name, &n);
    last = canary_events_last(events, last_event, endpoint);

    endpoint->loaded = 1;

    if (last == NULL) {
        return 1;
    }

    list = calloc(CANARY_EVENTS, sizeof(canary_event_t));
    if (list == NULL) {
        return 0;
    }

    endpoint->appended = last->id;

    n = (unsigned) (last - entries) + 1;
    k = 0;

    for (i = (n > CANARY_EVENTS) ? n - CANARY_EVENTS : 0; i < n; i++) {
        if (!canary_events_is_newer(&entries[i], last_event, endpoint)) {
            k += (unsigned) canary_events_get(events, &entries[i], &list[k]);
        }
    }

    return canary_events_merge(endpoint, list, k);
}


/* takes the list, and leaves the last of all */

static int
canary_events_merge(canary_state_endpoint_t *endpoint, canary_event_t *list,
    unsigned n)
{
    unsigned         i, k, all;
    canary_event_t  *merged;

    if (endpoint->nevents == 0) {
        free(endpoint->events);

        endpoint->events = list;
        endpoint->nevents = n;

        return 1;
    }

    merged = calloc(n + endpoint->nevents, sizeof(canary_event_t));
    if (merged == NULL) {
        free(list);
        return 0;
    }

    for (i = 0, k = 0, all = 0; i < n || k < endpoint->nevents; /* void */ ) {

        if (i == n || (k < endpoint->nevents
                       && endpoint->events[k].id <= list[i].id))
        {
            i += (i < n && endpoint->events[k].id == list[i].id);
            merged[all++] = endpoint->events[k++];

        } else {
            merged[all++] = list[i++];
        }
    }

    i = (all > CANARY_EVENTS) ? all - CANARY_EVENTS : 0;

    memmove(merged, &merged[i], (all - i) * sizeof(canary_event_t));

    free(endpoint->events);
    free(list);

    endpoint->events = merged;
    endpoint->nevents = all - i;

    return 1;
}
