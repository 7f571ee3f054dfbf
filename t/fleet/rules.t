#!/usr/bin/perl

# Each kind of rule is judged by the attempts of all nodes: none of them has
# enough, and none has a test of its own.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Test::More;

use Canary::Fleet;
use Canary::Test;
use Canary::Util qw(wait_for);

needs('hiredis', 'redis-server', 'processes');

plan(skip_all => 'TEST_CANARY_FLEET is not set')
    unless $ENV{TEST_CANARY_FLEET};

use constant {
    NEEDED => 30,    # attempts of the canary, for a rule to say anything
    EACH   => 25,    # that a node has
    RATE   => 10,
};

my $fleet = Canary::Fleet->new(qw(a b c));
my ($a, $b, $c) = $fleet->nodes;
my ($v1, $v2) = map { $fleet->backend($_) } qw(v1 v2);

for my $name (qw(a b c)) {
    $fleet->node($name)->start($fleet->config($name,
                                              fleet => 'node_tests=off'));
    $fleet->wait_state($name, qr/\] .*"\Q$name\E" joined/);
}

for my $case (
    [ 'a rate' => rule(error_5xx_rate => 0.1, min_requests => NEEDED),
      status => 500 ],
    [ 'a rate, by what was measured' =>
      rule(error_5xx_rate => 0.3, min_requests => NEEDED,
           confidence => 'off'),
      status => 500 ],
    [ 'a rate, compared with stable' =>
      rule(error_5xx_rate => 0.1, min_requests => NEEDED,
           baseline => 'stable'),
      status => 500 ],
    [ 'a quantile' => rule(latency_p90_max => 100, min_requests => NEEDED),
      delay_ms => 250 ],
    [ 'a quantile, compared with stable' =>
      rule(latency_p90_max => 3, min_requests => NEEDED,
           baseline => 'stable'),
      delay_ms => 250 ],
    [ 'an average' => rule(latency_avg_max => 100, min_requests => NEEDED),
      delay_ms => 250 ],
    [ 'a budget' => rule(failed_requests_max => NEEDED - 1), status => 500 ],
) {
    my ($name, $rule, @bad) = @$case;

    subtest "$name is broken" => sub {
        start_at($a, $rule);
        $v2->set(@bad);
        requests();
        wait_idle();
        $v2->set;

        for my $node ($fleet->nodes) {
            my ($event) = $node->events('ep');

            is($event->{type}, 'rolled_back', 'rolled back');
            is($event->{actor}{name}, $rule->{rule}, 'by the rule');
            cmp_ok($event->{figures}{attempts}, '>=', NEEDED,
                   'on attempts of all');
        }
    };
}

subtest 'an outage of both holds it' => sub {
    start_at($b, rule(error_5xx_rate => 0.1, min_requests => NEEDED));
    $_->set(status => 500) for $v1, $v2;
    requests();
    wait_for(sub {
        grep { $_->{type} eq 'holding' } map { $_->events('ep') } $fleet->nodes;
    }, 20, 'it to hold');
    is($_->endpoint('ep')->{phase}, 'progressing', 'it is not rolled back')
        for $fleet->nodes;
    $_->set for $v1, $v2;
    is($c->verb('ep', 'rollback')->{phase}, 'idle', 'but by a person');
    wait_idle();
};

subtest 'a healthy one passes by the attempts of all' => sub {
    start_at($c, rule(error_5xx_rate => 0.2, min_requests => NEEDED), 1);
    requests();
    $fleet->wait_all(sub ($node) { $node->endpoint('ep')->{weight} > 0.5 },
                     'a step');

    for my $node ($fleet->nodes) {
        my ($event) = grep { $_->{type} eq 'step' } $node->events('ep');

        cmp_ok($event->{figures}{attempts}, '>=', NEEDED, 'attempts of all');
    }
    $a->verb('ep', 'rollback');
    wait_idle();
};

$fleet->finish;


sub start_at($node, $rule, $interval = 3600) {
    wait_for(sub {
        eval {
            $node->start_rollout('ep', rules => [$rule], steps => [ 0.5, 0.6 ],
                                 interval => $interval);
        };
    }, 20, 'a rollout');
    $fleet->wait_all(sub ($any) { $any->endpoint('ep')->{weight} == 0.5 },
                     'the rollout at all nodes');

    return;
}


# Half of them go to the canary.

sub requests() {
    my @loads = map { $_->load(count => 2 * EACH, rate => 2 * RATE) }
        $fleet->nodes;

    $_->result for @loads;

    return;
}


sub wait_idle() {
    return $fleet->wait_all(sub ($node) {
        $node->endpoint('ep')->{phase} eq 'idle';
    }, 'a rollback everywhere');
}
