#!/usr/bin/perl

# Evidence of all nodes is judged as if it had come at one machine: what each
# of them has by itself proves nothing here.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use MIME::Base64 qw(decode_base64url);
use Test::More;

use Canary::Fleet;
use Canary::Test;
use Canary::Util qw(wait_for);

needs('hiredis', 'redis-server', 'processes');

my $fleet = Canary::Fleet->new(qw(a b c));
my ($a, $b, $c) = $fleet->nodes;
my $v2 = $fleet->backend('v2');

use constant {
    NEARLY_ALL => 0.999999,    # of the requests go to the canary
    NEEDED     => 30,          # attempts, for the rule to say anything
};

$fleet->start;

subtest 'bad everywhere, with little traffic at each' => sub {
    start_at($a);
    $v2->set(status => 500);

    requests(a => 12, b => 12, c => 12);
    wait_idle('a rollback everywhere');
    $v2->set(status => 200);

    for my $node ($fleet->nodes) {
        my $event = last_event($node);

        is($event->{type}, 'rolled_back');
        is($event->{actor}{name}, 'error_5xx_rate', 'by the rule');
        cmp_ok($event->{figures}{attempts}, '>=', NEEDED,
               'on attempts of all');
        cmp_ok($event->{figures}{attempts}, '<=', 36, 'and of no more');
        is($event->{figures}{value}, 1, 'all of which failed');
    }
};

subtest 'healthy, and passes on attempts of all' => sub {
    # 37 clean attempts are needed: more than two nodes have

    start_at($b, interval => 1, steps => [ 0.99, NEARLY_ALL ]);
    requests(a => 16, b => 16);
    is($c->endpoint('ep')->{weight}, 0.99, 'too few');
    requests(c => 16);
    $fleet->wait_all(sub ($node) { $node->endpoint('ep')->{weight} > 0.99 },
                     'the next step');

    for my $node ($fleet->nodes) {
        my ($event) = grep { $_->{to}{weight} > 0.99 } $node->events('ep');
        my ($canary) = grep { $_->{role} eq 'canary' }
            @{ $node->endpoint('ep')->{releases} };

        cmp_ok($canary->{attempts}, '<', NEEDED, 'too few here');
        cmp_ok($event->{figures}{attempts}, '>=', NEEDED, 'enough in all');
        cmp_ok($event->{figures}{attempts}, '<=', 48, 'and no more');
    }
    roll_back();
};

subtest 'bad at one node, and not in all' => sub {
    my $bad = $a->backend('bad', status => 500);

    $b->reload($fleet->config('b', two => $bad->port,
                              fleet => 'node_tests=off'));
    start_at($c, rule => rule(error_5xx_rate => 0.6));

    my @loads = map { $_->load(count => 1_000_000, rate => 30) }
        $a, $c, $b;
    $loads[2]->wait_requests(150);
    is($b->endpoint('ep')->{phase}, 'progressing',
       'a node that has no test of its own does not find out');

    $b->reload($fleet->config('b', two => $bad->port));
    wait_idle('a rollback everywhere');
    $_->stop for @loads;

    my @figures = map { last_event($_)->{figures} } $fleet->nodes;
    # one in flight is not bad yet
    cmp_ok($figures[0]{value}, '>', 0.9, 'by what the one node has seen');
    is_deeply($figures[$_], $figures[0], 'all know of it') for 1, 2;
    $b->reload($fleet->config('b'));
};

subtest 'a node is restarted, and the leader reloaded' => sub {
    start_at($a);
    $v2->set(status => 500);
    folded(a => 9, b => 9, c => 9);

    my $leader = $fleet->leader;
    my ($name) = grep { $fleet->node($_) != $leader } qw(b c);
    my $node = $fleet->node($name);

    is($node->stop, 0, 'stopped');
    $fleet->start($name);
    $leader->reload(undef, gone => 1);
    $fleet->wait_all(sub ($any) { $any->endpoint('ep')->{weight} > 0.5 });

    # what comes at once is one observation, which proves nothing

    $node->load(connections => 14, count => 14)->result;
    wait_idle('a rollback');
    $v2->set(status => 200);

    my $event = last_event($node);
    is($event->{actor}{name}, 'error_5xx_rate', 'by the rule');
    cmp_ok($event->{figures}{attempts}, '>=', NEEDED, 'the tests went on');
};

subtest 'the next leader goes on with the tests' => sub {
    start_at($a);
    $v2->set(status => 500);

    # all but proved: they are one too few

    my $leader = $fleet->leader;
    folded(map { $_ => ($fleet->node($_) == $leader ? 8 : 10) } qw(a b c));
    is($a->endpoint('ep')->{phase}, 'progressing', 'too few to say anything');
    $leader->crash;

    my ($other) = $fleet->running;
    $fleet->leader;
    $other->load(connections => 6, count => 6)->result;
    wait_idle('a rollback');
    $v2->set(status => 200);

    my $event = last_event($other);
    is($event->{actor}{name}, 'error_5xx_rate', 'by the rule');
    cmp_ok($event->{figures}{attempts}, '>=', NEEDED,
           'attempts before and after');
    cmp_ok($event->{figures}{value}, '>', 0.8, 'all that have ended');
};

$fleet->finish;


sub start_at($node, %opt) {
    my $rule = delete $opt{rule}
        // rule(error_5xx_rate => 0.1, min_requests => NEEDED);
    my $steps = delete $opt{steps} // [NEARLY_ALL];

    wait_for(sub {
        eval {
            $node->start_rollout('ep', rules => [$rule], steps => $steps,
                                 %opt);
        };
    }, 20, 'a rollout');

    return $fleet->wait_all(sub ($any) {
        return $any->endpoint('ep')->{weight} == $steps->[0];
    }, 'the rollout at all nodes');
}


# So many at nodes, in many slots of time.

sub requests(%count) {
    my @loads = map {
        $fleet->node($_)->load(count => $count{$_}, rate => 5);
    } keys %count;

    $_->result for @loads;

    return;
}


# The same, and one more, until the leader has folded the cohorts of these, so
# that no node keeps them any more.

sub folded(%count) {
    requests(%count);

    my ($slot) = slots();
    requests(a => 1);

    return wait_for(sub { (slots())[1] >= $slot }, 20, 'them to be folded');
}


# The present one, and the last one that the leader has folded, by its orders:
# version, rollout, tests, step, slot.

sub slots() {
    my ($seconds, $micro) = @{ $fleet->redis->call('TIME') };
    my ($shift, $mark) = (split / /,
        $fleet->redis->call(HGET => 'canary:{shop}:live', '@lead'))[ 5, 6 ];
    my (undef, $orders) = unpack 'C/a C/a', decode_base64url($mark);
    my @numbers;

    while (($orders // '') =~ /\G([\x80-\xff]*[\x00-\x7f])/g) {
        my ($number, $bits) = (0, 0);

        for my $byte (unpack 'C*', $1) {
            $number |= ($byte & 127) << $bits;
            $bits += 7;
        }
        push @numbers, $number;
    }

    my $ms = $seconds * 1000 + int($micro / 1000) + $shift;

    return (int($ms / 100), $numbers[4] // 0);
}


sub last_event($node) { return ($node->events('ep'))[0] }


sub wait_idle($what) {
    return wait_for(sub {
        for my $node ($fleet->running) {
            return 0 if (eval { $node->endpoint('ep')->{phase} } // '')
                ne 'idle';
        }
        return 1;
    }, 60, $what);
}


sub roll_back() {
    $a->verb('ep', 'rollback');
    return wait_idle('the end');
}
