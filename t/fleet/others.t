#!/usr/bin/perl

# Endpoints that one node has, and another has not: that one keeps what the
# fleet knows of them, and gives it back.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Test::More;

use Canary::Fleet;
use Canary::Test;
use Canary::Util qw(wait_for);

needs('hiredis', 'redis-server', 'processes');

my $fleet = Canary::Fleet->new(qw(a b));
my ($a, $b) = $fleet->nodes;

# with an endpoint "more", that is served as /more

sub more($name) {
    return $fleet->config($name)
        =~ s|server \{|upstream more { canary_release v1 one;
                                       canary_release v2 two; }
                       server { location /more { proxy_pass http://more; }|r;
}

sub state_file($node) {
    open my $file, '<', $node->dir . '/canary/state.json' or return '';
    local $/ = undef;
    return scalar <$file>;
}

sub has_record($node, $of) {
    my $generation = $of->endpoint('more')->{generation};

    return wait_for(sub {
        state_file($node) =~ /"others":\{"more":"$generation /;
    }, 20, 'the record in its state file');
}

sub reason($node, $endpoint) {
    return ($node->endpoint($endpoint)->{waiting_for} // {})->{reason} // '';
}

sub changes($code, $what) {
    return wait_for(sub { eval { $code->()->status < 300 } }, 20, $what);
}

$a->start(more('a'));
$b->start($fleet->config('b'));
$fleet->wait_state($_, qr/\] .*"\Q$_\E" joined/) for qw(a b);

subtest 'a node keeps what it has not' => sub {
    changes(sub {
        $a->api_post('endpoints/more/rollout',
                     { release => 'v2', strategy => 'direct' })
    }, 'v2 is stable');
    is($b->api_get('endpoints/more')->status, 404, 'b does not have it');

    has_record($b, $a);
    pass('its state file has the record');

    changes(sub {
        $a->api_post('endpoints/more/rollout', {
            release => 'v1', strategy => 'canary',
            canary_strategy => { progress_interval_seconds => 0.1,
                                 progress_steps => [ 0.5, 0.6 ],
                                 rules => [ rule(failed_requests_max => 9) ] },
        })
    }, 'a start');
    wait_for(sub { reason($a, 'more') eq 'node b has no endpoint more' }, 20,
             'that waits for b');
    is($a->endpoint('more')->{weight}, 0.5, 'no step is taken');
    $a->verb('more', 'rollback');
    has_record($b, $a);
    pass('the record follows');
};

subtest 'and tells it when Redis has lost it' => sub {
    my $generation = $a->endpoint('more')->{generation};

    is($b->stop, 0, 'b is stopped');
    $a->stop;
    $fleet->redis->call('FLUSHALL');
    $fleet->start('b');

    my $record;

    wait_for(sub {
        $record = $fleet->redis->call(HGET => 'canary:{shop}:rec', 'more');
    }, 20, 'the record in Redis');
    like($record, qr/^$generation [0-9a-f]+ \d+ idle 0 /, 'as it was');

    # a machine that knows nothing of it

    unlink $a->dir . '/canary/state.json';
    $a->start(more('a'));
    $fleet->wait_state('a', qr/\] .*"a" joined/);
    wait_for(sub { $a->endpoint('more')->{stable} eq 'v2' }, 20, 'v2');
    pass('v2 is stable there');
};

subtest 'a node that lacks one for a while does no harm' => sub {
    changes(sub {
        $a->start_rollout('ep', steps => [ 0.5, 0.9 ], interval => 3600,
                          rules => [ rule(failed_requests_max => 9) ]);
        $a->api_get('endpoints/ep');
    }, 'a rollout');
    $fleet->wait_all(sub ($node) { $node->endpoint('ep')->{weight} == 0.5 },
                     'at both');

    $b->reload($fleet->config('b') =~ s/\bep\b/more/gr, gone => 1);
    wait_for(sub { reason($a, 'ep') eq 'node b has no endpoint ep' }, 20,
             'a to say so');
    pass('steps wait');

    $a->verb('ep', 'advance');
    is($a->endpoint('ep')->{weight}, 0.9, 'a person may go on');

    $b->reload($fleet->config('b'), gone => 1);
    $fleet->wait_all(sub ($node) { $node->endpoint('ep')->{weight} == 0.9 },
                     'b follows');
    is($a->endpoint('ep')->{phase}, 'progressing', 'nothing was rolled back');

    my %answers;
    $answers{ $b->get('/')->body }++ for 1 .. 20;
    is(scalar keys %answers, 2, 'b serves the canary again');
};

subtest 'a canary that no node has in its nginx.conf' => sub {
    my $only = 'canary_release v1 one;';

    $b->reload($fleet->config('b', releases => $only), gone => 1);
    wait_for(sub { reason($a, 'ep') eq 'node b has no release v2' }, 20,
             'a to say so');
    is($a->endpoint('ep')->{phase}, 'progressing', 'a has it');

    $a->reload($fleet->config('a', releases => $only), gone => 1);
    $fleet->wait_all(sub ($node) { $node->endpoint('ep')->{phase} eq 'idle' },
                     'the end');

    my ($event) = $a->events('ep');
    is($event->{type}, 'rolled_back', 'rolled back');
    is($event->{reason}, 'no node of the fleet has release v2', 'and why');
};

subtest 'a node of an older version' => sub {
    $_->reload($fleet->config($_ == $a ? 'a' : 'b'), gone => 1) for $a, $b;
    changes(sub {
        $a->start_rollout('ep', steps => [ 0.5, 0.9 ], interval => 3600,
                          rules => [ rule(failed_requests_max => 9) ]);
        $a->api_get('endpoints/ep');
    }, 'a rollout');
    $fleet->wait_all(sub ($node) { reason($node, 'ep') !~ /^node/ },
                     'nothing is lacking');

    # evidence of a version that is yet to come

    $fleet->redis->call(HSET => 'canary:{shop}:ev', 'later',
                        "\2ep\1\x70");
    $fleet->wait_all(sub ($node) {
        reason($node, 'ep') =~ /^node \w is of an older version/;
    }, 'all to say so');
    pass('steps wait for whoever cannot read it');
    $fleet->redis->call(HDEL => 'canary:{shop}:ev', 'later');
};

$a->allow_log(qr/what "later" of the fleet tells/);
$fleet->finish;
