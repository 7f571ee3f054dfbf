#!/usr/bin/perl

# The simulation of good and bad canaries keeps what the manual promises, if
# only in a few rollouts here, and can be repeated.

use v5.36;

use FindBin;
use Test::More;

chdir "$FindBin::Bin/../.." or die "$FindBin::Bin/../..: $!\n";

my $program = ($ENV{TEST_CANARY_UNIT} || 'build/unit') . '/simulate';

-x $program or BAIL_OUT("$program is missing: run make simulate");

my ($status, $output) = run(20);

is($status, 0, 'all promises are kept') or diag($output);

my @rows = grep { /^\| [^|]/ && !/^\| (?:bad|rule|canary|attempts) / } split /\n/, $output;

is(@rows, 57, 'rows of six tables');
is(scalar(grep { /^\|(?: [^|]+ \|){7,8}$/ } @rows), 46, 'which are complete');

# The same attempts, by one machine or by many.
my @fleet = grep { /^\|(?: [^|]+ \|){5}$/ } @rows;

is(@fleet, 11, 'those of a fleet too');
is(scalar(grep { /^\| [^|]*everywhere[^|]* \| ([^|]+) \|(?: \1 \|){3}$/ } @fleet), 5,
    'what is bad everywhere falls as on one machine');

my ($healthy) = grep { /^\| 0\.9 of the threshold/ } @rows;
my ($dead) = grep { /^\| 100 % \| 100 / } @rows;

like($healthy, qr/\| 100 \| 0 % \| 0 % \| 100 % \|/,
    'a healthy canary stays, where a point estimate condemns it');
like($dead, qr/^\| 100 % \| 100 \| 3\.0 \| 4\.0 \/ 4 \(0\.0\d+ s\) \|/,
    'a dead one falls at its 4th attempt');

# Seconds on average after an hour, a day, 7, 30 and 90 days.
for my $rule ('`burst=0`', '`burst=100ms`', '`baseline=stable`', '`latency_avg_max`') {
    my @ages = map { /^\| \Q$rule\E \|/ ? [m{\| ([\d.]+) / [\d.]+ (?=\|)}g] : () } @rows;

    is(@ages, 6, "$rule: two ways of being bad, three rates");
    is(scalar(grep { @$_ == 5 && $_->[0] > 0 && $_->[4] < 2.5 * $_->[0] } @ages), 6,
        'is not blind after 90 days');
}

is_deeply([run(20)], [0, $output], 'it can be repeated');

($status, $output) = run('1 limit');
is($status, 0, 'and one can look at rollouts at the limit');
is(scalar(grep { /^\| `burst=/ } split /\n/, $output), 5, 'of an hour and of a day');

($status, $output) = run('1 late');
is($status, 0, 'and at rules whose evidence comes late');
is(scalar(grep { /^\| (?:`|none|\d)/ } split /\n/, $output), 57, 'in all rows');

for my $argument ('0', '-1', '1x', '', '1000001', '1 1', '1 ages limit') {
    ($status, $output) = run($argument eq '' ? "''" : $argument);
    is($status, 2, "RUNS=$argument is refused");
    like($output, qr/^usage: /, 'with what is right');
}

done_testing();


sub run($arguments) {
    open my $pipe, '-|', "$program $arguments 2>&1" or die "$program: $!\n";
    my $text = do { local $/; <$pipe> };
    close $pipe;

    return ($? >> 8 || $?, $text);
}
