
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef KILLS_INVARIANTS_H
#define KILLS_INVARIANTS_H


/* What is true at any time; the process fails if it is not. */


void kills_check_words(void);
void kills_check_memory(void);
void kills_check_events(void);
void kills_check_file(void);


#endif /* KILLS_INVARIANTS_H */
