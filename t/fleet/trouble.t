#!/usr/bin/perl

# Redis hangs, is full, refuses, or loses its data one by one: what was refused
# is not done later, what was stopped is stopped, and it goes on when that is
# over. TEST_CANARY_FLEET=1 takes each key, and each field, away.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Test::More;

use Canary::Fleet;
use Canary::Test;
use Canary::Util qw(wait_for);

needs('hiredis', 'redis-server', 'processes');

my $fleet = Canary::Fleet->new(qw(a b c), {
    redis => { 'enable-protected-configs' => 'yes' },
});
my ($a, $b, $c) = $fleet->nodes;
my $redis = $fleet->redis;

$fleet->start;

subtest 'it hangs' => sub {
    start_at($a);

    kill STOP => $redis->pid;

    my $client = $b->client('api');

    $client->start(method => 'POST',
                   uri => '/canary/endpoints/ep/rollout/promote');
    my $response = $client->finish;

    is($response->status, 503, 'a promotion is refused');
    like($response->body, qr/"changed":(?:false|null)/, 'or nobody knows');
    $fleet->wait_state($_, qr/"\w" is isolated/) for qw(a b c);
    my $other = $c->api_patch('endpoints/ep/rollout', { weight => 0.6 });
    is($other->json->{changed}, JSON::PP::false, 'nothing by another one');
    kill CONT => $redis->pid;

    # what waited there for an answer is before these

    all_reached();
    set_weight($a, 0.7);
    is($b->endpoint('ep')->{stable}, 'v1', 'it was not done later')
        if $response->json->{changed};
    unlike($_->error_log, qr/promoted v2/, 'nor for a moment') for $a, $b, $c;
    roll_back($c);
};

subtest 'it hangs, and a rollback is told when it does not' => sub {
    start_at($b);
    kill STOP => $redis->pid;

    my $response = $c->api_post('endpoints/ep/rollout/rollback');

    is($response->status, 200, 'done there');
    is($response->json->{durable}, JSON::PP::false, 'and not known elsewhere');
    is($c->endpoint('ep')->{phase}, 'idle', 'at once');
    kill CONT => $redis->pid;
    is_idle();
};

# Nothing raises a weight while nodes are isolated; what they say is in the log
# and in GET fleet.

for my $case (
    [ 'it is full' => qr/OOM/,
      sub () { $redis->call(qw(CONFIG SET maxmemory 1)) },
      sub () { $redis->call(qw(CONFIG SET maxmemory 0)) } ],
    [ 'its disk refuses' => qr/MISCONF/, \&refuse_to_save, \&save_again ],
    [ 'the user may not' => qr/NOPERM/,
      sub () { $redis->call(qw(ACL SETUSER default -hset -eval -evalsha)) },
      sub () { $redis->call(qw(ACL SETUSER default +@all)) } ],
) {
    my ($name, $words, $break, $mend) = @$case;

    subtest $name => sub {
        start_at($a);
        $break->();
        $fleet->wait_state($_, qr/"\w" is isolated/) for qw(a b c);
        for my $node ($fleet->nodes) {
            wait_for(sub { $node->error_log =~ /$words/ }, 20,
                     "$words in the log");
        }
        pass('the log has its words');
        is($a->api_patch('endpoints/ep/rollout', { weight => 0.9 })->status,
           503, 'nothing is raised');
        is($b->endpoint('ep')->{weight}, 0.5, 'all hold their weight');
        $mend->();
        all_reached();
        roll_back($b);
    };
}

subtest 'connections are closed, and scripts forgotten' => sub {
    start_at($c);
    $redis->call(qw(SCRIPT FLUSH));
    set_weight($a, 0.6);
    $redis->call(qw(CLIENT KILL TYPE normal SKIPME yes));
    all_reached();
    set_weight($b, 0.7);
    roll_back($a);
};

# The weight never rises above that, whatever is gone.

my @keys = qw(rec chg log live ev trial view);
my @fields = ([ rec => '@seed' ], [ rec => '@ver' ], [ rec => '@born' ],
              [ rec => '@n' ], [ rec => '@seeds' ], [ rec => '@joined' ],
              [ rec => '@m:b' ], [ rec => 'ep' ], [ chg => 'ep' ],
              [ live => '@lead' ], [ live => 'c' ]);

@keys = qw(chg) unless $ENV{TEST_CANARY_FLEET};
@fields = ([ rec => 'ep' ], [ live => '@lead' ])
    unless $ENV{TEST_CANARY_FLEET};

for my $key (@keys) {
    subtest "$key is gone" => sub {
        start_at($a);
        $redis->call(DEL => "canary:{shop}:$key");
        roll_back($b);
    };
}

for my $case (@fields) {
    my ($key, $field) = @$case;

    subtest "$field of $key is gone" => sub {
        start_at($b);
        $redis->call($key eq 'chg' ? 'ZREM' : 'HDEL', "canary:{shop}:$key",
                     $field);
        roll_back($c);
    };
}

subtest 'and it works as ever' => sub {
    start_at($a);
    set_weight($b, 0.9);
    wait_for(sub { eval { $c->verb('ep', 'promote') } }, 20, 'a promotion');
    $fleet->wait_all(sub ($node) { $node->endpoint('ep')->{stable} eq 'v2' });
    pass('promoted');
};

$fleet->finish;


sub start_at($node) {
    wait_for(sub { eval { $node->start_rollout('ep') } }, 20, 'a rollout');
    $fleet->wait_all(sub ($any) { $any->endpoint('ep')->{weight} == 0.5 },
                     'the rollout at all nodes');
    pass('there is a rollout');

    return;
}


sub set_weight($node, $weight) {
    wait_for(sub { eval { $node->set_weight('ep', $weight) } }, 20,
             "weight $weight");
    $fleet->wait_all(sub ($any) { $any->endpoint('ep')->{weight} == $weight },
                     "weight $weight at all nodes");

    return;
}


# What stops is never refused.

sub roll_back($node) {
    is($node->api_post('endpoints/ep/rollout/rollback')->status, 200,
       'rolled back');
    is_idle();

    return;
}


sub is_idle() {
    $fleet->wait_all(sub ($node) {
        my $endpoint = $node->endpoint('ep');

        return $endpoint->{phase} eq 'idle' && $endpoint->{fleet}{reached}
            && !exists $endpoint->{durable};
    }, 'all to have heard of it');
    all_reached();

    my %tags = map { $_->api_get('endpoints/ep')->header('ETag') => 1 }
        $fleet->nodes;
    is(scalar keys %tags, 1, 'all have the same');
    is($_->endpoint('ep')->{last_rollout}{result}, 'rolled_back', 'stopped')
        for $fleet->nodes;

    return;
}


sub all_reached() {
    return $fleet->wait_all(sub ($node) {
        $node->endpoint('ep')->{fleet}{reached};
    }, 'all to be in touch');
}


# A snapshot that fails, where there is to be one.

sub refuse_to_save() {
    mkdir $a->dir . '/no-file';
    $redis->call(qw(CONFIG SET dbfilename no-file));
    $redis->call(CONFIG => 'SET', 'save', '3600 1000000');
    $redis->call('BGSAVE');

    return wait_for(sub {
        $redis->call(qw(INFO persistence)) =~ /last_bgsave_status:err/;
    }, 20, 'the snapshot to fail');
}


sub save_again() {
    return $redis->call(CONFIG => 'SET', 'save', '');
}
