
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#define _XOPEN_SOURCE  700


/* The file of events: what is appended, and what is read of what is there. */


#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "canary_events.h"

#include "unit.h"


static char                       dir[64];
static canary_state_file_error_t  error;
static canary_events_t           *events;


static char *
in_dir(const char *name)
{
    static char  path[128];

    (void) snprintf(path, sizeof(path), "%s/%s", dir, name);

    return path;
}


static int
begin(void **unused)
{
    (void) unused;

    strcpy(dir, "/tmp/canary-events-XXXXXX");
    assert_non_null(mkdtemp(dir));

    events = canary_events_create();
    assert_non_null(events);

    return 0;
}


static int
end(void **unused)
{
    char  command[128];

    (void) unused;

    canary_events_destroy(events);
    (void) snprintf(command, sizeof(command), "rm -r '%s'", dir);

    return system(command);
}


/* A state of one endpoint with events of these numbers, up to 0. */

static canary_state_t *
a_state(const char *name, const uint64_t *ids)
{
    unsigned                  i, n;
    canary_event_t           *event;
    canary_state_t           *state;
    canary_state_endpoint_t  *endpoint;

    for (n = 0; ids[n]; n++) { /* void */ }

    state = canary_state_create(1);
    assert_non_null(state);

    endpoint = &state->endpoints[0];
    assert_true(canary_state_set_name(endpoint, name, strlen(name)));
    assert_true(canary_state_reserve(endpoint, 0, n));

    for (i = 0; i < n; i++) {
        event = &endpoint->events[endpoint->nevents++];
        event->id = ids[i];
        event->generation = ids[i];
        event->time = 1790000000123ull;
        event->verb = CANARY_PAUSE;
        event->from_phase = CANARY_PROGRESSING;
        event->to_phase = CANARY_PAUSED;
        strcpy((char *) event->actor.name, "ci");
        strcpy((char *) event->reason, "paused");
    }

    return state;
}


static void
append(canary_state_t *state)
{
    char    *text;
    size_t   len;

    text = canary_events_text(state, &len);
    assert_non_null(text);

    if (canary_events_append(dir, text, len, &error) != 0) {
        fail_msg("%s: %s", error.call, strerror(error.err));
    }

    free(text);
    canary_state_destroy(state);
}


static void
append_event(const char *name, uint64_t id)
{
    uint64_t  ids[] = { id, 0 };

    append(a_state(name, ids));
}


static void
append_void(uint64_t id)
{
    uint64_t         none[] = { 0 };
    canary_state_t  *state;

    state = a_state("ep", none);
    state->endpoints[0].voids[0] = id;
    state->endpoints[0].nvoid = 1;

    append(state);
}


/* As anybody else may do. */

static void
put(const char *name, const char *text, size_t len)
{
    int  fd;

    fd = open(in_dir(name), O_WRONLY|O_CREAT|O_APPEND, 0600);
    assert_true(fd != -1);
    assert_int_equal(write(fd, text, len), (ssize_t) len);
    (void) close(fd);
}


static void
put_text(const char *text)
{
    put(CANARY_EVENTS_FILE, text, strlen(text));
}


static void
read_all(void)
{
    if (canary_events_read(events, dir, &error) != 0) {
        fail_msg("%s: %s", error.call, strerror(error.err));
    }
}


/* The numbers of an endpoint's events, as in "1,2,". */

static const char *
numbers(const char *name)
{
    char                         *p;
    unsigned                      i, n;
    const canary_events_entry_t  *list;

    static char  text[4096];

    read_all();

    list = canary_events_find(events, name, &n);

    p = text;
    *p = '\0';

    for (i = 0; i < n; i++) {
        p += sprintf(p, "%u,", (unsigned) list[i].id);
    }

    return text;
}


