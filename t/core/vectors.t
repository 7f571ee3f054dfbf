#!/usr/bin/perl

# The statistics of the core give the numbers of an independent reference
# (t/vectors/cr-1.json), and the program that says so notices if not.

use v5.36;

use File::Temp;
use FindBin;
use JSON::PP;
use Test::More;

chdir "$FindBin::Bin/../.." or die "$FindBin::Bin/../..: $!\n";

my $program = ($ENV{TEST_CANARY_UNIT} || 'build/unit') . '/vectors';
my $vectors = 't/vectors/cr-1.json';
my $dir = File::Temp->newdir;

-x $program or BAIL_OUT("$program is missing: run make vectors");

my $file = JSON::PP->new->decode(slurp($vectors));
my $cases = $file->{cases};
my ($status, $output) = run($vectors);

is($status, 0, 'the core gives all numbers of the reference')
    or diag($output);
is($output, @$cases . " passed, 0 failed\n", 'and each case is counted');

my %groups = map { $_->{group} => $_ } @$cases;

is_deeply([sort keys %groups], [sort keys $file->{groups}->%*],
    'there are cases of every group');

# Of each group one case, each of its results put wrong in turn.

for my $group (sort keys %groups) {
    for my $name (sort keys $groups{$group}{out}->%*) {
        next if $name eq 'rel_tol';

        my $case = clone($groups{$group});
        $case->{out}{$name} = wrong($case->{out}{$name});

        ($status, $output) = run_cases($case);

        is($status, 1, "a wrong $name of $group is noticed");
        like($output, qr/^\Q$case->{id}\E: .*\Q$name\E.*\n0 passed, 1 failed\n/ms,
            'with the case and the result');
    }
}

($status, $output) = run_cases($groups{grid}, { $groups{grid}->%*,
    id => 'tarot-000', group => 'tarot' });

is($status, 1, 'a group that is not known is a failure');
is($output, qq{tarot-000: unknown group "tarot"\n1 passed, 1 failed\n},
    'which is named');

for my $broken (
    ['a case that is no object', { cases => [1] }],
    ['a case without an input', { cases => [{ id => 'x', group => 'grid', out => {} }] }],
    ['a number that is missing', without('in', 'p0')],
    ['a result that is missing', without('out', 'c')],
    ['too many results', { cases => [{ $groups{grid}->%*,
        out => { u => [(1) x 9], c => [(1) x 9] } }] }],
    ['no cases', { cases => [] }],
    ['no list of cases', { spec => 'CR-1' }],
) {
    my ($what, $content) = @$broken;

    ($status, $output) = run(spew(JSON::PP->new->encode($content)));
    is($status, 1, "$what: failure");
    unlike($output, qr/\b0 failed/, 'and no word of success');
}

for my $content ('', '{', '{"cases": []} x', "\0") {
    ($status, $output) = run(spew($content));
    is($status, 1, 'a file that is no JSON is a failure');
    like($output, qr/this is no JSON/, 'which says so');
}

($status, $output) = run("$dir/none");
is($status, 1, 'a file that is not there is a failure');
like($output, qr/none: No such file/, 'which is named');

done_testing();


sub without($part, $name) {
    my $case = clone($groups{grid});

    delete $case->{$part}{$name};

    return { cases => [$case] };
}


sub wrong($value) {
    return 'maybe' if ref $value eq '' && ($value // '') =~ /^[a-z]/;
    return 12_345 unless ref $value;
    return { map { $_ => 12_345 } keys %$value } if ref $value eq 'HASH';

    my @values = @$value;
    $values[-1] = $values[-1] + 1;

    return \@values;
}


sub run_cases(@some) {
    return run(spew(JSON::PP->new->encode({ cases => \@some })));
}


sub run($name) {
    open my $pipe, '-|', "$program $name 2>&1" or die "$program: $!\n";
    my $text = do { local $/; <$pipe> };
    close $pipe;

    return ($? >> 8 || $?, $text);
}


sub clone($value) {
    return JSON::PP->new->decode(JSON::PP->new->encode($value));
}


sub spew($content) {
    open my $handle, '>', "$dir/vectors.json" or die "$dir/vectors.json: $!\n";
    print $handle $content;
    close $handle or die "$dir/vectors.json: $!\n";

    return "$dir/vectors.json";
}


sub slurp($name) {
    open my $handle, '<', $name or die "$name: $!\n";

    return do { local $/; <$handle> };
}
