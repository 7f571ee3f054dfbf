
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <stdlib.h>
#include <string.h>

#include "ctl_endpoint.h"
#include "ctl_json.h"


#define CTL_BAR_WIDTH      20
#define CTL_RELEASE_WIDTH  16             /* of a column, about */
#define CTL_RELEASE_MAX    16


static void ctl_screen_head(const cJSON *endpoint, const ctl_term_t *term,
    ctl_text_t *out);
static void ctl_screen_field(const ctl_term_t *term, ctl_text_t *out,
    const char *label, ctl_style_t style, ctl_text_t *text);
static void ctl_screen_weight(const cJSON *endpoint, const ctl_term_t *term,
    ctl_text_t *out);
static void ctl_add_bar(ctl_text_t *text, double weight);
static void ctl_screen_step(const cJSON *endpoint, const ctl_term_t *term,
    ctl_text_t *out);
static void ctl_screen_next(const cJSON *endpoint, const ctl_term_t *term,
    ctl_text_t *out);
static void ctl_screen_releases(const cJSON *endpoint, const ctl_term_t *term,
    ctl_text_t *out);
static size_t ctl_sort_releases(const cJSON *list, const cJSON **sorted);
static void ctl_screen_columns(const cJSON **releases, size_t n,
    const ctl_term_t *term, ctl_text_t *out);
static void ctl_screen_counts(ctl_table_t *table, const cJSON **releases,
    size_t n);
static void ctl_screen_rules(const cJSON *endpoint, const ctl_term_t *term,
    ctl_text_t *out);
static void ctl_screen_rule(ctl_table_t *table, const cJSON *rule);
static void ctl_cell_bounds(ctl_table_t *table, const cJSON *rule);
static void ctl_screen_events(const cJSON *events, size_t most,
    const ctl_term_t *term, ctl_text_t *out);
static size_t ctl_screen_lines(const ctl_text_t *out);


void
ctl_endpoint_screen(const cJSON *endpoint, const cJSON *events, size_t most,
    const ctl_term_t *term, ctl_text_t *out)
{
    size_t  used;

    ctl_screen_head(endpoint, term, out);
    ctl_screen_weight(endpoint, term, out);
    ctl_screen_step(endpoint, term, out);
    ctl_screen_next(endpoint, term, out);
    ctl_screen_releases(endpoint, term, out);
    ctl_screen_rules(endpoint, term, out);

    used = ctl_screen_lines(out) + 2;     /* with the heading of events */

    if (term->rows) {
        if (term->rows <= used) {
            return;
        }

        if (most > term->rows - used) {
            most = term->rows - used;
        }
    }

    ctl_screen_events(events, most, term, out);
}


static void
ctl_screen_head(const cJSON *endpoint, const ctl_term_t *term,
    ctl_text_t *out)
{
    ctl_text_t   text = { NULL, 0, 0 };
    const char  *phase, *canary;

    phase = ctl_json_text(endpoint, "phase", "?");
    canary = ctl_json_text(endpoint, "canary", NULL);

    ctl_text_adds(&text, ctl_json_text(endpoint, "name", "?"));
    ctl_screen_field(term, out, "Endpoint", CTL_BOLD, &text);

    ctl_text_adds(&text, phase);

    if (canary) {
        ctl_text_addf(&text, ": %s beside %s", canary,
                      ctl_json_text(endpoint, "stable", "?"));

    } else {
        ctl_text_addf(&text, ": %s is stable",
                      ctl_json_text(endpoint, "stable", "?"));
    }

    ctl_text_addf(&text, " (generation %.0f)",
                  ctl_json_number(endpoint, "generation", 0));
    ctl_screen_field(term, out, "Phase", ctl_phase_style(phase), &text);
}


/* made safe; the text is emptied for the next one */

static void
ctl_screen_field(const ctl_term_t *term, ctl_text_t *out, const char *label,
    ctl_style_t style, ctl_text_t *text)
{
    ctl_text_t  safe = { NULL, 0, 0 };

    ctl_text_add_safe(&safe, text->data ? text->data : "");
    ctl_term_field(term, out, label, style, safe.data);

    ctl_text_free(&safe);
    ctl_text_free(text);
}