static void
what_is_appended_is_read_again(void **unused)
{
    uint64_t                  ids[] = { 3, 8, 0 };
    canary_state_t           *state, *copy;
    canary_state_endpoint_t  *endpoint;

    (void) unused;

    state = a_state("some/path \"x\" \xff", ids);
    endpoint = &state->endpoints[0];

    endpoint->events[1].nfigures = 1;
    endpoint->events[1].attempts = 57;
    endpoint->events[1].figures[0].rule.kind = CANARY_RULE_ERROR_5XX_RATE;
    endpoint->events[1].figures[0].rule.min_requests = 1;
    endpoint->events[1].figures[0].rule.threshold = CANARY_RATIO_ONE / 10;
    endpoint->events[1].figures[0].judgement.value = 1.0 / 3;
    strcpy((char *) endpoint->events[1].reason, "\xfe is no UTF-8");

    append(state);
    read_all();

    state = a_state("some/path \"x\" \xff", ids);
    copy = a_state("some/path \"x\" \xff", ids + 2);

    assert_true(canary_events_load(events, 8, &copy->endpoints[0]));
    assert_int_equal(copy->endpoints[0].nevents, 2);
    assert_int_equal(copy->endpoints[0].appended, 8);
    assert_memory_equal(&copy->endpoints[0].events[0],
                        &state->endpoints[0].events[0],
                        sizeof(canary_event_t));

    endpoint = &copy->endpoints[0];
    assert_true(endpoint->events[1].figures[0].judgement.value == 1.0 / 3);
    assert_int_equal(endpoint->events[1].attempts, 57);
    assert_string_equal((char *) endpoint->events[1].reason,
                        "\xfe is no UTF-8");

    canary_state_destroy(copy);
    canary_state_destroy(state);
}


static void
lines_are_in_the_order_of_numbers(void **unused)
{
    char            *text, *p;
    size_t           len;
    uint64_t         ids[] = { 5, 9, 0 };
    canary_state_t  *state;

    (void) unused;

    state = a_state("ep", ids);
    strcpy((char *) state->endpoints[0].events[0].release, "v2");
    state->endpoints[0].voids[0] = 7;
    state->endpoints[0].nvoid = 1;

    text = canary_events_text(state, &len);
    assert_non_null(text);
    assert_true(len > 88);

    assert_memory_equal(text, "{\"id\":5,\"type\":\"paused\","
                        "\"release\":\"v2\",\"endpoint\":\"ep\",\"time\":"
                        "\"2026-09-21T14:13:20.123Z\"", 88);

    p = memchr(text, '\n', len);
    assert_non_null(p);
    p++;
    assert_true(text + len - p > 19);
    assert_memory_equal(p, "{\"void\":7}\n{\"id\":9,", 19);
    assert_int_equal(text[len - 1], '\n');

    free(text);
    canary_state_destroy(state);
}


/* What happened: a verb may come to one thing or another. */

