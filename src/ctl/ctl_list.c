
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <string.h>

#include "ctl_endpoint.h"
#include "ctl_http.h"
#include "ctl_json.h"


static void ctl_list_show(const cJSON *endpoints);
static void ctl_list_row(ctl_table_t *table, const cJSON *endpoint);
static void ctl_list_note(ctl_table_t *table, const cJSON *endpoint);


ctl_exit_t
ctl_list(const ctl_options_t *options)
{
    ctl_exit_t    rc;
    ctl_http_t    http;
    ctl_answer_t  answer;

    rc = ctl_http_open(&http, options);

    if (rc == CTL_DONE) {
        rc = ctl_http_call(&http, "endpoints", NULL, &answer);

        if (rc == CTL_DONE && !ctl_given(options, CTL_OPT_JSON)) {
            ctl_list_show(ctl_json_list(answer.json, "endpoints"));
        }

        ctl_answer_free(&answer);
    }

    ctl_http_close(&http);

    return rc;
}


static void
ctl_list_show(const cJSON *endpoints)
{
    size_t        i;
    ctl_term_t    term;
    ctl_text_t    out = { NULL, 0, 0 };
    ctl_table_t   table;
    const cJSON  *endpoint;

    static const char *const  heads[] = {
        "NAME", "PHASE", "STABLE", "CANARY", "WEIGHT", "SERVED", "STEP", "NEXT"
    };

    ctl_term_init(&term);
    ctl_table_init(&table, "llllrrrx");

    for (i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        ctl_table_add(&table, CTL_DIM, heads[i]);
    }

    cJSON_ArrayForEach(endpoint, endpoints) {
        ctl_list_row(&table, endpoint);
    }

    ctl_table_write(&table, &term, &out);
    ctl_term_write(&out);

    ctl_table_free(&table);
    ctl_text_free(&out);
}


static void
ctl_list_row(ctl_table_t *table, const cJSON *endpoint)
{
    int          idle;
    const char  *phase, *canary;

    phase = ctl_json_text(endpoint, "phase", "?");
    canary = ctl_json_text(endpoint, "canary", "-");
    idle = (strcmp(phase, "idle") == 0);

    ctl_table_add(table, CTL_BOLD, ctl_json_text(endpoint, "name", "?"));
    ctl_table_add(table, ctl_phase_style(phase), phase);
    ctl_table_add(table, CTL_PLAIN, ctl_json_text(endpoint, "stable", "-"));
    ctl_table_add(table, CTL_PLAIN, canary);

    ctl_cell_ratio(table, CTL_PLAIN,
                   idle ? -1 : ctl_json_number(endpoint, "weight", -1));
    ctl_cell_ratio(table, CTL_PLAIN,
                   idle ? -1 : ctl_json_number(endpoint, "served_weight", -1));

    if (idle) {
        ctl_table_add(table, CTL_DIM, "-");

    } else {
        ctl_table_addf(table, CTL_PLAIN, "%.0f/%d",
                       ctl_json_number(endpoint, "step", 0),
                       cJSON_GetArraySize(ctl_json_list(endpoint, "steps")));
    }

    ctl_list_note(table, endpoint);
}


/* what it waits for, else what comes; of an idle one, what was */

static void
ctl_list_note(ctl_table_t *table, const cJSON *endpoint)
{
    ctl_text_t   note = { NULL, 0, 0 };

    ctl_text_clear(&note);

    if (strcmp(ctl_json_text(endpoint, "phase", ""), "idle") == 0) {
        ctl_add_last(&note, endpoint);

    } else if (ctl_json_number(endpoint, "next_step_in_seconds", -1) == 0) {
        ctl_add_waiting(&note, endpoint);
    }

    if (note.len == 0
        && strcmp(ctl_json_text(endpoint, "phase", ""), "idle") != 0)
    {
        ctl_add_next(&note, endpoint);
    }

    ctl_table_add(table, CTL_PLAIN, note.data);
    ctl_text_free(&note);
}