static void
ctl_screen_weight(const cJSON *endpoint, const ctl_term_t *term,
    ctl_text_t *out)
{
    double      weight, served;
    ctl_text_t  text = { NULL, 0, 0 };

    if (ctl_json_text(endpoint, "canary", NULL) == NULL) {
        return;
    }

    weight = ctl_json_number(endpoint, "weight", 0);
    served = ctl_json_number(endpoint, "served_weight", -1);

    ctl_add_bar(&text, weight);
    ctl_text_adds(&text, " target ");
    ctl_add_ratio(&text, weight);

    if (served < 0) {
        ctl_text_adds(&text, ", served: no attempt in this step yet");

    } else {
        ctl_text_adds(&text, ", served ");
        ctl_add_ratio(&text, served);
    }

    ctl_screen_field(term, out, "Weight", CTL_PLAIN, &text);
}


static void
ctl_add_bar(ctl_text_t *text, double weight)
{
    size_t  full;

    full = (weight < 0) ? 0
           : (weight > 1) ? CTL_BAR_WIDTH
           : (size_t) (weight * CTL_BAR_WIDTH + 0.5);

    ctl_text_adds(text, "[");
    ctl_text_fill(text, '#', full);
    ctl_text_fill(text, '-', CTL_BAR_WIDTH - full);
    ctl_text_adds(text, "]");
}


/* the steps around the present one, which is in brackets */

static void
ctl_screen_step(const cJSON *endpoint, const ctl_term_t *term,
    ctl_text_t *out)
{
    int           i, n, step, first;
    ctl_text_t    text = { NULL, 0, 0 };
    const cJSON  *steps, *item;

    steps = ctl_json_list(endpoint, "steps");
    n = cJSON_GetArraySize(steps);
    step = ctl_json_int(endpoint, "step");

    if (ctl_json_text(endpoint, "canary", NULL) == NULL) {
        return;
    }

    ctl_text_addf(&text, "%d of %d:", step, n);

    first = (step > 5) ? step - 4 : 1;

    if (first > 1) {
        ctl_text_adds(&text, " ...");
    }

    i = 0;

    cJSON_ArrayForEach(item, steps) {
        if (++i < first) {
            continue;
        }

        if (i >= first + 9) {
            ctl_text_adds(&text, " ...");
            break;
        }

        ctl_text_adds(&text, (i == step) ? " [" : " ");
        ctl_add_ratio(&text, cJSON_IsNumber(item) ? item->valuedouble : 0);
        ctl_text_adds(&text, (i == step) ? "]" : "");
    }

    ctl_screen_field(term, out, "Step", CTL_PLAIN, &text);
}


static void
ctl_screen_next(const cJSON *endpoint, const ctl_term_t *term,
    ctl_text_t *out)
{
    ctl_text_t  text = { NULL, 0, 0 };

    ctl_add_next(&text, endpoint);
    ctl_screen_field(term, out, "Next", CTL_BOLD, &text);

    ctl_add_waiting(&text, endpoint);

    if (text.len) {
        ctl_screen_field(term, out, "Waits for", CTL_WARN, &text);
    }

    ctl_add_last(&text, endpoint);

    if (text.len) {
        ctl_screen_field(term, out, "Ended",
                         strcmp(ctl_json_text(ctl_json_object(endpoint,
                                                              "last_rollout"),
                                              "result", ""), "promoted") == 0
                         ? CTL_PLAIN : CTL_BAD,
                         &text);
    }
}


/* Side by side, so many as the terminal holds; the others below. */

static void
ctl_screen_releases(const cJSON *endpoint, const ctl_term_t *term,
    ctl_text_t *out)
{
    size_t        i, n, room;
    const cJSON  *sorted[CTL_RELEASE_MAX];

    n = ctl_sort_releases(ctl_json_list(endpoint, "releases"), sorted);

    room = n;

    if (term->columns) {
        room = (term->columns > CTL_LABEL_WIDTH + CTL_RELEASE_WIDTH)
               ? (term->columns - CTL_LABEL_WIDTH) / CTL_RELEASE_WIDTH : 1;
    }

    for (i = 0; i < n; i += room) {
        ctl_text_adds(out, "\n");
        ctl_screen_columns(&sorted[i], (n - i < room) ? n - i : room, term,
                           out);
    }
}


