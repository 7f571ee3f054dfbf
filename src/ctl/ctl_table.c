
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl_table.h"


#define CTL_TABLE_GAP       2
#define CTL_TABLE_CUT_MIN   8             /* a cut column is no narrower */
#define CTL_TABLE_WIDE      512           /* any but the last is no wider */


static size_t *ctl_table_widths(const ctl_table_t *table,
    const ctl_term_t *term);
static void ctl_table_row(const ctl_table_t *table, const ctl_term_t *term,
    const ctl_cell_t *row, const size_t *widths, ctl_text_t *out);
static size_t ctl_table_cell(const ctl_term_t *term, const ctl_cell_t *cell,
    size_t columns, ctl_text_t *out);


void
ctl_table_init(ctl_table_t *table, const char *columns)
{
    memset(table, 0, sizeof(ctl_table_t));
    table->columns = columns;
}


void
ctl_table_add(ctl_table_t *table, ctl_style_t style, const char *text)
{
    ctl_cell_t  *cells;
    ctl_text_t   safe = { NULL, 0, 0 };

    if (table->ncells == table->size) {
        cells = ctl_calloc(2 * table->size + 64, sizeof(ctl_cell_t));

        if (table->ncells) {
            memcpy(cells, table->cells, table->ncells * sizeof(ctl_cell_t));
        }

        free(table->cells);

        table->cells = cells;
        table->size = 2 * table->size + 64;
    }

    ctl_text_add_safe(&safe, text);

    table->cells[table->ncells].style = style;
    table->cells[table->ncells].text = safe.data;
    table->ncells++;
}


void
ctl_table_addf(ctl_table_t *table, ctl_style_t style, const char *fmt, ...)
{
    char     buf[256];
    va_list  args;

    va_start(args, fmt);
    vsnprintf(buf, sizeof(buf), fmt, args);
    va_end(args);

    ctl_table_add(table, style, buf);
}


void
ctl_table_write(const ctl_table_t *table, const ctl_term_t *term,
    ctl_text_t *out)
{
    size_t  i, n, *widths;

    n = strlen(table->columns);
    widths = ctl_table_widths(table, term);

    for (i = 0; i + n <= table->ncells; i += n) {
        ctl_table_row(table, term, &table->cells[i], widths, out);
    }

    free(widths);
}


/* to be freed */

static size_t *
ctl_table_widths(const ctl_table_t *table, const ctl_term_t *term)
{
    size_t  i, n, all, width, *widths;

    n = strlen(table->columns);
    widths = ctl_calloc(n, sizeof(size_t));

    for (i = 0; i < table->ncells; i++) {
        width = ctl_width(table->cells[i].text,
                          strlen(table->cells[i].text));

        if (width > CTL_TABLE_WIDE && i % n != n - 1) {
            width = CTL_TABLE_WIDE;
        }

        if (width > widths[i % n]) {
            widths[i % n] = width;
        }
    }

    all = (n - 1) * CTL_TABLE_GAP;

    for (i = 0; i < n; i++) {
        all += widths[i];
    }

    for (i = 0; i < n; i++) {
        if (table->columns[i] == 'x' && term->columns && all > term->columns) {
            width = all - widths[i];
            width = (width + CTL_TABLE_CUT_MIN < term->columns)
                    ? term->columns - width : CTL_TABLE_CUT_MIN;

            if (width < widths[i]) {
                all -= widths[i] - width;
                widths[i] = width;
            }
        }
    }

    return widths;
}


/* No blanks at its end, and no more columns than the terminal has. */

static void
ctl_table_row(const ctl_table_t *table, const ctl_term_t *term,
    const ctl_cell_t *row, const size_t *widths, ctl_text_t *out)
{
    size_t  i, at, due, room, width, begin;

    at = 0;
    due = 0;

    for (i = 0; table->columns[i]; i++) {
        begin = due;
        due += widths[i] + CTL_TABLE_GAP;

        if (row[i].text[0] == '\0') {
            continue;
        }

        if (table->columns[i] == 'r') {
            width = ctl_width(row[i].text, strlen(row[i].text));
            begin += (width < widths[i]) ? widths[i] - width : 0;
        }

        room = widths[i];

        if (term->columns) {
            if (begin >= term->columns) {
                break;
            }

            if (room > term->columns - begin) {
                room = term->columns - begin;
            }
        }

        ctl_text_fill(out, ' ', begin - at);
        at = begin + ctl_table_cell(term, &row[i], room, out);
    }

    ctl_text_adds(out, "\n");
}


static size_t
ctl_table_cell(const ctl_term_t *term, const ctl_cell_t *cell, size_t columns,
    ctl_text_t *out)
{
    size_t      len, fit;
    ctl_text_t  cut = { NULL, 0, 0 };

    len = strlen(cell->text);
    fit = ctl_fit(cell->text, len, columns);

    if (fit == len) {
        ctl_term_add(term, out, cell->style, cell->text, len);
        return ctl_width(cell->text, len);
    }

    if (columns > 3) {
        fit = ctl_fit(cell->text, len, columns - 3);
        ctl_text_add(&cut, cell->text, fit);
        ctl_text_adds(&cut, "...");

    } else {
        ctl_text_add(&cut, cell->text, fit);
    }

    ctl_term_add(term, out, cell->style, cut.data, cut.len);

    len = ctl_width(cut.data, cut.len);
    ctl_text_free(&cut);

    return len;
}


void
ctl_table_free(ctl_table_t *table)
{
    size_t  i;

    for (i = 0; i < table->ncells; i++) {
        free(table->cells[i].text);
    }

    free(table->cells);
}
