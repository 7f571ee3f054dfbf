
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CTL_TEXT_H
#define CTL_TEXT_H


#include <stddef.h>


/*
 * Text that grows, always ended by a zero.  All zeros is an empty one.  The
 * program ends with a message when there is no memory.
 */

typedef struct {
    char    *data;
    size_t   len;
    size_t   size;
} ctl_text_t;


void ctl_text_add(ctl_text_t *text, const char *bytes, size_t len);
void ctl_text_adds(ctl_text_t *text, const char *string);
void ctl_text_addf(ctl_text_t *text, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/*
 * Text from outside, fit for a terminal, as one line: what is no UTF-8,
 * control characters, what changes the direction of writing and what is not
 * seen become "?".
 */

void ctl_text_add_safe(ctl_text_t *text, const char *string);

/* Valid JSON, fit for a terminal: the same characters become escapes. */

void ctl_text_add_json(ctl_text_t *text, const char *json);

void ctl_text_fill(ctl_text_t *text, char ch, size_t n);
void ctl_text_clear(ctl_text_t *text);
void ctl_text_free(ctl_text_t *text);

/* a copy of the string, to be freed */

char *ctl_strdup(const char *string);

/* an array of n zeroed elements, to be freed */

void *ctl_calloc(size_t n, size_t size);

void ctl_no_memory(void) __attribute__((noreturn));


/* The columns that safe text takes on a terminal. */

size_t ctl_width(const char *text, size_t len);

/* The bytes at the beginning that take no more than so many columns. */

size_t ctl_fit(const char *text, size_t len, size_t columns);


#endif /* CTL_TEXT_H */
