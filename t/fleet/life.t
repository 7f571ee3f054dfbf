#!/usr/bin/perl

# Nodes of a fleet that are reloaded, lose their helper, have no master, or
# start while Redis does not answer.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Test::More;

use Canary::Fleet;
use Canary::Test;
use Canary::Util qw(wait_for);

needs('hiredis', 'redis-server', 'processes');

my $fleet = Canary::Fleet->new(qw(a b c));
my ($a, $b, $c) = $fleet->nodes;

$fleet->start('a', 'b');

subtest 'without a master' => sub {
    $c->start($fleet->config('c'), workers => 0);
    start_at($a);
    $fleet->wait_all(sub ($node) { $node->endpoint('ep')->{weight} == 0.5 });
    pass('it is a node as others');
};

subtest 'a reload' => sub {
    my $joined = () = $a->error_log =~ /"a" joined/g;

    $a->reload($fleet->config('a'), gone => 1);
    is($a->endpoint('ep')->{weight}, 0.5, 'the weight is as it was');
    wait_for(sub {
        $b->api_patch('endpoints/ep/rollout', { weight => 0.6 })->status == 200
    }, 20, 'a change');
    $fleet->wait_all(sub ($node) { $node->endpoint('ep')->{weight} == 0.6 });
    is(() = $a->error_log =~ /"a" joined/g, $joined,
       'it has been a node all the time');
};

subtest 'a killed helper' => sub {
    $a->allow_log(qr/cache manager process \d+ exited on signal 9/);
    kill KILL => $a->helper_pid;
    $fleet->wait_all(sub ($node) {
        $node->api_patch('endpoints/ep/rollout', { weight => 0.7 })->status
            == 200;
    });
    is($b->verb('ep', 'rollback')->{phase}, 'idle', 'rolled back at another');
    $fleet->wait_all(sub ($node) { $node->endpoint('ep')->{phase} eq 'idle' });
    pass('and so it is here');
};

subtest 'a start without Redis' => sub {
    start_at($a);
    $fleet->wait_all(sub ($node) { $node->endpoint('ep')->{weight} == 0.5 });
    is($b->stop, 0, 'stopped');
    $fleet->redis->kill;
    $b->start($fleet->config('b'));
    $fleet->wait_state('b', qr/"b" is isolated/);
    is($b->endpoint('ep')->{weight}, 0.5, 'it holds what its file has');
    is($b->api_patch('endpoints/ep/rollout', { weight => 0.6 })->status, 503,
       'and raises nothing');

    $fleet->redis->start;
    $fleet->wait_all(sub ($node) {
        $node->api_patch('endpoints/ep/rollout', { weight => 0.8 })->status
            == 200;
    });
    pass('Redis is back');
};

$fleet->finish;


sub start_at($node) {
    return wait_for(sub { eval { $node->start_rollout('ep') } }, 20,
                    'a rollout');
}
