
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CTL_FORMAT_H
#define CTL_FORMAT_H


#include <cjson/cJSON.h>

#include "ctl_table.h"


/* What people read: 0.25 as 25%, 90 as 1 min 30 s.  Adds to the text. */

void ctl_add_ratio(ctl_text_t *text, double ratio);
void ctl_add_seconds(ctl_text_t *text, double seconds);
void ctl_add_ms(ctl_text_t *text, double ms);

/* A value of a rule, or its threshold; "-" if it is not known. */

void ctl_add_value(ctl_text_t *text, const cJSON *rule, const cJSON *value);

/* "2026-11-23 01:22:09" of a time as the API has it. */

void ctl_add_time(ctl_text_t *text, const char *time);

/* "progressing 10% -> idle" of an event. */

void ctl_add_change(ctl_text_t *text, const cJSON *event);

/* Who did it and why: "ci 127.0.0.1: looks good". */

void ctl_add_why(ctl_text_t *text, const cJSON *event);

/* An event in one line. */

void ctl_add_event(ctl_text_t *text, const cJSON *event);


/* Cells of a table: a count, "-" if it is not known, and the others. */

void ctl_cell_count(ctl_table_t *table, ctl_style_t style, double count);
void ctl_cell_ratio(ctl_table_t *table, ctl_style_t style, double ratio);
void ctl_cell_ms(ctl_table_t *table, ctl_style_t style, double ms);

ctl_style_t ctl_phase_style(const char *phase);
ctl_style_t ctl_verdict_style(const char *verdict);


#endif /* CTL_FORMAT_H */
