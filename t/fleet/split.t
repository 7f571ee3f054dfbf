#!/usr/bin/perl

# Another Redis is the master, which does not know all that was done, or there
# are two of them: nothing that was acknowledged is undone, and what exposes
# needs more than half of the nodes.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Test::More;

use Canary::Fleet;
use Canary::Proxy;
use Canary::Redis;
use Canary::Test;
use Canary::Util qw(reserve_port wait_for);

needs('hiredis', 'redis-server', 'processes');

plan(skip_all => 'TEST_CANARY_FLEET is not set')
    unless $ENV{TEST_CANARY_FLEET};

my ($port, $guard) = reserve_port();
my %replicated = (bind => '127.0.0.1', 'repl-diskless-sync-delay' => 0);
my %address;
my $fleet = Canary::Fleet->new(qw(a b c), {
    redis => { port => $port, %replicated },
    address => \%address,
});
my ($a, $b, $c) = $fleet->nodes;
my %proxy = map { $_ => Canary::Proxy->new($fleet->redis->socket) } qw(a b c);

$address{$_} = 'redis://127.0.0.1:' . $proxy{$_}->port for qw(a b c);

# Between it and the master there is a line that can be cut.

my $line = Canary::Proxy->new($port);

mkdir $b->dir . '/replica';
my $replica = Canary::Redis->new($b->dir . '/replica', %replicated);

$replica->call(REPLICAOF => '127.0.0.1', $line->port);
wait_for(sub { says($replica, qr/^master_link_status:up/m) }, 20,
         'the replica');
$fleet->start;

subtest 'a fail-over that has lost a rollback' => sub {
    start_at($a);
    replicated();
    $line->hole;

    $c->verb('ep', 'rollback');
    wait_for(sub { !exists $c->endpoint('ep')->{durable} }, 20,
             'a rollback to be acknowledged');
    is_idle('all to hear of it');

    $fleet->redis->kill;
    $fleet->wait_state($_, qr/"\w" is isolated/) for qw(a b c);
    $replica->call(REPLICAOF => 'NO', 'ONE');
    is(record($replica)->{phase}, 'progressing', 'the other one has it not');
    $_->turn_to($replica->socket) for values %proxy;

    wait_for(sub { record($replica)->{phase} eq 'idle' }, 20, 'to be told');
    is_idle('all to be in touch');
    for my $node ($fleet->nodes) {
        unlike($node->error_log =~ s/.*?is isolated//sr,
               qr/adopted .*: progressing/, 'it never had a weight again');
    }
};

subtest 'a fail-over that has lost a start' => sub {
    $fleet->redis->start;
    $fleet->redis->call(REPLICAOF => '127.0.0.1', second_port());
    wait_for(sub { says($fleet->redis, qr/^master_link_status:up/m) }, 20,
             'the replica');
    wait_for(sub { version($fleet->redis) == version($replica) }, 20,
             'it to have all');
    $fleet->redis->call(REPLICAOF => 'NO', 'ONE');

    start_at($b);
    $replica->kill;
    $_->turn_to($fleet->redis->socket) for values %proxy;
    wait_for(sub {
        my $record = eval { record($fleet->redis) } // return 0;

        return $record->{number} == 2;
    }, 20, 'to be told');

    my $record = record($fleet->redis);
    is("$record->{phase} $record->{weight}", 'paused 0',
       'it is told as paused, at the weight that was known there');
    is($c->api_post('endpoints/ep/rollout/rollback')->status, 200,
       'rolled back');
    is_idle('all to hear of it');
};

subtest 'two masters' => sub {
    $replica->start;
    $replica->call(REPLICAOF => '127.0.0.1', $line->pass->port);
    wait_for(sub { says($replica, qr/^master_link_status:up/m) }, 20,
             'the replica');
    start_at($a);
    replicated();
    $replica->call(REPLICAOF => 'NO', 'ONE');
    $proxy{c}->turn_to($replica->socket);
    wait_for(sub { sees($c) == 1 }, 20, 'c to be alone');

    wait_for(sub { eval { $a->set_weight('ep', 0.6) } }, 20,
             'two of three to go on');
    is($b->endpoint('ep')->{weight}, 0.6, 'they do');

    my $response;
    wait_for(sub {
        $response = $c->api_patch('endpoints/ep/rollout', { weight => 0.7 });

        return $response->json->{detail} =~ /nodes: forget/;
    }, 20, 'one of three not to go on');
    is($response->status, 503, 'one of three does not');
    is($response->json->{changed}, JSON::PP::false, 'and nothing is changed');
    is($c->endpoint('ep')->{weight}, 0.5, 'it holds its weight');
    is($c->api_post('endpoints/ep/rollout/rollback')->status, 200,
       'but rolls back');
    is($c->endpoint('ep')->{phase}, 'idle', 'there');
    is($a->endpoint('ep')->{weight}, 0.6, 'and not elsewhere');

    $proxy{c}->turn_to($fleet->redis->socket);
    is_idle('all to hear of it');
};

subtest 'and it works as ever' => sub {
    start_at($c);
    wait_for(sub { eval { $b->verb('ep', 'promote') } }, 20, 'a promotion');
    $fleet->wait_all(sub ($node) { $node->endpoint('ep')->{stable} eq 'v2' });
    pass('promoted');
};

$fleet->finish;


sub start_at($node) {
    wait_for(sub { eval { $node->start_rollout('ep') } }, 20, 'a rollout');
    $fleet->wait_all(sub ($any) { $any->endpoint('ep')->{weight} == 0.5 },
                     'the rollout at all nodes');

    return;
}


# All are in touch, and have the same, which was rolled back.

sub is_idle($what) {
    $fleet->wait_all(sub ($node) {
        my $endpoint = $node->endpoint('ep');

        return $endpoint->{phase} eq 'idle' && $endpoint->{fleet}{reached};
    }, $what);
    is($_->endpoint('ep')->{last_rollout}{result}, 'rolled_back', $what)
        for $fleet->nodes;

    return;
}


sub sees($node) { return $node->endpoint('ep')->{fleet}{live} }


sub says($redis, $pattern) {
    return $redis->call(qw(INFO replication)) =~ s/\r//gr =~ $pattern;
}


sub record($redis) {
    my %record;

    @record{qw(generation uid number phase weight canary result)} =
        split / /, $redis->call(HGET => 'canary:{shop}:rec', 'ep') =~
        s/\n.*//sr;

    return \%record;
}


sub version($redis) {
    return eval { $redis->call(HGET => 'canary:{shop}:rec', '@ver') } // -1;
}


sub replicated() {
    return wait_for(sub {
        version($replica) == version($fleet->redis)
            && record($replica)->{phase} eq record($fleet->redis)->{phase};
    }, 20, 'the replica to have it');
}


# Where the replica listens for the other one to become its replica.

sub second_port() {
    my ($second, $its_guard) = reserve_port();

    $guard = [ $guard, $its_guard ];
    $replica->call(CONFIG => 'SET', 'port', $second);

    return $second;
}
