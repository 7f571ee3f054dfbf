
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CTL_POSITION_H
#define CTL_POSITION_H


#include "ctl.h"


/*
 * Up to which event all has been told, in a file that survives a restart: its
 * number in the first line, its time in the second.  The file is written in
 * place, in one piece that never grows over a block, and is locked by whoever
 * tells of events: two programs never tell of the same one.
 */


#define CTL_TIME_MAX  40                  /* bytes of a time, with the zero */


typedef struct {
    const char  *name;                    /* of the file; NULL: none */
    int          fd;
    int          known;                   /* there is a number */
    double       id;
    char         time[CTL_TIME_MAX];      /* empty: not known */
} ctl_position_t;


/* What fails is told.  Waits for another program that has the file. */

ctl_exit_t ctl_position_open(ctl_position_t *position, const char *name);
void ctl_position_close(ctl_position_t *position);

/*
 * All up to that event has been told; and puts that down, if there is a file.
 * Returns 0, with errno set, if the file did not take it.
 */

void ctl_position_pass(ctl_position_t *position, double id,
    const char *time);
int ctl_position_keep(ctl_position_t *position);


#endif /* CTL_POSITION_H */
