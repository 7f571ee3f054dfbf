#!/usr/bin/perl

# Changes of a fleet that Redis has, and the disk of the node that made them
# has not yet: they are done, whatever comes next.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Test::More;

use Canary::Fleet;
use Canary::Test;
use Canary::Util qw(wait_for);

needs('hiredis', 'redis-server', 'processes', 'faults');

my $fleet = Canary::Fleet->new(qw(a b c));
my ($a, $b, $c) = $fleet->nodes;
my $faults = $c->dir . '/faults';
my $library = faults_library();

$fleet->start('a', 'b');
{
    local $ENV{LD_PRELOAD} = $library;
    local $ENV{CANARY_FAULTS} = $faults;

    $c->start($fleet->config('c'),
              main => 'env LD_PRELOAD; env CANARY_FAULTS;');
    $fleet->wait_state('c', qr/\] .*"c" joined/);
}
wait_for(sub { eval { $a->start_rollout('ep') } }, 20, 'a rollout');
rolled_back($a, 1);

subtest 'a start that another node rolls back before' => sub {
    my $client = start_while_the_disk_hangs();

    is($a->verb('ep', 'rollback')->{phase}, 'idle', 'rolled back at another');
    rolled_back($a, 2, $a, $b);
    disk_works();

    my $response = $client->finish;

    is($response->status, 201, 'it was done');
    is($response->json->{phase}, 'idle', 'though it is not any more');
    wait_for(sub { last_id($c) == 2 }, 20, 'all to hear of it');
    is($_->endpoint('ep')->{phase}, 'idle', 'and it is not done again')
        for $fleet->nodes;
};

subtest 'a start that is rolled back before at that node' => sub {
    my $client = start_while_the_disk_hangs();

    is($c->verb('ep', 'rollback')->{phase}, 'idle', 'rolled back there');
    is($client->finish->status, 409, 'the start');
    rolled_back($c, 3, $a, $b);
    disk_works();
    rolled_back($c, 3);
};

subtest 'the disk takes longer than anybody waits' => sub {
    my $client = start_while_the_disk_hangs();
    my $response = $client->finish;

    is($response->status, 201, 'it was done');
    is($response->json->{durable}, JSON::PP::false, 'though not there');
    disk_works();
    $fleet->wait_all(sub ($node) { $node->endpoint('ep')->{weight} == 0.5 },
                     'all to have it');
    is($b->verb('ep', 'rollback')->{phase}, 'idle', 'rolled back');
    rolled_back($b, 4);
};

$fleet->finish;


# The answer comes when it comes; the others have the rollout.

sub start_while_the_disk_hangs() {
    $c->write_file('faults.tmp', "fsync 0 -1\n");
    rename "$faults.tmp", $faults or die "$faults: $!";

    my $client = $c->client('api');
    my $body = JSON::PP->new->encode({
        release => 'v2', strategy => 'canary',
        canary_strategy => {
            progress_interval_seconds => 3600, progress_steps => [0.5],
            bake_seconds => 3600,
            rules => [ rule(failed_requests_max => 1_000_000) ],
        },
    });

    $client->start(method => 'POST', uri => '/canary/endpoints/ep/rollout',
                   headers => { 'Content-Type' => 'application/json' },
                   body => $body, timeout => 20);

    wait_for(sub {
        2 == grep { (eval { $_->endpoint('ep')->{weight} } // 0) == 0.5 }
            $a, $b;
    }, 20, 'the others to have it');

    return $client;
}


sub disk_works() {
    unlink $faults;

    return;
}


sub last_id($node) {
    return (eval { $node->endpoint('ep')->{last_rollout}{id} } // 0);
}


sub rolled_back($by, $number, @nodes) {
    $by->api_post('endpoints/ep/rollout/rollback')
        if $by->endpoint('ep')->{phase} ne 'idle';

    wait_for(sub {
        for my $node (@nodes ? @nodes : $fleet->nodes) {
            my $endpoint = eval { $node->endpoint('ep') } // return 0;

            return 0 if $endpoint->{phase} ne 'idle'
                || ($endpoint->{last_rollout}{id} // 0) != $number
                || $endpoint->{last_rollout}{result} ne 'rolled_back';
        }
        return 1;
    }, 20, "rollout $number to be rolled back");

    return;
}
