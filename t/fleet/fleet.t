#!/usr/bin/perl

# Three nginx that are one: what is done at one of them is done at all.

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

$fleet->start;

# the data have to be 3 s old

sub start_at($node, %opt) {
    wait_for(sub {
        my $response = $node->api_post('endpoints/ep/rollout', body(%opt));

        return $response if $response->status == 201;
        diag($response->status . ' ' . $response->body)
            if $response->status != 503;
        return;
    }, 20, 'a rollout');
}

sub body(%opt) {
    return {
        release => 'v2',
        strategy => 'canary',
        canary_strategy => {
            progress_interval_seconds => $opt{interval} // 3600,
            progress_steps => $opt{steps} // [0.5],
            bake_seconds => $opt{bake} // 3600,
            rules => $opt{rules}
                // [ rule(failed_requests_max => 1_000_000) ],
        },
    };
}

subtest 'a start at one node is one at all' => sub {
    my $response = $a->api_post('endpoints/ep/rollout', body());

    if ($response->status == 503) {
        is($response->json->{changed}, JSON::PP::false, 'nothing changed');
        like($response->json->{detail}, qr/nodes gather/, 'and why');
    }

    my $started = start_at($a);
    is($started->json->{phase}, 'progressing', 'started');
    like($started->header('ETag'), qr/^"\d+-[0-9a-f]{8}"$/, 'a tag of a fleet');

    $fleet->wait_all(sub ($node) { $node->endpoint('ep')->{weight} == 0.5 },
                     'the weight at all nodes');
    pass('all have it');

    my %tags = map { $_->api_get('endpoints/ep')->header('ETag') => 1 }
        $fleet->nodes;
    is(scalar keys %tags, 1, 'one tag');
    is_deeply([ map { ($_->events('ep'))[0]{type} } $fleet->nodes ],
              [ ('started') x 3 ], 'the event, too');
    is(scalar keys %{ { map { ($_->events('ep'))[0]{id} => 1 }
                            $fleet->nodes } }, 1, 'with one number');
};

subtest 'what stops at one stops at all' => sub {
    my $response = $b->api_post('endpoints/ep/rollout/rollback');

    is($response->status, 200, 'rolled back');
    $fleet->wait_all(sub ($node) { $node->endpoint('ep')->{phase} eq 'idle' },
                     'idle at all nodes');
    is_deeply([ map { $_->endpoint('ep')->{last_rollout}{result} }
                    $fleet->nodes ], [ ('rolled_back') x 3 ], 'at all');
};

subtest 'a canary that is bad at one node' => sub {
    start_at($c, rules => [ rule(error_5xx_rate => 0.1) ]);
    $fleet->wait_all(sub ($node) { $node->endpoint('ep')->{weight} == 0.5 });
    $fleet->backend('v2')->set(status => 500);

    my $load = $a->load(connections => 2, count => 1_000_000, rate => 200);
    $fleet->wait_all(sub ($node) { $node->endpoint('ep')->{phase} eq 'idle' },
                     'a rollback');
    $load->stop;
    $fleet->backend('v2')->set(status => 200);

    like($_->endpoint('ep')->{last_rollout}{reason}, qr/error_5xx_rate/,
         'all know why') for $fleet->nodes;
};

subtest 'two writes with one If-Match' => sub {
    start_at($a);
    $fleet->wait_all(sub ($node) { $node->endpoint('ep')->{weight} == 0.5 });
    my $tag = $c->api_get('endpoints/ep')->header('ETag');
    my @status = map {
        $_->api_patch('endpoints/ep/rollout', { weight => 0.6 },
                      headers => { 'If-Match' => $tag })->status
    } $a, $b;

    is_deeply(\@status, [ 200, 412 ], 'one is done');
    $fleet->wait_all(sub ($node) { $node->endpoint('ep')->{weight} == 0.6 });
    pass('at all');
};

subtest 'promoted' => sub {
    is($c->verb('ep', 'promote')->{phase}, 'idle', 'promoted at one');
    $fleet->wait_all(sub ($node) { $node->endpoint('ep')->{stable} eq 'v2' });
    is($a->get('/')->body, 'v2', 'served at another');
};

$fleet->finish;
