#!/usr/bin/perl

# A write is durable when the files of most members have it, and not before.
# Two of the three here are no nginx: they tick, and file what they are told to.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Test::More;

use Canary::Fleet;
use Canary::Test;
use Canary::Util qw(fork_child pause wait_for);

needs('hiredis', 'redis-server', 'processes');

my $fleet = Canary::Fleet->new('a');
my ($a) = $fleet->nodes;
my $redis = $fleet->redis;
my @keys = map { "canary:{shop}:$_" } qw(rec chg log live ev trial view);
my $tick = do {
    open my $file, '<', "$FindBin::Bin/../../src/fleet/tick.lua" or die $!;
    local $/;
    readline $file;
};

$fleet->start;
my $others = others();

wait_for(sub {
    ($redis->call(HGET => $keys[0], '@n') // 0) == 3;
}, 20, 'three members');

subtest 'files of one node of three' => sub {
    file(b => 0, c => 0);

    is(start()->{durable}, JSON::PP::false, 'are not enough');
    is($a->endpoint('ep')->{phase}, 'progressing', 'it is done all the same');
    roll_back();
};

subtest 'files of two' => sub {
    file(b => 1, c => 0);
    is(start()->{durable}, undef, 'are');
    roll_back();
};

kill KILL => $others;
waitpid $others, 0;
$fleet->finish;


sub start() {
    return wait_for(sub {
        my $response = $a->api_post('endpoints/ep/rollout', {
            canary_strategy => { rules => [rule(error_5xx_rate => 0.5)] },
        });

        return $response->status == 201 && $response->json;
    }, 20, 'a rollout');
}


sub roll_back() {
    $a->api_post('endpoints/ep/rollout/rollback', {});

    return;
}


# Whether they have all in their files, or nothing.

sub file(%has) {
    $redis->call(SET => "file-$_", $has{$_}) for keys %has;

    return;
}


sub others() {
    my $parent = $$;

    file(b => 1, c => 1);

    return fork_child(sub () {
        my %known = (b => 0, c => 0);

        delete $redis->{connection};

        while (getppid == $parent) {
            for my $node (sort keys %known) {
                my $seed = $redis->call(HGET => $keys[0], '@seed') // next;
                my $filed = $redis->call(GET => "file-$node")
                    ? $known{$node} : 0;

                my $answer = $redis->call(
                    'EVAL', $tick, scalar @keys, @keys, $node, 'f', 0,
                    $seed =~ s/.* //r, $known{$node}, $filed, 500, 0, 0, '',
                    0, "- 1\n", '', '', '', '');

                $known{$node} = $answer->[4] if $answer->[0] eq 'OK';
            }
            pause(0.05);
        }
    });
}
