#!/usr/bin/perl

# A fleet with a key, and somebody who can write to its Redis: nothing happens
# but that it is said, and that what needs Redis may have to wait.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Test::More;

use Canary::Fleet;
use Canary::Test;
use Canary::Util qw(wait_for);

needs('hiredis', 'redis-server', 'processes');

use constant {
    ONE => '0123456789abcdef' x 4,
    OTHER => 'fedcba9876543210' x 4,
    SEAL => qr/~[abc]~[0-9a-f]{8}~\d+~[A-Za-z0-9_-]{43}/,
};

my $fleet = Canary::Fleet->new(qw(a b c), { fleet => 'key_file=key' });
my ($a, $b, $c) = $fleet->nodes;
my $redis = $fleet->redis;
my ($rec, $chg, $log, $live, $ev, $trial)
    = map { "canary:{shop}:$_" } qw(rec chg log live ev trial);

keys_are($_, ONE) for $fleet->nodes;
$fleet->start;

my %kept;                       # records, as they were

subtest 'a rollout' => sub {
    start_at($a);
    wait_weight(0.5);
    keep('half');

    is($b->api_patch('endpoints/ep/rollout', { weight => 0.6 })->status, 200,
       'raised at another node');
    wait_weight(0.6);
    keep('more');

    is($c->api_post('endpoints/ep/rollout/rollback')->status, 200,
       'stopped at the third');
    wait_idle();
    keep('over');

    like($kept{$_}, qr/\}\n?${\SEAL}\z/, "the record is sealed: $_")
        for qw(half more over);
    like($redis->call(HGET => $live, 'b'), qr/\n${\SEAL}\z/,
         'what a node says of itself is');
    is(alarms(), 0, 'nothing was wrong');
};

subtest 'steps of the leader, and a promotion' => sub {
    start_at($b, interval => 1, bake => 1, steps => [ 0.2, 0.4, 0.6 ]);

    my $load = $a->load(connections => 2, count => 1_000_000, rate => 100);
    $fleet->wait_all(sub ($node) { $node->endpoint('ep')->{stable} eq 'v2' },
                     'a promotion');
    $load->stop;
    keep('promoted');

    for my $node ($fleet->nodes) {
        my @last = ($node->events('ep'))[4, 3, 2, 1, 0];

        is(join(' ', map { $_->{type} eq 'promoted' ? 'promoted'
                               : $_->{to}{weight} } @last),
           '0.2 0.4 0.6 1 promoted', 'none was skipped or doubled');
    }
    direct($c, 'v1');
    keep('direct');
    is(alarms(), 0, 'nothing was wrong');
};

