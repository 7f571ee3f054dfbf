
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CTL_TABLE_H
#define CTL_TABLE_H


#include "ctl_term.h"


/*
 * A table: cells are added row by row.  The format of a column is one letter
 * for each: "l" left, "r" right, "x" left and cut with "..." where the
 * terminal ends.
 */

typedef struct {
    ctl_style_t   style;
    char         *text;
} ctl_cell_t;


typedef struct {
    const char  *columns;
    ctl_cell_t  *cells;
    size_t       ncells;
    size_t       size;
} ctl_table_t;


void ctl_table_init(ctl_table_t *table, const char *columns);

/* Text from outside may be in it: what is added is made safe. */

void ctl_table_add(ctl_table_t *table, ctl_style_t style, const char *text);
void ctl_table_addf(ctl_table_t *table, ctl_style_t style, const char *fmt,
    ...) __attribute__((format(printf, 3, 4)));

void ctl_table_write(const ctl_table_t *table, const ctl_term_t *term,
    ctl_text_t *out);
void ctl_table_free(ctl_table_t *table);


#endif /* CTL_TABLE_H */
