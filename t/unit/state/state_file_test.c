
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#define _XOPEN_SOURCE  700


/* The state file and its lock, in a directory where others do as they like. */


#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "canary_state_file.h"

#include "unit.h"


#define TEXT   "{}\n"
#define OWNER  "prefix \"/x/\" and configuration file \"/x/nginx.conf\""


static char                       dir[64];
static canary_state_file_id_t     id;
static canary_state_file_error_t  error;
static canary_state_file_guard_t  guard;


static char *
in_dir(const char *name)
{
    static char  path[128];

    (void) snprintf(path, sizeof(path), "%s/%s", dir, name);

    return path;
}


/* A new directory, with the lock, and no file yet. */

static int
begin(void **unused)
{
    pid_t  holder;

    (void) unused;

    strcpy(dir, "/tmp/canary-state-XXXXXX");
    assert_non_null(mkdtemp(dir));

    memset(&guard, 0, sizeof(guard));
    assert_int_equal(canary_state_file_lock(dir, OWNER, &guard.lock, &holder,
                                            &error), 1);
    return 0;
}


static int
end(void **unused)
{
    char  command[128];

    (void) unused;

    (void) close(guard.lock);
    (void) snprintf(command, sizeof(command), "rm -r '%s'*", dir);

    return system(command);
}


static int
write_it(void)
{
    int  rc;

    rc = canary_state_file_write(dir, TEXT, strlen(TEXT), &guard, &id,
                                 &error);
    if (rc == 0) {
        guard.file = id;
    }

    return rc;
}