/* stable, canary, the others */

static size_t
ctl_sort_releases(const cJSON *list, const cJSON **sorted)
{
    size_t        n, pass;
    const char   *role;
    const cJSON  *item;

    static const char *const  roles[] = { "stable", "canary", "" };

    n = 0;

    for (pass = 0; pass < 3; pass++) {
        cJSON_ArrayForEach(item, list) {
            role = ctl_json_text(item, "role", "");

            if (strcmp(role, roles[pass]) == 0 && n < CTL_RELEASE_MAX) {
                sorted[n++] = item;
            }
        }
    }

    return n;
}


static void
ctl_screen_columns(const cJSON **releases, size_t n, const ctl_term_t *term,
    ctl_text_t *out)
{
    char         columns[CTL_RELEASE_MAX + 2];
    size_t       i;
    const char  *role;
    ctl_table_t  table;

    columns[0] = 'l';
    memset(columns + 1, 'r', n);
    columns[n + 1] = '\0';

    ctl_table_init(&table, columns);

    ctl_table_add(&table, CTL_DIM, "RELEASE");

    for (i = 0; i < n; i++) {
        ctl_table_add(&table, CTL_BOLD,
                      ctl_json_text(releases[i], "name", "?"));
    }

    ctl_table_add(&table, CTL_DIM, "");

    for (i = 0; i < n; i++) {
        role = ctl_json_text(releases[i], "role", "");
        ctl_table_add(&table, strcmp(role, "canary") == 0 ? CTL_WARN
                      : strcmp(role, "stable") == 0 ? CTL_GOOD : CTL_DIM,
                      role[0] ? role : "-");
    }

    ctl_screen_counts(&table, releases, n);

    ctl_table_write(&table, term, out);
    ctl_table_free(&table);
}


static void
ctl_screen_counts(ctl_table_t *table, const cJSON **releases, size_t n)
{
    size_t        i, row;
    double        value;
    const cJSON  *object;

    static const struct {
        const char   *label;
        const char   *object;             /* NULL: the release itself */
        const char   *name;
        ctl_style_t   style;              /* if it is not 0 */
    } rows[] = {
        { "attempts", NULL, "attempts", CTL_PLAIN },
        { "2xx", "responses", "2xx", CTL_PLAIN },
        { "4xx", "responses", "4xx", CTL_WARN },
        { "5xx", "responses", "5xx", CTL_BAD },
        { "failed", NULL, "failed", CTL_BAD },
        { "p50 ms", "latency_ms", "p50", CTL_PLAIN },
        { "p90 ms", "latency_ms", "p90", CTL_PLAIN },
        { "p99 ms", "latency_ms", "p99", CTL_PLAIN }
    };

    for (row = 0; row < sizeof(rows) / sizeof(rows[0]); row++) {
        ctl_table_add(table, CTL_DIM, rows[row].label);

        for (i = 0; i < n; i++) {
            object = rows[row].object
                     ? ctl_json_object(releases[i], rows[row].object)
                     : releases[i];
            value = ctl_json_number(object, rows[row].name, -1);

            if (strchr(rows[row].label, ' ')) {
                ctl_cell_ms(table, rows[row].style, value);

            } else {
                ctl_cell_count(table, (value > 0) ? rows[row].style
                                                  : CTL_PLAIN, value);
            }
        }
    }
}


static void
ctl_screen_rules(const cJSON *endpoint, const ctl_term_t *term,
    ctl_text_t *out)
{
    ctl_table_t   table;
    const cJSON  *rules, *rule;

    rules = ctl_json_list(endpoint, "rules");

    if (cJSON_GetArraySize(rules) == 0) {
        return;
    }

    ctl_text_adds(out, "\n");

    ctl_table_init(&table, "lrrlrrl");

    ctl_table_add(&table, CTL_DIM, "RULE");
    ctl_table_add(&table, CTL_DIM, "VALUE");
    ctl_table_add(&table, CTL_DIM, "LIMIT");
    ctl_table_add(&table, CTL_DIM, "BOUNDS");
    ctl_table_add(&table, CTL_DIM, "ATTEMPTS");
    ctl_table_add(&table, CTL_DIM, "NEEDS");
    ctl_table_add(&table, CTL_DIM, "VERDICT");

    cJSON_ArrayForEach(rule, rules) {
        ctl_screen_rule(&table, rule);
    }

    ctl_table_write(&table, term, out);
    ctl_table_free(&table);
}


