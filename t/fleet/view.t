#!/usr/bin/perl

# What is shown of a fleet, at any node of it; and a machine is forgotten.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Test::More;

use Canary::Ctl;
use Canary::Fleet;
use Canary::Test;
use Canary::Util qw(wait_for);

needs('hiredis', 'redis-server', 'processes');

my $fleet = Canary::Fleet->new(qw(a b c));
my ($a, $b, $c) = $fleet->nodes;

$fleet->start;

# names of nodes by their state, as a node has them

sub states($view) {
    my %names;

    push @{ $names{ $_->{state} } }, $_->{name} for @{ $view->{nodes} };

    return { map { $_ => join ' ', sort @{ $names{$_} } } keys %names };
}

sub view($node) {
    my $response = $node->api_get('fleet');

    return $response->status == 200 ? $response->json : {};
}

sub metrics($node) {
    return { $node->api_get('metrics')->body =~
                 /^nginx_canary_fleet_(\S+) (\S+)$/mg };
}

subtest 'all nodes have the same view' => sub {
    $fleet->wait_all(sub ($node) {
        my $seen = states(view($node));

        return length($seen->{leader} // '') == 1
            && ($seen->{live} // '') =~ /^\w \w$/;
    }, 'one leader, and two that are live');

    my $leader = view($a)->{leader};

    for my $node (qw(a b c)) {
        my $view = view($fleet->node($node));

        is($view->{name}, 'shop', "$node: of the fleet");
        is($view->{node}, $node, 'it is itself');
        is($view->{leader}, $leader, 'the leader');
        is($view->{state}, $node eq $leader ? 'leader' : 'follower', 'state');
        is($view->{redis}{address}, 'unix:' . $fleet->redis->socket, 'Redis');
        ok($view->{redis}{last_contact_seconds} < 60, 'in touch');
        cmp_ok($view->{version}, '>', 0, 'version');
        is_deeply([ map { @{ $_->{lacks} } } @{ $view->{nodes} } ], [],
                  'nobody lacks anything');
        is_deeply($fleet->node($node)->endpoint('ep')->{fleet},
                  { nodes => 3, live => 3, reached => JSON::PP::true },
                  'of an endpoint');
    }
};

subtest 'metrics' => sub {
    my $leader = view($a)->{leader};

    for my $name (qw(a b c)) {
        my $of = metrics($fleet->node($name));

        is($of->{reachable}, 1, "$name reaches the fleet");
        is($of->{leader}, $name eq $leader ? 1 : 0, 'leader');
        is($of->{'nodes{state="leader"}'}, 1, 'one leads');
        is($of->{'nodes{state="live"}'}, 2, 'two are live');
        is($of->{'nodes{state="gone"}'}, 0, 'none is gone');
        cmp_ok($of->{last_contact_timestamp_seconds}, '>', 1_600_000_000);
        cmp_ok($of->{rtt_seconds}, '<', 60);
        cmp_ok($of->{$_}, '>', 0, $_)
            for qw(version sent_bytes_total received_bytes_total);
        is($of->{reconnects_total}, 0, 'connected once');
    }

    wait_for(sub {
        $a->api_post('endpoints/ep/rollout', {
            release => 'v2', strategy => 'canary',
            canary_strategy => {
                progress_interval_seconds => 3600, progress_steps => [0.5],
                bake_seconds => 3600,
                rules => [ rule(failed_requests_max => 1_000_000) ],
            },
        })->status == 201
    }, 20, 'a start');
    cmp_ok(metrics($a)->{'changes_total{result="ok"}'}, '>', 0,
           'its change is counted');
};

subtest 'what is refused' => sub {
    my $response = $a->api('DELETE', 'fleet/nodes/b');

    is($response->status, 409, 'b is not gone');
    like($response->json->{detail}, qr/"b" was heard of \d+ ms ago: only one /);
    is($a->api('DELETE', 'fleet/nodes/nobody')->status, 404, 'unknown');
    is($a->api('DELETE', 'fleet/nodes/no%20name')->status, 404, 'no name');
    is($a->api('DELETE', 'fleet')->status, 405, 'all at once');
    is($a->api('DELETE', 'fleet/nodes/b', undef,
               headers => { Origin => 'http://evil.example' })->status, 403,
       'of another site');
    is(scalar @{ view($a)->{nodes} }, 3, 'nothing has changed');
};

subtest 'a machine that does not return' => sub {
    my $key = 'canary:{shop}:rec';
    my ($number) = $fleet->redis->call(HGET => $key, '@m:c') =~ /^(\d+)/;

    # one that lived for a moment only would be dropped as it is gone
    $fleet->redis->call(HSET => $key, '@m:c', $number);
    kill STOP => $c->helper_pid;

    my ($one, $other) = view($a)->{leader} eq 'b' ? ($b, $a) : ($a, $b);

    for my $state (qw(silent gone)) {
        for my $node ($a, $b) {
            wait_for(sub { (states(view($node))->{$state} // '') eq 'c' }, 30,
                     "c is $state");
        }
        pass("both see that it is $state");
    }

    my ($seen) = grep { $_->{name} eq 'c' } @{ view($other)->{nodes} };
    cmp_ok($seen->{age_ms}, '>=', 10_000, 'for how long');
    is_deeply($other->endpoint('ep')->{fleet},
              { nodes => 3, live => 2, reached => JSON::PP::true },
              'of an endpoint');
    is(metrics($other)->{'nodes{state="gone"}'}, 1, 'as a metric');

    my $ctl = Canary::Ctl->new($other, 'http://127.0.0.1:'
                               . $other->port('api') . '/canary/');
    my $run = $ctl->run('fleet');
    is($run->{status}, 0, 'canaryctl fleet');
    like($run->{out}, qr/^fleet shop: .* 2 of 3 nodes live/m, 'the fleet');
    like($run->{out}, qr/^c +gone /m, 'the node');

    $run = $ctl->run('forget', 'c');
    is($run->{status}, 0, 'canaryctl forget') or diag($run->{err});
    is($run->{out}, "c is forgotten; the fleet has 2 members\n", 'says so');

    $fleet->wait_state($other == $a ? 'a' : 'b',
                       qr/node "c" of the fleet is forgotten, by .*2 members/);

    is($other->api('DELETE', 'fleet/nodes/c')->status, 404, 'only once');
    for my $node ($a, $b) {
        wait_for(sub { @{ view($node)->{nodes} } == 2 }, 20, 'two are left');
    }

    my $log = $fleet->redis->call(XREVRANGE => 'canary:{shop}:log', '+', '-',
                                  COUNT => 1);
    like("@{ $log->[0][1] }", qr/"type":"forgotten","node":"c"/,
         'the log of the fleet has it');

    kill CONT => $c->helper_pid;
    $fleet->wait_all(sub ($node) { @{ view($node)->{nodes} } == 3 },
                     'it joins anew');
    pass('it is back');
};

subtest 'an isolated node' => sub {
    $fleet->redis->kill;
    $fleet->wait_all(sub ($node) { view($node)->{state} eq 'isolated' });

    is(scalar @{ view($a)->{nodes} }, 3, 'shows what it knew last');
    is($a->endpoint('ep')->{fleet}{reached}, JSON::PP::false,
       'and that it is alone');
    is(metrics($a)->{reachable}, 0, 'as a metric');

    my $response = $a->api('DELETE', 'fleet/nodes/b');
    is($response->status, 503, 'nobody is forgotten');
    is($response->json->{changed}, JSON::PP::false, 'nothing has changed');
    like($response->json->{detail}, qr/the fleet cannot be reached/, 'why');

    $fleet->redis->start;
    $fleet->wait_all(sub ($node) {
        my $view = view($node);

        return $view->{leader} && $view->{state} ne 'isolated';
    }, 'a leader again');
    cmp_ok(metrics($a)->{reconnects_total}, '>', 0, 'a reconnect');
};

$fleet->finish;