static void
put(const char *name, const char *text)
{
    FILE  *file;

    file = fopen(in_dir(name), "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}


static void
is_in(const char *name, const char *wanted)
{
    char    text[64];
    FILE   *file;
    size_t  n;

    file = fopen(in_dir(name), "r");
    assert_non_null(file);
    n = fread(text, 1, sizeof(text) - 1, file);
    text[n] = '\0';
    (void) fclose(file);

    assert_string_equal(text, wanted);
}


static void
a_file_is_written_again_and_again(void **unused)
{
    unsigned  i;

    (void) unused;

    for (i = 0; i < 5; i++) {
        assert_int_equal(write_it(), 0);
        assert_int_equal(canary_state_file_stat(dir, &id), 1);
        assert_memory_equal(&id, &guard.file, sizeof(id));
        is_in("state.json", TEXT);
    }

    assert_int_equal(access(in_dir("state.json.new"), F_OK), -1);
}


static void
without_its_lock_nothing_is_written(void **unused)
{
    (void) unused;

    assert_int_equal(write_it(), 0);

    /* removed */

    assert_int_equal(unlink(in_dir("state.lock")), 0);
    put("state.json", "another's\n");
    assert_int_equal(write_it(), CANARY_STATE_FILE_UNLOCKED);

    /* or replaced by one that another nginx has */

    put("state.lock", "");
    assert_int_equal(write_it(), CANARY_STATE_FILE_UNLOCKED);
    assert_int_equal(id.inode, 0);

    is_in("state.json", "another's\n");
    assert_int_equal(access(in_dir("state.json.new"), F_OK), -1);
}


static void
nor_in_another_directory(void **unused)
{
    char   other[80];
    pid_t  holder;

    (void) unused;

    assert_int_equal(write_it(), 0);

    (void) snprintf(other, sizeof(other), "%s.moved", dir);
    assert_int_equal(rename(dir, other), 0);
    assert_int_equal(write_it(), CANARY_STATE_FILE_UNLOCKED);

    assert_int_equal(mkdir(dir, 0700), 0);
    assert_int_equal(write_it(), CANARY_STATE_FILE_UNLOCKED);

    /* until the lock is taken there */

    (void) close(guard.lock);
    assert_int_equal(canary_state_file_lock(dir, OWNER, &guard.lock, &holder,
                                            &error), 1);
    assert_int_equal(write_it(), CANARY_STATE_FILE_REPLACED);

    memset(&guard.file, 0, sizeof(guard.file));
    assert_int_equal(write_it(), 0);
}


static void
a_file_that_is_another_one_stays(void **unused)
{
    (void) unused;

    assert_int_equal(write_it(), 0);

    /* another one */

    put("state.json", "longer than it was\n");
    assert_int_equal(write_it(), CANARY_STATE_FILE_REPLACED);
    is_in("state.json", "longer than it was\n");

    /* none */

    assert_int_equal(unlink(in_dir("state.json")), 0);
    assert_int_equal(write_it(), CANARY_STATE_FILE_REPLACED);

    /* a link, which is not followed */

    put("elsewhere", "not ours\n");
    assert_int_equal(symlink("elsewhere", in_dir("state.json")), 0);
    assert_int_equal(write_it(), CANARY_STATE_FILE_REPLACED);
    assert_int_equal(canary_state_file_stat(dir, &guard.file), 1);
    assert_int_equal(write_it(), 0);
    is_in("elsewhere", "not ours\n");
    is_in("state.json", TEXT);
}


static void
a_lock_that_is_no_file_is_none(void **unused)
{
    int       fd;
    pid_t     holder;
    unsigned  i;

    (void) unused;

    for (i = 0; i < 3; i++) {
        (void) unlink(in_dir("state.lock"));

        if (i == 0) {
            assert_int_equal(mkfifo(in_dir("state.lock"), 0600), 0);

        } else if (i == 1) {
            assert_int_equal(symlink("elsewhere", in_dir("state.lock")), 0);

        } else {
            assert_int_equal(mkdir(in_dir("state.lock"), 0700), 0);
        }

        assert_int_equal(canary_state_file_lock(dir, OWNER, &fd, &holder,
                                                &error), -1);
        assert_int_equal(fd, -1);
        assert_int_equal(access(in_dir("elsewhere"), F_OK), -1);
    }
}


/* Who has it is known to all; what is no name is neither read nor touched. */

static void
the_lock_names_its_owner(void **unused)
{
    char   owner[CANARY_STATE_OWNER];
    pid_t  holder;

    (void) unused;

    is_in("state.lock", OWNER "\n");
    (void) close(guard.lock);
    canary_state_file_owner(dir, owner);
    assert_string_equal(owner, OWNER);

    /* another one comes, with a shorter name */

    assert_int_equal(canary_state_file_lock(dir, "prefix \"/\"", &guard.lock,
                                            &holder, &error), 1);
    is_in("state.lock", "prefix \"/\"\n");
    (void) close(guard.lock);

    put("state.lock", "prefix \"\033[2J\"\nmore\n");
    canary_state_file_owner(dir, owner);
    assert_string_equal(owner, "prefix \"?[2J\"");

    put("state.lock", "");
    canary_state_file_owner(dir, owner);
    assert_string_equal(owner, "");

    put("state.lock", "a file of others\n");
    canary_state_file_owner(dir, owner);
    assert_string_equal(owner, "");
    assert_int_equal(canary_state_file_lock(dir, OWNER, &guard.lock, &holder,
                                            &error), 1);
    is_in("state.lock", "a file of others\n");
}


/* What another process finds: the lock had by it, and its holder; and kept. */

static int
seen_by_another(void)
{
    int    fd, status;
    pid_t  pid, holder;

    pid = fork();
    assert_true(pid != -1);

    if (pid == 0) {
        status = canary_state_file_locked(dir) << 2
                 | canary_state_file_kept(dir, 0) << 1
                 | canary_state_file_kept(dir, getppid()) << 4;

        if (canary_state_file_lock(dir, OWNER, &fd, &holder, &error) == 1) {
            status |= 1;

        } else if (holder != getppid()) {
            status |= 8;
        }

        _exit(status);
    }

    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));

    return WEXITSTATUS(status);
}


static void
who_is_about_to_end_has_the_lock_but_does_not_keep_it(void **unused)
{
    (void) unused;

    assert_int_equal(seen_by_another(), 4 | 2);

    canary_state_file_ending(guard.lock);
    assert_int_equal(seen_by_another(), 4);
    assert_int_equal(write_it(), 0);

    (void) close(guard.lock);
    assert_int_equal(seen_by_another(), 1);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test_setup_teardown(a_file_is_written_again_and_again,
                                        begin, end),
        cmocka_unit_test_setup_teardown(without_its_lock_nothing_is_written,
                                        begin, end),
        cmocka_unit_test_setup_teardown(nor_in_another_directory, begin, end),
        cmocka_unit_test_setup_teardown(a_file_that_is_another_one_stays,
                                        begin, end),
        cmocka_unit_test_setup_teardown(the_lock_names_its_owner, begin, end),
        cmocka_unit_test_setup_teardown(a_lock_that_is_no_file_is_none,
                                        begin, end),
        cmocka_unit_test_setup_teardown(
                    who_is_about_to_end_has_the_lock_but_does_not_keep_it,
                    begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
