
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <stdlib.h>
#include <string.h>

#include "canary_events.h"

#include "fuzz.h"


/*
 * A line of the file of events: whatever is taken is written as a line that is
 * taken too, and that is written the same.
 */


static char *fuzz_written(const char *name, canary_event_t *event,
    size_t *len);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char            *text, *line, *again, *name, *other;
    size_t           len, size_again;
    canary_event_t   event, copy;

    text = fuzz_text(data, size);

    if (canary_events_line(text, size, &name, &event) && name) {

        line = fuzz_written(name, &event, &len);
        line[len - 1] = '\0';
        fuzz_assert(len <= CANARY_EVENTS_LINE_MAX);
        fuzz_assert(canary_events_line(line, len - 1, &other, &copy));
        fuzz_assert(strcmp(other, name) == 0);

        again = fuzz_written(other, &copy, &size_again);
        fuzz_assert(size_again == len && memcmp(again, line, len - 1) == 0);

        free(again);
        free(other);
        free(line);
        free(name);
    }

    free(text);

    return 0;
}


static char *
fuzz_written(const char *name, canary_event_t *event, size_t *len)
{
    char            *line;
    canary_state_t  *state;

    state = canary_state_create(1);
    fuzz_assert(state != NULL);
    fuzz_assert(canary_state_set_name(&state->endpoints[0], name,
                                      strlen(name)));
    fuzz_assert(canary_state_reserve(&state->endpoints[0], 0, 1));

    state->endpoints[0].nevents = 1;
    state->endpoints[0].events[0] = *event;

    line = canary_events_text(state, len);
    fuzz_assert(line != NULL);

    canary_state_destroy(state);

    return line;
}
