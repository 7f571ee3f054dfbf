
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CTL_TERM_H
#define CTL_TERM_H


#include "ctl_text.h"


typedef enum {
    CTL_PLAIN = 0,
    CTL_BOLD,
    CTL_DIM,
    CTL_GOOD,
    CTL_WARN,
    CTL_BAD
} ctl_style_t;


/* what standard output is */

typedef struct {
    int      terminal;
    int      colour;
    size_t   columns;                     /* 0: no end */
    size_t   rows;                        /* 0: no end */
} ctl_term_t;


typedef enum {
    CTL_PAUSE_OVER = 0,
    CTL_PAUSE_RESIZED,
    CTL_PAUSE_QUIT                        /* a signal to end, or the key q */
} ctl_pause_t;


void ctl_term_init(ctl_term_t *term);

/* Takes the size anew. */

void ctl_term_measure(ctl_term_t *term);

/* Adds a piece of safe text in a style. */

void ctl_term_add(const ctl_term_t *term, ctl_text_t *out, ctl_style_t style,
    const char *text, size_t len);

/*
 * Adds "label   text", the text broken into lines at blanks where the
 * terminal ends.
 */

#define CTL_LABEL_WIDTH  11

void ctl_term_field(const ctl_term_t *term, ctl_text_t *out,
    const char *label, ctl_style_t style, const char *text);

/* Writes it all; ends the program if that fails. */

void ctl_term_write(const ctl_text_t *out);

/* The same with valid JSON, which is escaped for a terminal. */

void ctl_term_write_json(const ctl_text_t *out);


/*
 * From here to ctl_signals_end() signals that end the program are only kept
 * in mind: ctl_pause() returns at once, and ctl_interrupted() is true.
 * ctl_signals_end() lets the program end by what came.
 */

void ctl_signals_begin(void);
void ctl_signals_end(void);
int ctl_interrupted(void);
ctl_pause_t ctl_pause(double seconds);

/*
 * From now on the program has so many seconds; then it ends as by a signal,
 * with CTL_TIMED_OUT.  In doubt, that is told: whether what was asked for
 * was done.
 */

#define CTL_DOUBT  "Whether it was done is not known; canaryctl status tells."

void ctl_timeout(double seconds);
void ctl_in_doubt(int doubtful);

/* seconds of the monotonic clock */

double ctl_clock(void);


/*
 * A screen of its own on the terminal, between begin and end.  It is left
 * too when the program is stopped or ends.
 */

void ctl_screen_begin(void);
void ctl_screen_draw(const ctl_term_t *term, const ctl_text_t *lines);
void ctl_screen_end(void);


#endif /* CTL_TERM_H */
