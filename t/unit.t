#!/usr/bin/perl

# Tests of what is built without nginx, each t/unit/ROOM/*_test.c one program
# (cmocka), run from the project's directory.

use v5.36;

use File::Basename qw(basename);
use FindBin;
use Test::More;

chdir "$FindBin::Bin/.." or die "$FindBin::Bin/..: $!\n";

my $dir = $ENV{TEST_CANARY_UNIT} || 'build/unit';
my @names = map { basename($_, '.c') } glob 't/unit/*/*_test.c';

plan(tests => scalar @names || 1);
fail('no t/unit/*/*_test.c') unless @names;

$ENV{CMOCKA_MESSAGE_OUTPUT} = 'TAP';

for my $name (@names) {
    subtest $name => sub { run("$dir/$name") };
}

# Each line of a program's TAP is one result here; the rest of what it says
# explains a failure.

sub run($program) {
    my ($planned, $seen) = (0, 0);

    -x $program or return fail("$program is missing: run make unit");

    open my $output, '-|', "$program 2>&1" or die "$program: $!\n";

    while (my $line = <$output>) {
        chomp $line;

        if ($line =~ /^1\.\.(\d+)/) {
            $planned += $1;

        } elsif ($line =~ /^(not )?ok\s+\d*\s*-?\s*(.*)/) {
            $seen++;
            ok(!$1, $2);

        } elsif ($line !~ /^# ok/) {
            diag($line =~ s/^# //r);
        }
    }

    close $output;

    is($?, 0, 'exit status');
    is($seen, $planned, 'number of tests');
    done_testing();
}
