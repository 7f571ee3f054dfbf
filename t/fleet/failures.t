#!/usr/bin/perl

# A fleet in which something fails: no weight rises while nobody knows, and
# what was stopped stays stopped.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use IO::Select;
use IO::Socket::UNIX;
use Test::More;

use Canary::Fleet;
use Canary::Test;
use Canary::Util qw(fork_child wait_for);

needs('hiredis', 'redis-server', 'processes');

my $fleet;
my $proxy_socket;

$fleet = Canary::Fleet->new(qw(a b c), {
    address => {},
});
$proxy_socket = $fleet->node('c')->dir . '/proxy.sock';
$fleet->{opt}{address}{c} = "unix:$proxy_socket";

my ($a, $b, $c) = $fleet->nodes;
my $proxy = proxy();

$fleet->start('a', 'b');

subtest 'steps are taken by the leader, and by all' => sub {
    start_at($a, interval => 1, steps => [ 0.2, 0.4, 0.6 ]);
    my $load = $a->load(connections => 2, count => 1_000_000, rate => 100);
    $fleet->wait_all(sub ($node) { $node->endpoint('ep')->{phase} eq 'baking' },
                     'the last step');
    $load->stop;

    my @weights = map {
        [ map { $_->{to}{weight} } reverse $_->events('ep') ]
    } $fleet->running;

    is_deeply($weights[0], [ 0.2, 0.4, 0.6, 1 ],
              'none was skipped or doubled');
    is_deeply($weights[1], $weights[0], 'the same events at both');

    $b->verb('ep', 'rollback');
    $fleet->wait_all(sub ($node) { $node->endpoint('ep')->{phase} eq 'idle' });
    start_at($b, steps => [0.6]);
    $fleet->wait_all(sub ($node) { $node->endpoint('ep')->{weight} == 0.6 });
};

subtest 'a node that comes late' => sub {
    $fleet->start('c');
    $fleet->wait_all(sub ($node) { $node->endpoint('ep')->{weight} == 0.6 });
    pass('has what there is');
};

subtest 'a second one of the same name is kept out' => sub {
    my $other = Canary::Test->new(workers => 1);

    $other->start($fleet->config('a'));
    wait_for(sub { $other->error_log =~ /another node "a"/ }, 20, 'an error');
    is($other->get('/')->body, 'v1', 'it serves stable');
    is($a->endpoint('ep')->{weight}, 0.6, 'the first one is undisturbed');
    is($other->stop, 0, 'stopped');
};

subtest 'data are lost' => sub {
    $fleet->redis->call('FLUSHALL');
    wait_for(sub {
        eval { $fleet->redis->call(HGET => 'canary:{shop}:rec', 'ep') };
    }, 20, 'the record to be told again');
    like($fleet->redis->call(HGET => 'canary:{shop}:rec', 'ep'),
         qr/^\d+ [0-9a-f]{8} 2 progressing 600000 v2/, 'it is');
    is($_->endpoint('ep')->{weight}, 0.6, 'and nothing has changed')
        for $fleet->nodes;
};

subtest 'one node is cut off' => sub {
    kill KILL => $proxy;
    waitpid $proxy, 0;
    $fleet->wait_state('c', qr/"c" is isolated/);

    my $response = $c->api_patch('endpoints/ep/rollout', { weight => 0.7 });
    is($response->status, 503, 'what exposes is refused there');
    ok(exists $response->json->{changed} && !$response->json->{changed},
       'and nothing was changed');
    like($response->json->{detail}, qr/the fleet cannot be reached/, 'why');
    is($c->endpoint('ep')->{weight}, 0.6, 'it holds its weight');

    $response = $c->api_post('endpoints/ep/rollout/rollback');
    is($response->status, 200, 'what stops is not');
    is($c->endpoint('ep')->{phase}, 'idle', 'it is done there at once');
    is($a->endpoint('ep')->{weight}, 0.6, 'and not elsewhere');

    $proxy = proxy();
    $fleet->wait_all(sub ($node) { $node->endpoint('ep')->{phase} eq 'idle' },
                     'all to hear of it');
    is_deeply([ map { $_->endpoint('ep')->{last_rollout}{result} }
                    $fleet->nodes ], [ ('rolled_back') x 3 ], 'at all');
};

subtest 'Redis is killed, and comes back with nothing' => sub {
    start_at($b);
    $fleet->wait_all(sub ($node) { $node->endpoint('ep')->{weight} == 0.5 });
    $fleet->redis->kill;
    $fleet->wait_state($_, qr/"\w" is isolated/) for qw(a b c);

    is($a->get('/')->status, 200, 'requests are served');
    is($b->api_post('endpoints/ep/rollout/promote')->status, 503,
       'no promotion');
    is($b->api_post('endpoints/ep/rollout/rollback')->status, 200,
       'a rollback');

    $fleet->redis->start;
    $fleet->wait_all(sub ($node) { $node->endpoint('ep')->{phase} eq 'idle' },
                     'all to hear of it');
    is_deeply([ map { $_->endpoint('ep')->{last_rollout}{result} }
                    $fleet->nodes ], [ ('rolled_back') x 3 ], 'at all');
};

subtest 'the leader is killed, and is back' => sub {
    start_at($a);
    $fleet->wait_all(sub ($node) { $node->endpoint('ep')->{weight} == 0.5 });

    my $leader = $fleet->leader;
    $leader->crash;

    my ($other) = $fleet->running;
    $fleet->leader;
    is($other->api_patch('endpoints/ep/rollout', { weight => 0.55 })->status,
       200, 'two of three go on');

    my ($name) = grep { $fleet->node($_) == $leader } qw(a b c);
    $fleet->start($name);
    $fleet->wait_all(sub ($node) { $node->endpoint('ep')->{weight} == 0.55 },
                     'what it has missed');
    pass('it knows what it has missed');
};

subtest 'a release that is missing' => sub {
    $c->reload($fleet->config('c', releases => 'canary_release v1 one;'
                                   . ' canary_release v3 two;'), gone => 1);
    is($c->get('/')->body, 'v1', 'stable serves') for 1 .. 5;
    is($a->endpoint('ep')->{weight}, 0.55, 'nothing happens elsewhere');
};

kill KILL => $proxy;
$fleet->finish;


sub start_at($node, %opt) {
    return wait_for(sub {
        eval { $node->start_rollout('ep', interval => 3600, %opt) };
    }, 20, 'a rollout');
}


# Between node c and Redis.

sub proxy() {
    unlink $proxy_socket;
    my $listener = IO::Socket::UNIX->new(Listen => 5, Local => $proxy_socket)
        or die "listen: $!";
    my $redis = $fleet->redis->socket;
    my $parent = $$;

    return fork_child(sub () {
        my $select = IO::Select->new($listener);
        my %peer;

        # it does not outlive a test that died

        while (getppid == $parent) {
            for my $from ($select->can_read(1)) {
                if ($from == $listener) {
                    my $client = $listener->accept // next;
                    my $server = IO::Socket::UNIX->new(Peer => $redis);

                    if (!$server) {
                        close $client;
                        next;
                    }
                    @peer{ $client, $server } = ($server, $client);
                    $select->add($client, $server);
                    next;
                }

                my $to = $peer{$from} // next;
                my $n = sysread $from, my $buffer, 65536;

                if (!$n) {
                    $select->remove($from, $to);
                    delete @peer{ $from, $to };
                    close $from;
                    close $to;
                    next;
                }
                syswrite $to, $buffer;
            }
        }
    });
}