static void
the_type_is_what_happened(void **unused)
{
    char             type[64], *text;
    size_t           i, len;
    uint64_t         ids[] = { 5, 0 };
    canary_event_t  *event;
    canary_state_t  *state;

    static const struct {
        canary_verb_t    verb;
        canary_phase_t   from;
        canary_phase_t   to;
        const char      *type;
    } rows[] = {
        { CANARY_START, CANARY_IDLE, CANARY_PROGRESSING, "started" },
        { CANARY_START, CANARY_IDLE, CANARY_BAKING, "started" },
        { CANARY_DIRECT, CANARY_IDLE, CANARY_IDLE, "direct" },
        { CANARY_PATCH, CANARY_HALTED, CANARY_HALTED, "changed" },
        { CANARY_ADVANCE, CANARY_PROGRESSING, CANARY_PROGRESSING, "step" },
        { CANARY_ADVANCE, CANARY_PAUSED, CANARY_PAUSED, "step" },
        { CANARY_ADVANCE, CANARY_HALTED, CANARY_BAKING, "baking" },
        { CANARY_ADVANCE, CANARY_BAKING, CANARY_IDLE, "promoted" },
        { CANARY_PAUSE, CANARY_BAKING, CANARY_PAUSED, "paused" },
        { CANARY_RESUME, CANARY_PAUSED, CANARY_BAKING, "resumed" },
        { CANARY_PROMOTE, CANARY_HALTED, CANARY_IDLE, "promoted" },
        { CANARY_ROLLBACK, CANARY_PAUSED, CANARY_IDLE, "rolled_back" },
        { CANARY_TICK, CANARY_PROGRESSING, CANARY_PROGRESSING, "step" },
        { CANARY_TICK, CANARY_PROGRESSING, CANARY_BAKING, "baking" },
        { CANARY_TICK, CANARY_BAKING, CANARY_IDLE, "promoted" },
        { CANARY_VIOLATION, CANARY_BAKING, CANARY_HALTED, "halted" },
        { CANARY_VIOLATION, CANARY_BAKING, CANARY_IDLE, "rolled_back" },
        { CANARY_HOLDING, CANARY_PAUSED, CANARY_PAUSED, "holding" },
        { CANARY_RELEASE_GONE, CANARY_HALTED, CANARY_IDLE, "rolled_back" },
        { CANARY_RELEASE_GONE, CANARY_IDLE, CANARY_IDLE, "changed" },
        { CANARY_STABLE_UNAVAILABLE, CANARY_HALTED, CANARY_HALTED,
          "stable_unavailable" },
        { CANARY_STABLE_AVAILABLE, CANARY_PROGRESSING, CANARY_PROGRESSING,
          "stable_available" }
    };

    (void) unused;

    for (i = 0; i < UNIT_LENGTH(rows); i++) {
        state = a_state("ep", ids);
        event = &state->endpoints[0].events[0];

        event->verb = rows[i].verb;
        event->from_phase = rows[i].from;
        event->to_phase = rows[i].to;
        event->outage.ms = 9840;
        event->outage.attempts = 313;

        text = canary_events_text(state, &len);
        assert_non_null(text);
        text[len - 1] = '\0';

        (void) snprintf(type, sizeof(type), "\"type\":\"%s\"", rows[i].type);
        assert_non_null(strstr(text, type));

        assert_int_equal(strstr(text, "\"figures\":{\"served\":313,"
                                      "\"seconds\":9.84}") != NULL,
                         rows[i].verb == CANARY_STABLE_AVAILABLE);

        free(text);
        canary_state_destroy(state);
    }
}


static void
a_void_event_is_none(void **unused)
{
    (void) unused;

    append_event("ep", 1);
    append_event("ep", 2);
    append_void(2);
    append_event("ep", 3);
    append_void(99);

    assert_string_equal(numbers("ep"), "1,3,");
    assert_int_equal(events->last, 99);

    /* its number was given again: the line after it counts */

    append_event("ep", 2);
    assert_string_equal(numbers("ep"), "1,2,3,");
}


static void
an_event_with_the_number_of_a_void_one_comes_after_it(void **unused)
{
    uint64_t         ids[] = { 2, 0 };
    canary_state_t  *state;

    (void) unused;

    append_event("ep", 2);

    state = a_state("ep", ids);
    state->endpoints[0].voids[0] = 2;
    state->endpoints[0].nvoid = 1;
    append(state);

    assert_string_equal(numbers("ep"), "2,");
}


static void
what_comes_twice_counts_once(void **unused)
{
    (void) unused;

    append_event("ep", 1);
    append_event("ep", 2);
    append_event("ep", 2);
    append_event("other", 2);
    append_event("ep", 1);

    assert_string_equal(numbers("ep"), "1,2,");
    assert_string_equal(numbers("other"), "2,");
    assert_string_equal(numbers("none"), "");
}


static void
a_torn_last_line_is_none(void **unused)
{
    (void) unused;

    append_event("ep", 1);
    put_text("{\"id\":2,\"endpoint\":\"ep\"");

    assert_string_equal(numbers("ep"), "1,");
    assert_int_equal(events->bad, 0);

    /* the next one begins on a line of its own */

    append_event("ep", 3);
    assert_string_equal(numbers("ep"), "1,3,");
    assert_int_equal(events->bad, 1);
}


