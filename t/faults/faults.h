
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef FAULTS_H
#define FAULTS_H


/* Whether CANARY_FAULTS has a line "CALL FIRST SECOND", and its numbers. */

int faults_find(const char *call, int *first, int *second);

/* A line of CANARY_FAULTS.log. */

void faults_done(const char *call);


#endif /* FAULTS_H */
