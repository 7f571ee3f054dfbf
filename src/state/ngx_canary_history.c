
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_canary_history.h"

#include "canary_event.h"
#include "canary_events.h"
#include "canary_events_file.h"
#include "canary_state_file.h"
#include "canary_state_json.h"

#include "ngx_canary_endpoint.h"
#include "ngx_canary_memory.h"
#include "ngx_canary_registry.h"
#include "ngx_canary_shared.h"
#include "ngx_canary_change.h"
#include "ngx_canary_pending.h"


/*
 * What the file of events has, while a state is restored or followed: it is
 * read after the state, before which they were appended.
 */


static void ngx_canary_newer_event(ngx_canary_main_conf_t *cmcf,
    ngx_canary_shared_t *shared, const canary_events_entry_t *entry,
    ngx_log_t *log);


static canary_events_t  *ngx_canary_events;
static uint64_t          ngx_canary_until;        /* the state has them */
static ngx_uint_t        ngx_canary_unreadable;   /* and that was said */


uint64_t
ngx_canary_read_events(const char *dir, uint64_t until, ngx_log_t *log)
{
    canary_state_file_error_t  error;

    ngx_canary_until = until;

    if (ngx_canary_events == NULL) {
        ngx_canary_events = canary_events_create();
    }

    if (ngx_canary_events == NULL) {
        return 0;
    }

    if (canary_events_read(ngx_canary_events, dir, &error) != 0) {
        ngx_canary_forget_events();

        if (!ngx_canary_unreadable) {
            ngx_log_error(NGX_LOG_ERR, log, error.err,
                          "canary: %s in \"%s\" failed: the events of before "
                          "are not shown", error.call, dir);
        }

        ngx_canary_unreadable = 1;
        return 0;
    }

    ngx_canary_unreadable = 0;

    if (ngx_canary_events->bad) {
        ngx_log_error(NGX_LOG_WARN, log, 0,
                      "canary: %ui lines of \"%s/" CANARY_EVENTS_FILE "\", or "
                      "of the one before, are no events and are left out",
                      (ngx_uint_t) ngx_canary_events->bad, dir);
    }

    return ngx_canary_events->last;
}


void
ngx_canary_forget_events(void)
{
    canary_events_destroy(ngx_canary_events);
    ngx_canary_events = NULL;
}


void
ngx_canary_load_events(canary_state_endpoint_t *from)
{
    if (ngx_canary_events && !from->loaded) {
        (void) canary_events_load(ngx_canary_events, ngx_canary_until, from);
    }
}


/*
 * Under the lock: whoever wrote the file died when it had appended these and
 * not yet written what they led to.  Nobody was told of that.
 */

void
ngx_canary_newer_events(ngx_canary_main_conf_t *cmcf,
    canary_state_t *state, ngx_log_t *log)
{
    ngx_str_t                     name;
    ngx_uint_t                    i, n;
    ngx_canary_shared_t          *shared;
    canary_state_endpoint_t      *from;
    const canary_events_entry_t  *entry;

    for (i = 0; ngx_canary_events && i < ngx_canary_events->n; i++) {
        entry = &ngx_canary_events->entries[i];

        if (entry->id <= ngx_canary_until) {
            continue;
        }

        name.data = (u_char *) entry->name;
        name.len = ngx_strlen(entry->name);

        shared = ngx_canary_find_shared(cmcf->zone, &name);

        for (n = 0, from = NULL; n < state->nendpoints; n++) {
            if (ngx_strcmp(state->endpoints[n].name, entry->name) == 0) {
                from = &state->endpoints[n];
                break;
            }
        }

        if (shared && canary_events_is_newer(entry, ngx_canary_until, from)) {
            ngx_canary_newer_event(cmcf, shared, entry, log);
        }
    }
}


static void
ngx_canary_newer_event(ngx_canary_main_conf_t *cmcf,
    ngx_canary_shared_t *shared, const canary_events_entry_t *entry,
    ngx_log_t *log)
{
    canary_event_t  event;

    if (ngx_canary_provide_history(shared) != NGX_OK) {
        return;
    }

    if (canary_events_get(ngx_canary_events, entry, &event)
        && ngx_canary_stop_by_event(shared, &event,
                                    ngx_canary_milliseconds(), log)
           == NGX_OK)
    {
        shared->history->journal.appended = event.id;
        return;
    }

    ngx_log_error(NGX_LOG_NOTICE, log, 0,
                  "canary: \"%s\" event %uL is none: the state file does not "
                  "have its change", entry->name, entry->id);

    ngx_canary_void_event(shared, entry->id);
}


/* another nginx gives the same numbers to events of its own */

ngx_uint_t
ngx_canary_same_event(const canary_event_t *last,
    const canary_state_endpoint_t *from)
{
    const canary_event_t         *inside;
    const canary_events_entry_t  *event;

    inside = from->nevents ? &from->events[from->nevents - 1] : NULL;
    event = ngx_canary_events
            ? canary_events_last(ngx_canary_events, ngx_canary_until, from)
            : NULL;

    if (last == NULL || (inside == NULL && event == NULL)) {
        return last == NULL && inside == NULL && event == NULL;
    }

    if (inside && (event == NULL || inside->id >= event->id)) {
        return last->id == inside->id && last->time == inside->time
               && last->verb == inside->verb;
    }

    return last->id == event->id && last->time == event->time
           && last->verb == event->verb;
}


/* in another directory there is another file of events, or none */

void
ngx_canary_append_again(ngx_canary_main_conf_t *cmcf)
{
    ngx_canary_shared_t  *shared;

    ngx_canary_lock(cmcf->zone);

    for (shared = cmcf->zone->endpoints; shared; shared = shared->next) {
        if (shared->history) {
            shared->history->journal.appended = 0;
        }
    }

    ngx_canary_unlock(cmcf->zone);
}