static void
lines_that_are_none_are_left_out(void **unused)
{
    char    *line;
    size_t   len;

    static const char *const  lines[] = {
        "", "{", "null", "[]", "{}", "{\"void\":-1}", "{\"void\":\"1\"}",
        "{\"void\":1,\"more\":2}", "{\"state\":null}",
        "{\"state\":{\"endpoint\":\"ep\",\"event\":{}}}",
        "{\"state\":{\"endpoint\":1,\"event\":{}}}", "\xff", "{\"id\":7}"
    };

    (void) unused;

    append_event("ep", 1);

    for (len = 0; len < UNIT_LENGTH(lines); len++) {
        put_text(lines[len]);
        put_text("\n");
    }

    put(CANARY_EVENTS_FILE, "a\0b\n", 4);

    /* longer than any event, and longer than what is read at once */

    len = 5 * CANARY_EVENTS_LINE_MAX;
    line = malloc(len);
    assert_non_null(line);
    memset(line, 'x', len);
    line[CANARY_EVENTS_LINE_MAX + 1] = '\n';
    line[len - 1] = '\n';
    put(CANARY_EVENTS_FILE, line, len);
    free(line);

    append_event("ep", 2);

    assert_string_equal(numbers("ep"), "1,2,");
    assert_int_equal(events->bad, UNIT_LENGTH(lines) + 3);
}


static void
what_is_new_is_read_once(void **unused)
{
    char      other[128];
    uint64_t  before;

    (void) unused;

    append_event("ep", 1);
    put_text("no event\n");
    assert_string_equal(numbers("ep"), "1,");
    assert_int_equal(events->bad, 1);

    before = events->lines;

    append_event("ep", 2);
    assert_string_equal(numbers("ep"), "1,2,");
    assert_int_equal(events->bad, 0);
    assert_int_equal(events->lines, before + 1);

    append_void(2);
    assert_string_equal(numbers("ep"), "1,");

    /* another file at its path */

    (void) snprintf(other, sizeof(other), "%s/other", dir);
    assert_int_equal(rename(in_dir(CANARY_EVENTS_FILE), other), 0);
    append_event("ep", 4);
    assert_string_equal(numbers("ep"), "4,");

    /* one that is shorter */

    assert_int_equal(truncate(in_dir(CANARY_EVENTS_FILE), 0), 0);
    assert_string_equal(numbers("ep"), "");
}


static void
a_file_that_is_full_is_renamed(void **unused)
{
    char         *line;
    unsigned      i;
    struct stat   st;

    (void) unused;

    line = malloc(CANARY_EVENTS_SIZE_MAX - 100);
    assert_non_null(line);
    memset(line, 'x', CANARY_EVENTS_SIZE_MAX - 100);

    for (i = 1; i <= 2; i++) {
        append_event("ep", 2 * i);
        put(CANARY_EVENTS_FILE, line, CANARY_EVENTS_SIZE_MAX - 100);
        append_event("ep", 2 * i + 1);
    }

    /* 2 went with the first one that was renamed */

    assert_string_equal(numbers("ep"), "3,4,5,");

    assert_int_equal(stat(in_dir(CANARY_EVENTS_FILE), &st), 0);
    assert_in_range(st.st_size, 1, 2048);
    assert_int_equal(st.st_mode & 07777, 0600);

    free(line);
}


static void
many_lines_at_once_are_spread_over_files(void **unused)
{
    char         *text;
    size_t        len, n;
    struct stat   st;

    (void) unused;

    len = 20u << 20;
    text = malloc(len);
    assert_non_null(text);
    memset(text, 'x', len);

    for (n = 999; n < len; n += 1000) {
        text[n] = '\n';
    }

    text[len - 1] = '\n';

    assert_int_equal(canary_events_append(dir, text, len, &error), 0);

    assert_int_equal(stat(in_dir(CANARY_EVENTS_OLD), &st), 0);
    assert_int_equal(st.st_size, CANARY_EVENTS_SIZE_MAX / 1000 * 1000);
    assert_int_equal(stat(in_dir(CANARY_EVENTS_FILE), &st), 0);
    assert_int_equal(st.st_size,
                     len - CANARY_EVENTS_SIZE_MAX / 1000 * 1000);

    free(text);
}