static void
ctl_screen_rule(ctl_table_t *table, const cJSON *rule)
{
    ctl_text_t   text = { NULL, 0, 0 };
    const char  *verdict, *match;

    verdict = ctl_json_text(rule, "verdict", "?");
    match = ctl_json_text(rule, "match", NULL);

    ctl_text_addf(&text, "%s%s%s", ctl_json_text(rule, "rule", "?"),
                  match ? " " : "", match ? match : "");
    ctl_table_add(table, CTL_PLAIN, text.data);

    ctl_text_clear(&text);
    ctl_add_value(&text, rule,
                  cJSON_GetObjectItemCaseSensitive(rule, "value"));
    ctl_table_add(table, ctl_verdict_style(verdict), text.data);

    ctl_text_clear(&text);
    ctl_add_value(&text, rule,
                  cJSON_GetObjectItemCaseSensitive(rule, "threshold"));
    ctl_table_add(table, CTL_PLAIN, text.data);

    ctl_cell_bounds(table, rule);
    ctl_cell_count(table, CTL_PLAIN, ctl_json_number(rule, "attempts", -1));
    ctl_cell_count(table, CTL_PLAIN, ctl_json_number(rule, "needs", -1));
    ctl_table_add(table, ctl_verdict_style(verdict), verdict);

    ctl_text_free(&text);
}


/* between what the value is, with the rule's confidence */

static void
ctl_cell_bounds(ctl_table_t *table, const cJSON *rule)
{
    ctl_text_t    text = { NULL, 0, 0 };
    const cJSON  *bounds;

    bounds = ctl_json_list(rule, "bounds");

    if (cJSON_GetArraySize(bounds) != 2) {
        ctl_table_add(table, CTL_DIM, "-");
        return;
    }

    ctl_add_value(&text, rule, cJSON_GetArrayItem(bounds, 0));
    ctl_text_adds(&text, " .. ");
    ctl_add_value(&text, rule, cJSON_GetArrayItem(bounds, 1));

    ctl_table_add(table, CTL_PLAIN, text.data);
    ctl_text_free(&text);
}


static void
ctl_screen_events(const cJSON *events, size_t most, const ctl_term_t *term,
    ctl_text_t *out)
{
    size_t        n;
    ctl_text_t    text = { NULL, 0, 0 };
    ctl_table_t   table;
    const cJSON  *event;

    if (cJSON_GetArraySize(events) == 0 || most == 0) {
        return;
    }

    ctl_text_adds(out, "\n");

    ctl_table_init(&table, "llx");

    ctl_table_add(&table, CTL_DIM, "EVENT (UTC)");
    ctl_table_add(&table, CTL_DIM, "CHANGE");
    ctl_table_add(&table, CTL_DIM, "BY");

    n = 0;

    cJSON_ArrayForEach(event, events) {
        if (n++ == most) {
            break;
        }

        ctl_add_time(&text, ctl_json_text(event, "time", ""));
        ctl_table_add(&table, CTL_PLAIN, text.data);

        ctl_text_clear(&text);
        ctl_add_change(&text, event);
        ctl_table_add(&table, CTL_PLAIN, text.data);

        ctl_text_clear(&text);
        ctl_add_why(&text, event);
        ctl_table_add(&table, CTL_PLAIN, text.data);
        ctl_text_clear(&text);
    }

    ctl_table_write(&table, term, out);
    ctl_table_free(&table);
    ctl_text_free(&text);
}


static size_t
ctl_screen_lines(const ctl_text_t *out)
{
    size_t       n;
    const char  *p;

    n = 0;

    for (p = out->data; p && *p; p++) {
        n += (*p == '\n');
    }

    return n;
}
