
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ctl_format.h"
#include "ctl_json.h"


static void ctl_add_happened(ctl_text_t *text, const cJSON *event);
static void ctl_add_state(ctl_text_t *text, const cJSON *state);


void
ctl_add_ratio(ctl_text_t *text, double ratio)
{
    double  percent;

    percent = ratio * 100;

    if (percent == 0 || fabs(percent) >= 0.0001) {
        ctl_text_addf(text, "%.4g%%", percent);

    } else {
        ctl_text_addf(text, "%.1e%%", percent);
    }
}


void
ctl_add_seconds(ctl_text_t *text, double seconds)
{
    unsigned long  s;

    if (seconds < 9.95) {
        ctl_text_addf(text, "%.1f s", seconds);
        return;
    }

    /* nobody has to be told of 10,000 years to the second */

    s = (unsigned long) (fmin(seconds, 1e12) + 0.5);

    if (s < 60) {
        ctl_text_addf(text, "%lu s", s);

    } else if (s < 3600) {
        ctl_text_addf(text, "%lu min %02lu s", s / 60, s % 60);

    } else if (s < 2 * 86400) {
        ctl_text_addf(text, "%lu h %02lu min", s / 3600, s % 3600 / 60);

    } else {
        ctl_text_addf(text, "%lu days", s / 86400);
    }
}


void
ctl_add_ms(ctl_text_t *text, double ms)
{
    if (ms < 100) {
        ctl_text_addf(text, "%.3g", ms);

    } else {
        ctl_text_addf(text, "%.0f", ms);
    }
}


/* The unit is the rule's; beside a baseline of stable, it is a factor. */

void
ctl_add_value(ctl_text_t *text, const cJSON *rule, const cJSON *value)
{
    const char  *name;

    if (!cJSON_IsNumber(value)) {
        ctl_text_adds(text, "-");
        return;
    }

    name = ctl_json_text(rule, "rule", "");

    if (strncmp(name, "latency_", 8) == 0) {

        if (ctl_json_text(rule, "baseline", NULL)) {
            ctl_text_addf(text, "x %.3g", value->valuedouble);

        } else {
            ctl_add_ms(text, value->valuedouble);
            ctl_text_adds(text, " ms");
        }

    } else if (strcmp(name, "failed_requests_max") == 0) {
        ctl_text_addf(text, "%.0f", value->valuedouble);

    } else {
        if (ctl_json_text(rule, "baseline", NULL) && value->valuedouble >= 0)
        {
            ctl_text_adds(text, "+");
        }

        ctl_add_ratio(text, value->valuedouble);
    }
}


void
ctl_add_time(ctl_text_t *text, const char *time)
{
    if (strlen(time) >= 19 && time[10] == 'T') {
        ctl_text_addf(text, "%.10s %.8s", time, time + 11);

    } else {
        ctl_text_adds(text, time);
    }
}


void
ctl_add_change(ctl_text_t *text, const cJSON *event)
{
    double        weight;
    const cJSON  *from, *to;

    from = ctl_json_object(event, "from");
    to = ctl_json_object(event, "to");
    weight = ctl_json_number(to, "weight", 0);

    ctl_add_happened(text, event);
    ctl_add_state(text, from);

    if (strcmp(ctl_json_text(from, "phase", ""),
               ctl_json_text(to, "phase", "")) != 0)
    {
        ctl_text_adds(text, " -> ");
        ctl_add_state(text, to);

    } else if (weight != ctl_json_number(from, "weight", 0)) {
        ctl_text_adds(text, " -> ");
        ctl_add_ratio(text, weight);
    }
}


/* "v2 rolled back, "; a server of before did not tell */

static void
ctl_add_happened(ctl_text_t *text, const cJSON *event)
{
    const char  *type, *release;

    type = ctl_json_text(event, "type", "");
    release = ctl_json_text(event, "release", NULL);

    if (type[0] == '\0') {
        return;
    }

    if (release && strncmp(type, "stable_", 7) != 0) {
        ctl_text_addf(text, "%s ", release);
    }

    for ( /* void */ ; *type; type++) {
        ctl_text_add(text, (*type == '_') ? " " : type, 1);
    }

    ctl_text_adds(text, ", ");
}


static void
ctl_add_state(ctl_text_t *text, const cJSON *state)
{
    const char  *phase;

    phase = ctl_json_text(state, "phase", "?");

    ctl_text_adds(text, phase);

    if (strcmp(phase, "idle") != 0) {
        ctl_text_adds(text, " ");
        ctl_add_ratio(text, ctl_json_number(state, "weight", 0));
    }
}


/* a rule that has acted is named by the reason */

void
ctl_add_why(ctl_text_t *text, const cJSON *event)
{
    const char   *name, *address, *reason;
    const cJSON  *actor;

    actor = ctl_json_object(event, "actor");
    name = ctl_json_text(actor, "name", "?");
    address = ctl_json_text(actor, "address", NULL);
    reason = ctl_json_text(event, "reason", "");

    if (strncmp(reason, name, strlen(name)) == 0) {
        ctl_text_adds(text, reason);
        return;
    }

    ctl_text_adds(text, name);

    if (address) {
        ctl_text_addf(text, " %s", address);
    }

    if (reason[0]) {
        ctl_text_addf(text, ": %s", reason);
    }
}


void
ctl_add_event(ctl_text_t *text, const cJSON *event)
{
    ctl_add_time(text, ctl_json_text(event, "time", ""));
    ctl_text_addf(text, "  %.0f  %s  ", ctl_json_number(event, "id", 0),
                  ctl_json_text(event, "endpoint", "?"));
    ctl_add_change(text, event);
    ctl_text_adds(text, "  ");
    ctl_add_why(text, event);
}


void
ctl_cell_count(ctl_table_t *table, ctl_style_t style, double count)
{
    if (count < 0) {
        ctl_table_add(table, CTL_DIM, "-");

    } else {
        ctl_table_addf(table, style, "%.0f", count);
    }
}


void
ctl_cell_ratio(ctl_table_t *table, ctl_style_t style, double ratio)
{
    ctl_text_t  text = { NULL, 0, 0 };

    if (ratio < 0) {
        ctl_table_add(table, CTL_DIM, "-");
        return;
    }

    ctl_add_ratio(&text, ratio);
    ctl_table_add(table, style, text.data);
    ctl_text_free(&text);
}


void
ctl_cell_ms(ctl_table_t *table, ctl_style_t style, double ms)
{
    ctl_text_t  text = { NULL, 0, 0 };

    if (ms < 0) {
        ctl_table_add(table, CTL_DIM, "-");
        return;
    }

    ctl_add_ms(&text, ms);
    ctl_table_add(table, style, text.data);
    ctl_text_free(&text);
}


ctl_style_t
ctl_phase_style(const char *phase)
{
    if (strcmp(phase, "halted") == 0) {
        return CTL_BAD;
    }

    if (strcmp(phase, "paused") == 0) {
        return CTL_WARN;
    }

    return (strcmp(phase, "idle") == 0) ? CTL_DIM : CTL_GOOD;
}


ctl_style_t
ctl_verdict_style(const char *verdict)
{
    if (strcmp(verdict, "failing") == 0) {
        return CTL_BAD;
    }

    return (strcmp(verdict, "passing") == 0) ? CTL_GOOD : CTL_WARN;
}