static void
of_a_file_of_others_the_end_is_read(void **unused)
{
    (void) unused;

    append_event("ep", 1);
    assert_int_equal(truncate(in_dir(CANARY_EVENTS_FILE), 100 << 20), 0);
    put_text("\n");
    append_event("ep", 1000);

    /* renamed, since it is too large */

    append_event("ep", 1001);
    assert_string_equal(numbers("ep"), "1000,1001,");
}


static void
the_last_ones_are_loaded_with_those_of_the_state(void **unused)
{
    unsigned                  i;
    uint64_t                  ids[CANARY_EVENTS + 1];
    canary_state_t           *state;
    canary_state_endpoint_t  *endpoint;

    (void) unused;

    for (i = 1; i <= 100; i++) {
        append_event("ep", i);
    }

    read_all();

    /* two that both have, and ten that are new */

    for (i = 0; i < 12; i++) {
        ids[i] = 99 + i;
    }

    ids[i] = 0;

    state = a_state("ep", ids);
    endpoint = &state->endpoints[0];
    endpoint->rollout.generation = 100;

    assert_true(canary_events_load(events, 100, endpoint));
    assert_int_equal(endpoint->appended, 100);
    assert_int_equal(endpoint->nevents, CANARY_EVENTS);
    assert_true(endpoint->loaded);

    for (i = 0; i < CANARY_EVENTS; i++) {
        assert_int_equal(endpoint->events[i].id, 110 - CANARY_EVENTS + 1 + i);
    }

    canary_state_destroy(state);
}


static void
what_is_newer_than_the_state_is_not_loaded(void **unused)
{
    unsigned                      n;
    uint64_t                      none[] = { 0 };
    canary_state_t               *state;
    canary_state_endpoint_t      *endpoint;
    const canary_events_entry_t  *list;

    (void) unused;

    append_event("ep", 1);
    append_event("ep", 2);
    append_event("ep", 3);
    read_all();

    state = a_state("ep", none);
    endpoint = &state->endpoints[0];
    list = canary_events_find(events, "ep", &n);
    assert_int_equal(n, 3);

    /* by its number it is, but the state has its generation */

    endpoint->rollout.generation = 2;
    assert_false(canary_events_is_newer(&list[1], 1, endpoint));
    assert_true(canary_events_is_newer(&list[2], 1, endpoint));

    /* a state that began anew */

    endpoint->rollout.generation = 1;
    assert_false(canary_events_is_newer(&list[2], 3, endpoint));

    assert_true(canary_events_is_newer(&list[2], 2, NULL));

    endpoint->rollout.generation = 2;
    assert_int_equal(canary_events_last(events, 1, endpoint)->id, 2);
    assert_true(canary_events_load(events, 1, endpoint));
    assert_int_equal(endpoint->nevents, 2);
    assert_int_equal(endpoint->appended, 2);

    canary_state_destroy(state);
}


static void
what_is_no_file_is_refused(void **unused)
{
    char  target[128];

    (void) unused;

    assert_string_equal(numbers("ep"), "");

    assert_int_equal(mkdir(in_dir(CANARY_EVENTS_FILE), 0700), 0);
    assert_int_equal(canary_events_append(dir, "\n", 1, &error), -1);
    assert_string_equal(error.call, "open() of \"events.jsonl\"");
    assert_int_equal(error.err, EISDIR);
    assert_int_equal(canary_events_read(events, dir, &error), -1);
    assert_int_equal(rmdir(in_dir(CANARY_EVENTS_FILE)), 0);

    assert_int_equal(mkfifo(in_dir(CANARY_EVENTS_FILE), 0600), 0);
    assert_int_equal(canary_events_append(dir, "\n", 1, &error), -1);
    assert_string_equal(error.call, "open() of \"events.jsonl\"");
    assert_int_equal(canary_events_read(events, dir, &error), -1);
    assert_int_equal(unlink(in_dir(CANARY_EVENTS_FILE)), 0);

    (void) snprintf(target, sizeof(target), "%s/elsewhere", dir);
    assert_int_equal(symlink(target, in_dir(CANARY_EVENTS_FILE)), 0);
    assert_int_equal(canary_events_append(dir, "\n", 1, &error), -1);
    assert_int_equal(error.err, ELOOP);
    assert_int_equal(canary_events_read(events, dir, &error), -1);
    assert_int_equal(access(target, F_OK), -1);
    assert_int_equal(unlink(in_dir(CANARY_EVENTS_FILE)), 0);

    append_event("ep", 1);
    assert_string_equal(numbers("ep"), "1,");
}


