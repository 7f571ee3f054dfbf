#!/usr/bin/perl

# Sentinel makes a replica the master when that dies. Nodes are not told: they
# try their addresses in turn until one takes writes.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Test::More;

use Canary::Fleet;
use Canary::Redis;
use Canary::Test;
use Canary::Util qw(fork_child reserve_port wait_for);

needs('hiredis', 'redis-server', 'processes');

plan(skip_all => 'TEST_CANARY_FLEET is not set')
    unless $ENV{TEST_CANARY_FLEET};

my ($port, $guard) = reserve_port();
my ($other_port, $other_guard) = reserve_port();
my ($sentinel_port, $sentinel_guard) = reserve_port();
my $address = "redis://127.0.0.1:$port,127.0.0.1:$other_port";

my %replicated = (bind => '127.0.0.1', 'repl-diskless-sync-delay' => 0);
my %addresses = map { $_ => $address } qw(a b c);
my $fleet = Canary::Fleet->new(qw(a b c), {
    redis => { port => $port, %replicated },
    address => \%addresses,
});
my ($a, $b, $c) = $fleet->nodes;
my $redis = $fleet->redis;

mkdir $b->dir . '/replica';
my $replica = Canary::Redis->new($b->dir . '/replica', port => $other_port,
                                 %replicated);

$replica->call(REPLICAOF => '127.0.0.1', $port);
wait_for(sub { says($replica, qr/^master_link_status:up/m) }, 20,
         'the replica');

my $owner = $$;
my $sentinel = start_sentinel();
wait_for(sub { $c->read_file('sentinel/log') =~ /\+slave / }, 20,
         'the sentinel to find the replica');

$fleet->start;
start_at($a, 0.2);

subtest 'the master dies' => sub {
    $redis->kill;
    wait_for(sub { says($replica, qr/^role:master/m) }, 60, 'another master');
    $fleet->wait_all(sub ($node) { redis_of($node) =~ /:$other_port$/ },
                     'all nodes at the other one');

    for my $node ($fleet->nodes) {
        is($node->endpoint('ep')->{weight}, 0.2, 'the weight is what it was');
    }

    $b->verb('ep', 'rollback');
    $fleet->wait_all(sub ($node) { $node->endpoint('ep')->{phase} eq 'idle' },
                     'a rollback everywhere');
    start_at($c, 0.4);
};

subtest 'it is back, as a replica' => sub {
    $redis->start;
    wait_for(sub { says($redis, qr/^master_link_status:up/m) }, 60,
             'the sentinel to have found it');

    start_at($a, 0.6) if roll_back($b);
    like(redis_of($_), qr/:$other_port$/, 'nodes stay where they are')
        for $fleet->nodes;
    wait_for(sub { version($redis) == version($replica) }, 20,
             'it to have what the master has');
};

subtest 'and the master once more' => sub {
    $replica->kill;
    wait_for(sub { says($redis, qr/^role:master/m) }, 60,
             'the first one to be the master again');
    $fleet->wait_all(sub ($node) { redis_of($node) =~ /:$port$/ },
                     'all nodes at the first one');
    roll_back($c);
    pass('changes are made');
};

$fleet->finish;

END {
    if ($sentinel && $$ == $owner) {
        local $?;
        kill TERM => $sentinel;
        waitpid $sentinel, 0;
    }
}


sub start_sentinel() {
    my $dir = $c->dir . '/sentinel';
    my $conf = "$dir/sentinel.conf";

    mkdir $dir;
    open my $out, '>', $conf or die "$conf: $!";
    print $out <<~EOC;
        port $sentinel_port
        bind 127.0.0.1
        dir $dir
        logfile $dir/log
        sentinel monitor shop 127.0.0.1 $port 1
        sentinel down-after-milliseconds shop 500
        sentinel failover-timeout shop 3000
        EOC
    close $out;

    return fork_child(sub () {
        exec Canary::Redis::program(), $conf, '--sentinel'
            or die "redis-server: $!\n";
    });
}


# Whose role changes closes all connections.

sub says($server, $pattern) {
    return (eval { $server->call('INFO') } // '') =~ $pattern;
}


sub version($server) {
    return $server->call(HGET => 'canary:{shop}:rec', '@ver');
}


sub redis_of($node) {
    return $node->api_get('fleet')->json->{redis}{address} // '';
}


# While nodes gather it is refused.

sub start_at($node, $weight) {
    wait_for(sub {
        eval { $node->start_rollout('ep', steps => [$weight]) };
    }, 20, 'a rollout');

    return $fleet->wait_all(sub ($any) {
        return $any->endpoint('ep')->{weight} == $weight;
    }, 'the rollout at all nodes');
}


sub roll_back($node) {
    $node->verb('ep', 'rollback');

    return $fleet->wait_all(sub ($any) {
        return $any->endpoint('ep')->{phase} eq 'idle';
    }, 'a rollback everywhere');
}
