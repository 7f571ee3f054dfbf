
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <stdlib.h>
#include <string.h>

#include "canary_state.h"


canary_state_t *
canary_state_create(unsigned n)
{
    canary_state_t  *state;

    state = calloc(1, sizeof(canary_state_t));
    if (state == NULL) {
        return NULL;
    }

    state->endpoints = calloc(n ? n : 1, sizeof(canary_state_endpoint_t));
    if (state->endpoints == NULL) {
        free(state);
        return NULL;
    }

    state->nendpoints = n;

    return state;
}


int
canary_state_reserve(canary_state_endpoint_t *endpoint, unsigned nreleases,
    unsigned nevents)
{
    free(endpoint->releases);
    free(endpoint->events);

    endpoint->nreleases = 0;
    endpoint->nevents = 0;

    endpoint->releases = calloc(nreleases ? nreleases : 1,
                                sizeof(canary_state_release_t));
    endpoint->events = nevents ? calloc(nevents, sizeof(canary_event_t))
                               : NULL;

    return endpoint->releases && (endpoint->events || nevents == 0);
}


void
canary_state_destroy(canary_state_t *state)
{
    unsigned               i;
    canary_state_other_t  *other;

    if (state == NULL) {
        return;
    }

    while ((other = state->fleet.others) != NULL) {
        state->fleet.others = other->next;
        free(other);
    }

    for (i = 0; i < state->nendpoints; i++) {
        canary_state_free_events(&state->endpoints[i]);
        free(state->endpoints[i].name);
        free(state->endpoints[i].releases);
    }

    free(state->endpoints);
    free(state);
}


int
canary_state_add_other(canary_state_fleet_t *fleet, const char *word,
    size_t word_len, const char *record, size_t len)
{
    char                  *text;
    canary_state_other_t  *other;

    other = malloc(sizeof(canary_state_other_t) + word_len + 1 + len + 1);
    if (other == NULL) {
        return 0;
    }

    memcpy(other->word, word, word_len);
    other->word[word_len] = '\0';

    text = other->word + word_len + 1;

    memcpy(text, record, len);
    text[len] = '\0';

    other->record = text;
    other->next = fleet->others;
    fleet->others = other;

    return 1;
}


void
canary_state_free_events(canary_state_endpoint_t *endpoint)
{
    free(endpoint->events);

    endpoint->events = NULL;
    endpoint->nevents = 0;
}


int
canary_state_gain(canary_totals_t *seen,
    const canary_totals_t *totals, canary_totals_t *gain)
{
    int              any;
    uint64_t        *before, *more;
    unsigned         i;
    const uint64_t  *now;

    any = 0;
    before = (uint64_t *) seen;
    now = (const uint64_t *) totals;
    more = (uint64_t *) gain;

    for (i = 0; i < CANARY_COUNTERS; i++) {
        more[i] = (now[i] > before[i]) ? now[i] - before[i] : 0;
        before[i] = now[i];
        any |= (more[i] != 0);
    }

    return any;
}


int
canary_state_set_name(canary_state_endpoint_t *endpoint, const char *name,
    size_t len)
{
    char  *copy;

    copy = malloc(len + 1);
    if (copy == NULL) {
        return 0;
    }

    memcpy(copy, name, len);
    copy[len] = '\0';

    free(endpoint->name);
    endpoint->name = copy;

    return 1;
}
