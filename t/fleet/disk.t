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
my $number = 4;    # of the last of the first rollouts

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

subtest 'a start that is paused before at that node' => sub {
    my $client = start_while_the_disk_hangs();

    paused_there($c);
    is($client->finish->status, 409, 'the start');
    disk_works();
    rolled_back($a, $number);
};

for my $stop (qw(pause rollback)) {
    subtest "a $stop of what is on the way to the disk" => sub {
        disk_hangs();
        $a->start_rollout('ep');
        wait_for_adoption();

        if ($stop eq 'pause') {
            paused_there($c);

        } else {
            is($c->verb('ep', 'rollback')->{phase}, 'idle', 'done there');
        }
        disk_works();
        rolled_back($b, ++$number);
    };
}

subtest 'Redis hangs while a weight is on the way to the disk' => sub {
    disk_hangs();
    $a->start_rollout('ep');
    wait_for_adoption();
    kill STOP => $fleet->redis->pid;
    $fleet->wait_state('c', qr/"c" is isolated/);

    # written with it, and then again without

    my $written = written();
    disk_works();
    wait_for(sub {
        $c->endpoint('ep')->{weight} > 0 || written() >= $written + 2;
    }, 20, 'the file to be written');
    is($c->endpoint('ep')->{weight}, 0, 'it does not rise');

    kill CONT => $fleet->redis->pid;
    $fleet->wait_all(sub ($node) { $node->endpoint('ep')->{weight} == 0.5 },
                     'it to rise when it may');
    rolled_back($b, ++$number);
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
    rolled_back($b, ++$number);
};

$fleet->finish;


sub disk_hangs() {
    $c->write_file('faults.tmp', "fsync 0 -1\n");
    rename "$faults.tmp", $faults or die "$faults: $!";

    return;
}


# The answer comes when it comes; the others have the rollout.

sub start_while_the_disk_hangs() {
    disk_hangs();

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


sub written() {
    return scalar(() = $c->read_file('faults.log') =~ /^dirsync$/mg);
}


# Node c has heard of a rollout, and waits for its disk.

sub wait_for_adoption() {
    return wait_for(sub {
        my @adopted = $c->error_log =~ /adopted generation \d+ .*?: (\w+),/g;

        return @adopted && $adopted[-1] eq 'progressing';
    }, 20, 'c to wait for its disk');
}


# At the weight that it has there, and so everywhere.

sub paused_there($node) {
    my $endpoint = $node->verb('ep', 'pause');

    is("$endpoint->{phase} $endpoint->{weight}", 'paused 0', 'paused there');
    wait_for(sub {
        2 == grep { $_->endpoint('ep')->{phase} eq 'paused' } $a, $b;
    }, 20, 'the others to hear of it');
    is($_->endpoint('ep')->{weight}, 0, 'at no weight') for $a, $b;

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