static void
the_longest_event_is_no_longer_than_a_line(void **unused)
{
    char             name[CANARY_STATE_ENDPOINT_NAME], *text;
    size_t           len;
    uint64_t         ids[] = { CANARY_STATE_NUMBER_MAX, 0 };
    unsigned         i;
    canary_rule_t   *rule;
    canary_event_t  *event;
    canary_state_t  *state;

    (void) unused;

    memset(name, 0xff, sizeof(name));
    name[sizeof(name) - 1] = '\0';

    state = a_state(name, ids);
    event = &state->endpoints[0].events[0];

    event->generation = event->time = event->attempts = UINT64_MAX;
    memset(event->reason, 1, sizeof(event->reason) - 1);
    memset(event->actor.name, 1, sizeof(event->actor.name) - 1);
    memset(event->actor.address, 1, sizeof(event->actor.address) - 1);
    memset(event->release, 1, sizeof(event->release) - 1);
    event->verb = CANARY_HOLDING;
    event->outage.ms = event->outage.attempts = UINT64_MAX;
    event->outage.value = 0.1234567890123456;
    event->nfigures = CANARY_FIGURES;

    for (i = 0; i < CANARY_FIGURES; i++) {
        rule = &event->figures[i].rule;
        rule->kind = CANARY_RULE_ERROR_5XX_RATE;
        rule->min_requests = CANARY_MIN_REQUESTS_MAX;
        rule->threshold = 123456789;
        rule->confidence = 999999999;
        rule->burst = 100;
        event->figures[i].judgement.value = -1.2345678901234567e-300;
        event->figures[i].judgement.low = -1.2345678901234567e-300;
        event->figures[i].judgement.high = -1.2345678901234567e-300;
        event->figures[i].judgement.bad = UINT64_MAX;
        event->figures[i].judgement.attempts = UINT64_MAX;
    }

    text = canary_events_text(state, &len);
    assert_non_null(text);
    assert_in_range(len, 1, CANARY_EVENTS_LINE_MAX / 2);

    free(text);
    canary_state_destroy(state);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test_setup_teardown(what_is_appended_is_read_again, begin,
                                        end),
        cmocka_unit_test(lines_are_in_the_order_of_numbers),
        cmocka_unit_test(the_type_is_what_happened),
        cmocka_unit_test_setup_teardown(a_void_event_is_none, begin, end),
        cmocka_unit_test_setup_teardown(
                    an_event_with_the_number_of_a_void_one_comes_after_it,
                    begin, end),
        cmocka_unit_test_setup_teardown(what_comes_twice_counts_once, begin,
                                        end),
        cmocka_unit_test_setup_teardown(a_torn_last_line_is_none, begin, end),
        cmocka_unit_test_setup_teardown(lines_that_are_none_are_left_out,
                                        begin, end),
        cmocka_unit_test_setup_teardown(what_is_new_is_read_once, begin, end),
        cmocka_unit_test_setup_teardown(a_file_that_is_full_is_renamed, begin,
                                        end),
        cmocka_unit_test_setup_teardown(
                    many_lines_at_once_are_spread_over_files, begin, end),
        cmocka_unit_test_setup_teardown(of_a_file_of_others_the_end_is_read,
                                        begin, end),
        cmocka_unit_test_setup_teardown(
                    the_last_ones_are_loaded_with_those_of_the_state,
                    begin, end),
        cmocka_unit_test_setup_teardown(
                    what_is_newer_than_the_state_is_not_loaded, begin, end),
        cmocka_unit_test_setup_teardown(what_is_no_file_is_refused, begin,
                                        end),
        cmocka_unit_test(the_longest_event_is_no_longer_than_a_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