subtest 'records that nobody has signed' => sub {
    my $real = $kept{direct};
    my ($generation, $uid, $number) = $real =~ /^(\d+) ([0-9a-f]+) (\d+) /;

    my %forged = (
        'a start'     => sprintf('%d %s %d progressing 900000 v2 none',
                                 $generation + 1, $uid, $number + 1),
        'a promotion' => sprintf('%d %s %d idle 0 - promoted',
                                 $generation + 1, $uid, $number + 1),
        'a rollback'  => sprintf('%d %s %d idle 0 - rolled_back',
                                 $generation + 1, $uid, $number),
        'nonsense'    => 'x',
    );

    for my $what (sort keys %forged) {
        (my $text = $real) =~ s/^[^\n]*/$forged{$what}/;
        attack($what, $text);
    }
    attack('without a seal', $kept{half} =~ s/${\SEAL}\z//r);
    attack('of another time', $kept{half} =~ s/~(\d+)~([^~]+)\z/~1$1~$2/r);
};

subtest 'records that are old' => sub {
    for my $what (qw(half more over promoted)) {
        plant($kept{$what});
        wait_for(sub { head(record()) eq head($kept{direct}) }, 20,
                 'the record to be told again');
        is_as_before($what);
    }
};

subtest 'evidence, orders, tests' => sub {
    start_at($a, rules => [ rule(error_5xx_rate => 0.1) ]);
    wait_weight(0.5);

    my $load = $a->load(connections => 2, count => 1_000_000, rate => 50);
    my $of_c = wait_for(sub { $redis->call(HGET => $ev, 'c') }, 20,
                        'evidence');
    like($of_c, qr/${\SEAL}\z/, 'evidence is sealed');
    like(wait_for(sub { $redis->call(GET => $trial) }, 20, 'tests'),
         qr/${\SEAL}\z/, 'tests are');
    like($redis->call(HGET => $live, '@lead'), qr/ \S+${\SEAL} \d+\z/,
         'orders are');

    for my $forged ($of_c, 'x', $of_c =~ s/^./\0/sr) {
        my $before = alarms($ev);
        wait_for(sub {
            $redis->call(HSET => $ev, 'a', $forged, 'b', $forged);
            alarms($ev) > $before;
        }, 30, 'an alarm');
    }

    # another leader finds them

    my $before = alarms($trial);
    wait_for(sub {
        $redis->call(SET => $trial, 'x' x 50);
        $redis->call(HDEL => $live, '@lead');
        alarms($trial) > $before;
    }, 30, 'an alarm');

    is_deeply([ map { $_->endpoint('ep')->{weight} } $fleet->nodes ],
              [ (0.5) x 3 ], 'nobody was condemned');
    $load->stop;
};

subtest 'a lease that nobody has' => sub {
    $redis->call(HSET => $live, '@lead',
                 'x 00000001 4294967290 99999999999999 0 0 - 99999');
    $fleet->leader;
    is($b->api_patch('endpoints/ep/rollout', { weight => 0.55 })->status, 200,
       'whoever says to lead, changes are made by those who know the key');
    wait_weight(0.55);

    $redis->call(HDEL => $live, '@lead');
    my $leader = $fleet->leader;
    ok($leader, 'another one leads');
};

subtest 'most of the members' => sub {
    is($a->api_post('endpoints/ep/rollout/rollback')->status, 200);
    wait_idle();

    my %said = map { $_ => $redis->call(HGET => $live, $_) } qw(b c);
    $_->crash for $b, $c;
    wait_for(sub {
        my $nodes = $a->api_get('fleet')->json->{nodes};
        return 2 == grep { $_->{state} =~ /silent|gone/ } @$nodes;
    }, 20, 'both to be missed');

    # they are gone, but for what is in Redis; nor were there ever more

    my ($tries, $refused) = (0, 0);
    wait_for(sub {
        my $now = now();
        $redis->call(HSET => $live, $_,
                     $said{$_} =~ s/^(\S+) \d+/$1 $now/r) for qw(b c);
        $redis->call(HDEL => $rec, '@m:b', '@m:c');
        $redis->call(HSET => $rec, '@n', 1);

        my $response = $a->api_post('endpoints/ep/rollout', body());

        $tries++;
        $refused++ if $response->status == 503;
        return $a->error_log
            =~ /"[bc]" in "\Q$live\E" of Redis is played back/;
    }, 60, 'what is played back to be said');

    is($refused, $tries, 'one of three starts nothing');
    is($a->endpoint('ep')->{phase}, 'idle', 'nothing was started');

    $fleet->start('b', 'c');
    start_at($c);
    wait_weight(0.5);
    is($a->api_post('endpoints/ep/rollout/rollback')->status, 200,
       'back together');
    wait_idle();
};

subtest 'a node with another key' => sub {
    keys_are($c, OTHER);
    $c->reload;

    start_at($a, interval => 1, steps => [ 0.2, 0.4 ]);
    my $load = $a->load(connections => 2, count => 1_000_000, rate => 100);

    wait_for(sub {
        grep { (($_->endpoint('ep')->{waiting_for} // {})->{reason} // '')
                   =~ /node c has no key, or another one/ } $a, $b
    }, 20, 'the reason');
    wait_for(sub { $a->error_log
                   =~ /"c" in "\Q$live\E" of Redis is not signed by a key/ },
             20, 'what is wrong');
    wait_for(sub { $c->error_log
                   =~ /in "\Q$rec\E" of Redis is not signed by a key/ },
             20, 'the same, at that node');
    is($c->get('/')->body, 'v1', 'it follows nobody') for 1 .. 5;
    $load->stop;

    keys_are($c, ONE);
    $c->reload;
    $fleet->wait_all(sub ($node) { $node->endpoint('ep')->{weight} >= 0.2 },
                     'the node to be back');
    is($a->api_post('endpoints/ep/rollout/rollback')->status, 200);
    wait_idle();
};

subtest 'the key is changed' => sub {
    for my $keys ([ ONE, OTHER ], [ OTHER, ONE ], [OTHER]) {
        for my $node ($fleet->nodes) {
            keys_are($node, @$keys);
            $node->reload;
        }
    }
    start_at($b);
    wait_weight(0.5);
    keep('of the other key');

    my $before = unverified();
    ok($before > 0, 'what was wrong until now is counted');
    my $weight = 0.5;
    wait_for(sub {
        $before = unverified();
        $weight += 0.01;
        $c->api_patch('endpoints/ep/rollout', { weight => $weight });
        wait_weight($weight);
        return unverified() == $before;
    }, 30, 'a change by which nothing is wrong');

    plant($kept{half});
    wait_for(sub { unverified() > $before }, 20, 'the old key to be no key');
    my $now = int($weight * 1_000_000 + 0.5);
    wait_for(sub { head(record()) =~ /progressing $now / }, 20,
             'the record to be told again');
    pass('what is of the old key is nothing any more');
};

$fleet->finish;


sub keys_are($node, @keys) {
    $node->write_file('key', join '', map { "$_\n" } @keys);
    chmod 0600, $node->dir . '/key' or die "chmod: $!";

    return;
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


sub start_at($node, %opt) {
    return wait_for(sub {
        my $response = $node->api_post('endpoints/ep/rollout', body(%opt));

        return $response->status == 201;
    }, 30, 'a rollout');
}


sub direct($node, $release) {
    wait_for(sub {
        $node->api_post('endpoints/ep/rollout', {
            release => $release, strategy => 'direct',
        })->status < 300;
    }, 20, "$release to be stable");
    $fleet->wait_all(sub ($one) { $one->endpoint('ep')->{stable} eq $release },
                     "$release to be stable");

    return;
}


sub wait_weight($weight) {
    $fleet->wait_all(sub ($node) {
        abs($node->endpoint('ep')->{weight} - $weight) < 0.000001
    }, "$weight at all nodes");

    return;
}


sub wait_idle() {
    $fleet->wait_all(sub ($node) { $node->endpoint('ep')->{phase} eq 'idle' },
                     'all to be idle');

    return;
}


sub now() {
    my ($seconds, $micro) = @{ $redis->call('TIME') };

    return $seconds * 1000 + int($micro / 1000);
}


sub record() {
    return $redis->call(HGET => $rec, 'ep') // '';
}


sub head($record) {
    return $record =~ s/\n.*//sr;
}


sub keep($what) {
    $kept{$what} = record();

    return;
}


# lines that tell of something that does not verify, in a key of Redis or any

sub alarms($key = '') {
    return scalar grep { /" in "\Q$key\E[^"]*" of Redis is / }
        map { split /\n/, $_->error_log } $fleet->nodes;
}


# As the scripts do it.

sub plant($text) {
    $redis->call(EVAL => <<~'EOC', 2, $rec, $chg, 'ep', $text);
        local ver = redis.call('HINCRBY', KEYS[1], '@ver', 1)
        redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
        redis.call('ZADD', KEYS[2], ver, ARGV[1])
        EOC

    return;
}


sub unverified() {
    my $n = 0;

    $n += $_->api_get('fleet')->json->{redis}{unverified} for $fleet->nodes;

    return $n;
}


sub attack($what, $text) {
    plant($text);
    wait_for(sub { record() eq $text ? 0 : record() =~ /${\SEAL}\z/ }, 20,
             "what is right instead of: $what");
    is_as_before($what);
    cmp_ok(alarms($rec), '>', 0, 'it was said');

    return;
}


sub is_as_before($what) {
    is_deeply([ map { my $is = $_->endpoint('ep'); "@$is{qw(phase stable)}" }
                    $fleet->nodes ],
              [ ('idle v1') x 3 ], "nothing happened: $what");

    return;
}
