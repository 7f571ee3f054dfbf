# The scripts by which nodes of a fleet meet in Redis, each rule by itself, on
# a real server. Time passes by what is written into the data.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Canary::Needs;
use File::Temp qw(tempdir);
use Test::More;

BEGIN { needs('redis-server') }

use Canary::Redis;

my $redis = Canary::Redis->new(tempdir(CLEANUP => 1));
my @keys = map { "canary:{shop}:$_" } qw(rec chg log live ev trial view);
my ($rec, $chg, $log, $live, $ev, $trial, $view) = @keys;

my %scripts = map {
    open my $file, '<', "$FindBin::Bin/../../src/fleet/$_.lua" or die "$_: $!";
    local $/;
    $_ => scalar readline $file;
} qw(tick commit join bye forget);


sub script($name, @words) {
    return $redis->call('EVAL', $scripts{$name}, scalar @keys, @keys, @words);
}


sub now() {
    my ($seconds, $micro) = @{ $redis->call('TIME') };

    return $seconds * 1000 + int($micro / 1000);
}


sub incarnation($node) {
    return sprintf 'a%s', $node =~ s/\D//gr;
}


sub join_fleet($node, %with) {
    my @seeds = @{ $with{seeds} // [] };
    my @names = qw(reply now fresh foreign seeds version age members records
                   events);
    my %got;

    @got{@names} = @{ script('join', $node,
        $with{incarnation} // incarnation($node), $with{before} // 0,
        $with{seed} // "seed-$node", $with{version} // 0, $with{last} // 0,
        scalar @seeds, @seeds, @{ $with{members} // [] }) };

    return \%got;
}


sub tick($node, %with) {
    my @names = qw(reply now shift version upto leads leader term since age
                   quorum mark n members changes events live view ev trial);
    my %got;

    @got{@names} = @{ script('tick', $node,
        $with{incarnation} // incarnation($node), $with{before} // 0,
        $with{seed} // $redis->call(HGET => $rec, '@seed') // '',
        $with{version} // 0, $with{filed} // $with{version} // 0,
        $with{timeout} // 500, $with{may_lead} // 1, $with{term} // 0,
        $with{time} // '', $with{second} // 0,
        $with{presence} // "10.0.0.1:80 1\n" . ($with{lacks} // ''),
        $with{evidence} // '', $with{quorum} // '', $with{mark} // '',
        $with{trial} // '', @{ $with{views} // [] }) };

    return \%got;
}


sub commit($node, $endpoint, $base, $record, %with) {
    my %got;

    @got{qw(reply now what)} = @{ script('commit', $node,
        $with{incarnation} // incarnation($node), $endpoint, $base, $record,
        $with{mode} // 'any', $with{event} // 'an event',
        $with{not_after} // 0, $with{timeout} // 500) };

    return \%got;
}


sub record($generation, $uid = $generation) {
    return sprintf "%d %08x 1 progressing 200000 v2 none\n{\"a\":1}",
        $generation, $uid;
}


sub base($generation, $uid = $generation) {
    return sprintf '%d %08x', $generation, $uid;
}


# Nodes that have joined and ticked, the first of which leads, on data that are
# old enough for everything.

sub fleet(@nodes) {
    $redis->call('FLUSHALL');

    join_fleet($_) for @nodes;
    tick($_) for @nodes;

    data_are(5000);
    lease_is(4000);
    tick($_, version => version()) for @nodes;

    return;
}


sub version() {
    return $redis->call(HGET => $rec, '@ver');
}


sub data_are($age) {
    $redis->call(HSET => $rec, '@born', now() - $age);

    return;
}


sub is_silent($node, $for) {
    my $presence = $redis->call(HGET => $live, $node);

    $redis->call(HSET => $live, $node,
                 $presence =~ s/^(\S+) \d+/"$1 " . (now() - $for)/er);

    return;
}


sub has_lived($node, $for) {
    my $presence = $redis->call(HGET => $live, $node);

    $redis->call(HSET => $live, $node,
                 $presence =~ s/^(\S+ \d+ \d+) \d+/$1 $for/r);

    return;
}


# since so many ms; until so many from now

sub lease_is($since, $until = 1000) {
    my @lease = split / /, $redis->call(HGET => $live, '@lead');

    @lease[3, 4] = (now() + $until, now() - $since);
    $redis->call(HSET => $live, '@lead', "@lease");

    return;
}


sub members() {
    my %all = @{ $redis->call(HGETALL => $rec) };

    return join ' ', map { /^\@m:(.*)/ ? $1 : () } sort keys %all;
}


subtest 'there are no data' => sub {
    $redis->call('FLUSHALL');
    is(tick('n1', seed => 'x')->{reply}, 'EMPTY', 'a tick says so');
    is(commit('n1', 'shop', '', record(1))->{reply}, 'EMPTY', 'a commit too');
    is(script('forget', 'n1', 'n2', 'gone')->[0], 'EMPTY', 'and forget');
    is_deeply($redis->call('KEYS', '*'), [], 'nothing was written');
};

subtest 'a first node joins' => sub {
    $redis->call('FLUSHALL');

    my $join = join_fleet('n1', seed => 's1');
    is($join->{reply}, 'OK');
    is($join->{fresh}, 1, 'the data are new');
    is($join->{foreign}, 1, 'and know nothing of it, as it of them');
    is($join->{seeds}, 's1');
    is($join->{version}, 0);
    is($join->{members}, '', 'it is a member when it ticks');
    ok($join->{age} < 3000, 'they are young');

    my $tick = tick('n1');
    is($tick->{reply}, 'OK');
    is($tick->{members}, 'n1 1', 'the first that joined');
    is($tick->{n}, 1);
    is($tick->{version}, 1, 'which is a change');
    is($tick->{leads}, 1, 'it leads');
    is($tick->{term}, 1);
};

subtest 'others join' => sub {
    fleet('n1');
    commit('n1', 'shop', '', record(1), event => 'it began');

    my $join = join_fleet('n2');
    is($join->{fresh}, 0);
    is($join->{foreign}, 1, 'a node that was in no fleet');
    is_deeply($join->{records}, [ 'shop', record(1) ], 'it gets what there is');
    is($join->{members}, 'n1 1');

    my $tick = tick('n2', version => $join->{version});
    is($tick->{members}, 'n1 1 n2 2');
    is($tick->{leads}, 0, 'there is a leader');
    is($tick->{leader}, 'n1');

    is(tick('n1', version => $join->{version})->{members}, 'n1 1 n2 2',
       'the others hear of it');
};

subtest 'a node comes back' => sub {
    fleet('n1');

    my $version = version();
    commit('n1', 'shop', '', record(1), event => "event $_") for 1;
    commit('n1', 'shop', base(1), record(2), event => 'event 2');

    my $join = join_fleet('n1', seeds => ['seed-n1'], version => $version,
                          members => [ n1 => 1 ]);
    is($join->{foreign}, 0, 'to its fleet');
    is_deeply($join->{events}, [
        $version + 1, 'n1', 'shop', 'event 1',
        $version + 2, 'n1', 'shop', 'event 2',
    ], 'and hears what happened');
    is($join->{version}, $version + 2);
    is(version(), $version + 2, 'which is no change');
};

subtest 'data that were lost' => sub {
    fleet('n1', 'n2');

    my $join = sub ($node, %with) {
        join_fleet($node, seeds => ['old'], members => [ n1 => 4, n2 => 5 ],
                   %with);
    };

    $redis->call('FLUSHALL');

    my $got = $join->('n1', version => 20, last => 25);
    is($got->{fresh}, 1);
    is($got->{foreign}, 0, 'they are of the fleet of who makes them');
    is($got->{seeds}, 'old seed-n1', 'which has had other seeds');
    is($got->{version}, 26, 'no number is given twice');
    is($got->{members}, 'n1 4 n2 5', 'members are members');

    $got = $join->('n2', version => 40);
    is($got->{fresh}, 0);
    is($got->{version}, 40, 'whoever knows more raises the version');
    is(tick('n1', version => 30)->{reply}, 'OK', 'one that knows less goes on');
    is(tick('n1', version => 41)->{reply}, 'LOST', 'one that knows more joins');

    tick('n3');
    like(tick('n1', version => 30)->{members}, qr/\bn3 6\b/,
         'join numbers go on');
};

subtest 'a loss makes data young, and nobody live' => sub {
    fleet('n1');
    is($redis->call(HLEN => $live), 2, 'a node and a lease');

    join_fleet('n2', seeds => ['seed-n1'], version => 100);
    is_deeply($redis->call(HGETALL => $live), [],
              'who was live has not told what it knows');
    ok(now() - $redis->call(HGET => $rec, '@born') < 3000, 'young');

    data_are(5000);
    join_fleet('n2', seeds => ['seed-n1'], version => 100);
    ok(now() - $redis->call(HGET => $rec, '@born') >= 5000,
       'not if nothing was');
};

subtest 'whose data they are' => sub {
    fleet('n1');
    is(join_fleet('n2', seeds => [ 'x', 'seed-n1' ])->{foreign}, 0,
       'a seed that both know');
    is($redis->call(HGET => $rec, '@seeds'), 'x seed-n1',
       'they know all of them then, the present one last');
    is(join_fleet('n3', seeds => ['y'], version => 1000)->{foreign}, 1,
       'none');
    ok(version() < 1000, 'whose versions mean nothing');

    $redis->call('FLUSHALL');
    join_fleet('new');
    is(join_fleet('n1', seeds => ['s'], version => 7)->{foreign}, 0,
       'one without a past came between a loss and those who know better');
    is($redis->call(HGET => $rec, '@seeds'), 's seed-new');
    data_are(3100);
    is(join_fleet('n2', seeds => ['t'], version => 9)->{foreign}, 1,
       'but not when that was long ago');
    is(join_fleet('n3', seeds => ['s'], version => 9)->{foreign}, 0);

    my @many = map { "m$_" } 1 .. 15;
    is(join_fleet('n3', seeds => [ 's', @many ])->{seeds},
       join(' ', @many[1 .. 14], 's', 'seed-new'), '16 are remembered');
};

subtest 'keys that are evicted' => sub {
    for my $key (@keys) {
        fleet('n1', 'n2');
        commit('n1', 'shop', '', record(1));
        commit('n1', 'cart', '', record(1));

        my $version = version();
        tick('n2', version => $version);
        commit('n1', 'shop', base(1), record(2));
        $redis->call(DEL => $key);

        my %known = (seeds => ['seed-n1'], version => $version,
                     members => [ n1 => 1, n2 => 2 ]);
        my $tick = tick('n2', version => $version, seed => 'seed-n1');

        if ($key eq $rec) {
            is($tick->{reply}, 'EMPTY', $key);
            join_fleet('n1', %known, version => $version + 1, seed => 'other');
            is(tick('n2', version => $version, seed => 'seed-n1')->{reply},
               'LOST', 'there is another seed');

            my $join = join_fleet('n2', %known);
            is($join->{foreign}, 0);
            is(tick('n2', version => $join->{version})->{reply}, 'OK');
            next;
        }

        if ($key eq $chg) {
            is($tick->{reply}, 'LOST', $key);
            is(commit('n1', 'shop', base(2), record(3))->{reply}, 'LOST',
               'nothing is done before that is seen to');

            join_fleet('n1', %known, version => $version + 1);
            $tick = tick('n2', version => $version);
        }

        is($tick->{reply}, 'OK', "$key: goes on");
        my %changes = map { $_ => 1 } @{ $tick->{changes} };
        ok($changes{ record(2) }, 'and hears of the change');
    }
};

subtest 'fields that are gone' => sub {
    for my $field (qw(@seed @ver @born @n @joined @seeds)) {
        fleet('n1', 'n2');

        my %with = (seeds => [ $redis->call(HGET => $rec, '@seed') ],
                    version => version(), members => [ n1 => 1, n2 => 2 ]);

        $redis->call(HDEL => $rec, $field);
        like(tick('n1', seed => $with{seeds}[0])->{reply}, qr/EMPTY|LOST/,
             "$field: it is found");
        script('bye', 'n3', incarnation('n3'));

        my $got = join_fleet('n2', %with);
        my $seed = $redis->call(HGET => $rec, '@seed');

        is($got->{reply}, 'OK', 'it is made anew');
        is($got->{foreign}, 0, 'the fleet is the same');
        is((split / /, $got->{seeds})[-1], $seed, 'the last seed is theirs');
        join_fleet('n1', %with);
        is(tick('n1', seed => $seed)->{reply}, 'OK', 'and all go on');
        is($redis->call(HGET => $rec, '@n'), 2, 'two of them');
        is($redis->call(HGET => $rec, '@joined'), 2, 'by their numbers');
    }
};

subtest 'a member that is taken out by hand is one again' => sub {
    fleet('n1', 'n2');
    $redis->call(HDEL => $rec, '@m:n2');
    tick('n2');
    is($redis->call(HGET => $rec, '@n'), 2, 'and is counted once');
};

subtest 'two nodes of one name' => sub {
    fleet('n1');

    my $dup = tick('n1', incarnation => 'b');
    is($dup->{reply}, 'DUP', 'the second is kept out');
    is($dup->{shift}, '10.0.0.1:80', 'and hears where the first is');
    is(join_fleet('n1', incarnation => 'b')->{reply}, 'DUP', 'of a join too');
    is(tick('n1', incarnation => 'b', before => 'a1')->{reply}, 'OK',
       'not one whose own past that is');

    fleet('n1');
    is_silent('n1', 9000);
    is(tick('n1', incarnation => 'b')->{reply}, 'DUP', '9 s');
    is_silent('n1', 10000);
    is(join_fleet('n1', incarnation => 'b')->{reply}, 'OK', '10 s');
    is(tick('n1', incarnation => 'b')->{reply}, 'OK', 'the name is free');
    is(tick('n1')->{reply}, 'DUP', 'and now the first is kept out');
};

subtest 'the lease' => sub {
    fleet('n1', 'n2');

    my $before = [ split / /, $redis->call(HGET => $live, '@lead') ];
    tick('n1');
    my $after = [ split / /, $redis->call(HGET => $live, '@lead') ];
    ok($after->[3] >= $before->[3], 'a tick prolongs it');
    is($after->[2], $before->[2], 'in the same term');
    is($after->[4], $before->[4], 'since the same time');
    is(tick('n2')->{leads}, 0, 'while it lasts, no other has it');

    lease_is(5000, -1);
    my $tick = tick('n2');
    is($tick->{leads}, 1, 'the first that comes has it then');
    is($tick->{leader}, 'n2');
    is($tick->{term}, 2);
    ok($tick->{now} - $tick->{since} < 3000, 'since now');
    is(tick('n1')->{leads}, 0, 'the other one has lost it');

    lease_is(5000, 60000);
    is(tick('n1')->{leads}, 1, 'no clock makes it last');

    lease_is(5000, -1);
    is(tick('n1', term => 70)->{term}, 71, 'terms never fall');
    is(tick('n1', incarnation => 'b', before => 'a1')->{leads}, 0,
       'it is an incarnation\'s');
};

subtest 'who may not lead' => sub {
    fleet('n1', 'n2');
    lease_is(5000, -1);

    is(tick('n2', may_lead => 0)->{leads}, 0, 'who says so');
    is(tick('n2', lacks => "shop endpoint\n")->{leads}, 0,
       'who lacks an endpoint that a live node has');
    is(tick('n2', lacks => "shop server v2\n")->{leads}, 1,
       'a server that is down hinders nobody');
    is(tick('n2', lacks => "shop release v2\n")->{leads}, 0,
       'who loses a release does not lead any more');
    is(tick('n1')->{leads}, 1, 'then another one does, at once');

    lease_is(5000, -1);
    tick('n1', lacks => "shop release v2\n", may_lead => 0);
    is(tick('n2', lacks => "shop release v2\n")->{leads}, 1,
       'what no live node has hinders nobody');

    lease_is(5000, -1);
    tick('n1', lacks => "shop endpoint\n", may_lead => 0);
    is(tick('n2', lacks => "shop release v2\n")->{leads}, 1,
       'nor does one without the endpoint have its release');

    lease_is(5000, -1);
    tick('n1', may_lead => 0);
    is_silent('n1', 600);
    is(tick('n2', lacks => "shop release v2\n")->{leads}, 1,
       'nor one that is silent');
};

subtest 'the clock of the fleet' => sub {
    fleet('n1', 'n2');
    my $shift = sub (%with) { tick('n1', %with)->{shift} };

    is($shift->(), 0, 'the leader does not know it yet');
    is($shift->(time => now() + 100), 0, 'small differences are the nodes\'');

    my $got = $shift->(time => now() + 5000);
    ok(abs($got - 5000) < 200, 'the server\'s clock jumps, not the fleet\'s');
    is(tick('n2')->{shift}, $got, 'for all');
    is(tick('n2', time => now())->{shift}, $got, 'only the leader says so');

    # the server's clock has gone forward by a minute since these were written

    fleet('n1', 'n2', 'n3');
    tick('n1', time => now());
    is_silent('n3', 60000 + 2000);
    data_are(60000 + 1000);
    $got = tick('n1', time => now() - 60000, second => 1);
    my %live = @{ $got->{live} };
    my ($last) = $live{n3} =~ /^\S+ (\d+)/;
    ok(abs($got->{now} - $last - 2000) < 1000, 'who was silent for 2 s is so');
    ok($got->{age} < 3000, 'and data that were young are');

    # and back

    fleet('n1', 'n2');
    tick('n1', time => now());
    is_silent('n2', -60000 + 2000);
    data_are(-60000 + 1000);
    $got = tick('n1', time => now() + 60000);
    %live = @{ $got->{live} };
    ($last) = $live{n2} =~ /^\S+ (\d+)/;
    ok(abs($got->{now} - $last - 2000) < 1000, 'by a clock that went back too');
    ok($got->{age} >= 1000, 'and data are as old as they are');

    data_are(-60000);
    is(tick('n2')->{age}, 0, 'or at least not of the future');
    tick('n1');
    ok($redis->call(HGET => $rec, '@born') <= now(), 'which the leader ends');
};

subtest 'the quorum is the leader\'s word' => sub {
    fleet('n1', 'n2');
    tick('n1', quorum => 2, mark => 'm1');
    is(tick('n2')->{quorum}, 2);
    is(tick('n2')->{mark}, 'm1');
    lease_is(5000, -1);
    is(tick('n2', may_lead => 0)->{quorum}, 0, 'void with its lease');

    my %live = @{ tick('n1', second => 1)->{live} };
    like($live{n2}, qr/^a2 \d+ 0 \d+ 10\.0\.0\.1:80 1\n$/,
         'who counts gets what nodes have in their files');
};

subtest 'what has changed' => sub {
    fleet('n1');
    my $version = version();

    is_deeply(tick('n1', version => $version)->{changes}, [], 'nothing');

    commit('n1', 'shop', '', record(1), event => 'one');
    commit('n1', 'cart', '', record(1), event => 'two');
    commit('n1', 'shop', base(1), record(2), event => 'three');
    commit('n1', 'shop', '', '', event => 'four');

    my $tick = tick('n1', version => $version);
    is_deeply($tick->{changes}, [ 'cart', $version + 2, record(1),
                                  'shop', $version + 3, record(2) ],
              'each record once, oldest first');
    is_deeply([ map { $tick->{events}[4 * $_ + 3] } 0 .. 3 ],
              [ qw(one two three four) ], 'every event');
    is($tick->{upto}, $version + 4);
    is($tick->{version}, $version + 4);

    for (1 .. 70) {
        commit('n1', "e$_", '', record(1), event => '');
    }

    $version = $tick->{version};
    $tick = tick('n1', version => $version);
    is(scalar @{ $tick->{changes} }, 3 * 64, 'at most 64 at once');
    is($tick->{upto}, $version + 64);
    $tick = tick('n1', version => $tick->{upto});
    is(scalar @{ $tick->{changes} }, 3 * 6, 'then the rest');

    commit('n1', 'shop', '', '', event => "event $_") for 1 .. 70;
    $version = $tick->{version};
    $tick = tick('n1', version => $version);
    is(scalar @{ $tick->{events} }, 4 * 64, 'of events too');
    is($tick->{upto}, $version + 64);
};

subtest 'what is not replicated' => sub {
    fleet('n1', 'n2');
    tick('n2', evidence => 'e2');
    tick('n1', quorum => 1, evidence => 'e1', trial => 't',
         views => [ shop => 'v' ]);

    my $tick = tick('n1', quorum => 1);
    is_deeply({ @{ $tick->{ev} } }, { n1 => 'e1', n2 => 'e2' },
              'the leader gets all evidence');
    is($tick->{trial}, '', 'and keeps its tests');
    is(tick('n1')->{trial}, 't', 'a helper that is new gets them');
    is_deeply(tick('n2')->{ev}, [], 'others do not');
    is_deeply(tick('n2')->{view}, [], 'views come once a second');
    is_deeply(tick('n2', second => 1)->{view}, [ shop => 'v' ]);
    ok(@{ tick('n2', second => 1)->{live} }, 'and who is live');

    commit('n1', 'shop', '', '');
    lease_is(5000, -1);
    is(tick('n2')->{trial}, 't', 'a new leader goes on with the tests');
    is_deeply($redis->call(HKEYS => $view), [], 'but tells views anew');
    tick('n2', second => 1, views => [ shop => 'v', more => 'w' ]);
    tick('n2', views => [ more => '' ]);
    is_deeply($redis->call(HKEYS => $view), ['shop'], 'until there is none');
    ok($redis->call(PTTL => $_) > 600000, "$_ is left for a while")
        for $live, $ev, $trial, $view;
    is($redis->call(PTTL => $_), -1, "$_ for ever") for $rec, $chg, $log;
};

subtest 'a record follows the one that it is based on' => sub {
    fleet('n1');

    is(commit('n1', 'shop', base(1), record(2))->{reply}, 'CONFLICT');
    is(commit('n1', 'shop', base(1), record(2))->{what}, '', 'there is none');

    my $done = commit('n1', 'shop', '', record(1), event => 'one');
    is($done->{reply}, 'OK');
    is($done->{what}, version(), 'the version of the change');

    my $lost = commit('n2', 'shop', '', record(1, 9));
    is($lost->{reply}, 'CONFLICT');
    is($lost->{what}, record(1), 'that is there');
    is(commit('n2', 'shop', base(1, 9), record(2))->{reply}, 'CONFLICT',
       'another one of that generation');
    is(commit('n2', 'shop', base(1), record(2))->{reply}, 'OK');
    is(version(), $done->{what} + 1, 'only what was done is a change');
};

subtest 'what came too late' => sub {
    fleet('n1');

    my $late = commit('n1', 'shop', base(5), record(2), not_after => now() - 1);
    is_deeply([ @$late{qw(reply what)} ], [ 'WAIT', 'too late' ]);
    is(commit('n1', 'shop', '', record(1), not_after => now() + 5000)->{reply},
       'OK');
};

subtest 'what exposes' => sub {
    my $try = sub ($mode = 'expose') {
        my $got = commit('n1', 'shop', '', record(1), mode => $mode);
        return $got->{reply} eq 'WAIT' ? $got->{what} : $got->{reply};
    };

    fleet('n1', 'n2', 'n3');
    data_are(2800);
    is($try->(), 'nodes gather', 'waits for data that are young');
    data_are(-100);
    is($try->(), 'nodes gather', 'or seem to be of the future');
    data_are(3100);

    is_silent('n2', 600);
    is_silent('n3', 600);
    is($try->(), '1 of 3 nodes: forget those that will not return');
    is_silent('n2', -100);
    is($try->(), '1 of 3 nodes: forget those that will not return',
       'who seems to be of the future is not there');
    is_silent('n2', 400);
    is($try->(), 'OK', 'more than half is enough, leader or not');

    fleet('n1', 'n2', 'n3');
    data_are(0);
    is_silent($_, 20000) for qw(n1 n2 n3);
    is($try->('any'), 'OK', 'what stops needs nobody');
};

subtest 'a step' => sub {
    my $try = sub ($node = 'n1', %with) {
        my $got = commit($node, 'shop', '', record(1), mode => 'step', %with);
        return $got->{reply} eq 'WAIT' ? $got->{what} : $got->{reply};
    };
    my @nodes = qw(n1 n2 n3);

    fleet(@nodes);
    is($try->('n2'), 'a new leader', 'is the leader\'s');
    is($try->('n1', incarnation => 'b'), 'a new leader', 'this one\'s');
    lease_is(2800);
    is($try->(), 'a new leader', 'when it has been for 3 s');
    lease_is(4000, -1);
    is($try->(), 'a new leader', 'and still is');
    lease_is(4000);
    data_are(1000);
    is($try->(), 'nodes gather');
    data_are(5000);

    is_silent('n3', 600);
    is($try->(), 'node n3 is silent');
    is_silent('n3', 9900);
    is($try->(), 'node n3 is silent');
    is($try->('n1', timeout => 10000), 'OK', 'by the fleet\'s timeout');

    fleet(qw(n1 n2 n3 n4 n5));
    is_silent($_, 600) for qw(n4 n2);
    is($try->(), 'nodes n2, n4 are silent', 'all are named');
    is_silent($_, 11000) for qw(n4 n2);
    is($try->(), 'OK', 'those that are gone are not waited for');

    fleet(@nodes);
    commit('n1', 'shop', '', record(1));
    my $version = version();
    commit('n1', 'cart', '', record(1));
    tick('n1', version => $version);
    my $step = sub () {
        my $got = commit('n1', 'shop', base(1), record(2), mode => 'step');
        return $got->{reply} eq 'WAIT' ? $got->{what} : $got->{reply};
    };
    is($step->(), 'nodes n2, n3 are at an older step', 'by their files');
    tick('n2', version => $version, filed => $version - 1);
    tick('n3', version => $version);
    is($step->(), 'node n2 is at an older step');
    tick('n2', version => $version);
    is($step->(), 'OK', 'of this endpoint');

    for ([ 'shop endpoint', 'node n2 has no endpoint shop' ],
         [ 'shop release v%203', 'node n2 has no release v 3' ],
         [ 'shop match redirects', 'node n2 has no match redirects' ],
         [ 'shop server v2', 'node n2: no live server in v2' ],
         [ '- version', 'node n2 is of an older version' ],
         [ 'cart release v3', 'OK' ])
    {
        my ($lacks, $reason) = @$_;

        fleet(@nodes);
        tick('n2', version => version(), lacks => "$lacks\n");
        is($try->(), $reason, $lacks);
    }

    fleet(@nodes);
    tick($_, version => version(), lacks => "shop release v3\n")
        for qw(n3 n2);
    is($try->(), 'node n2 has no release v3, node n3 has no release v3');
};

subtest 'members' => sub {
    fleet('n1', 'n2', 'n3');
    has_lived($_, 30000) for qw(n1 n2 n3);
    tick($_) for qw(n1 n2 n3);

    is_silent('n3', 599000);
    tick('n1', second => 1);
    is(members(), 'n1 n2 n3', 'is one for 10 minutes of silence');
    is_silent('n3', 600000);
    tick('n2', second => 1);
    tick('n1');
    is(members(), 'n1 n2 n3', 'the leader says so, once a second');
    lease_is(2000);
    tick('n1', second => 1);
    is(members(), 'n1 n2 n3', 'not a new one');
    lease_is(4000);
    is_silent('n2', 600);
    tick('n1', second => 1);
    is(members(), 'n1 n2 n3', 'nor one without a majority');
    tick('n2');

    my $version = version();
    my $tick = tick('n1', version => $version, second => 1);
    is(members(), 'n1 n2');
    is($tick->{members}, 'n1 1 n2 2', 'which is told');
    is($tick->{n}, 2);
    is($tick->{version}, $version + 1);
    is($redis->call(HEXISTS => $live, 'n3'), 0, 'its presence goes too');

    tick('n3', second => 1);
    is(members(), 'n1 n2 n3', 'and is one when it is back');
};

subtest 'a node that crashes again and again' => sub {
    fleet('n1', 'n2', 'n3');
    has_lived($_, 30000) for qw(n1 n2);
    tick($_) for qw(n1 n2);
    is_silent('n3', 9000);
    tick('n1', second => 1);
    is(members(), 'n1 n2 n3');
    is_silent('n3', 10000);
    tick('n1', second => 1);
    is(members(), 'n1 n2', 'costs no majority for long');

    fleet('n1', 'n2', 'n3');
    has_lived('n3', 29000);
    is_silent('n3', 400);
    tick('n3');
    like($redis->call(HGET => $rec, '@m:n3'), qr/ new$/);
    has_lived('n3', 29900);
    is_silent('n3', 400);
    tick('n3');
    is($redis->call(HGET => $rec, '@m:n3'), 3,
       'one that has lived for 30 s is no such node');
};

subtest 'a member that nobody has seen' => sub {
    fleet('n1');
    join_fleet('n1', seeds => ['seed-n1'], members => [ n9 => 7 ]);
    is(members(), 'n1 n9', 'is one, since a node knows it');
    tick('n1', second => 1);

    my ($last) = $redis->call(HGET => $live, 'n9') =~ /^0 (\d+) 0 0 - 0\n$/;
    ok(now() - $last >= 10000, 'and gone, from now on');
    is(join_fleet('n9')->{reply}, 'OK', 'which is no other node of its name');
    is(tick('n9')->{reply}, 'OK');
};

subtest 'a node ends' => sub {
    fleet('n1', 'n2', 'n3');
    tick('n1', evidence => 'e');
    my $version = version();

    script('bye', 'n1', 'b');
    is(members(), 'n1 n2 n3', 'another one of its name');

    script('bye', 'n1', 'a1');
    is(members(), 'n2 n3');
    is($redis->call(HEXISTS => $live, 'n1'), 0);
    is($redis->call(HEXISTS => $ev, 'n1'), 0);
    is(version(), $version + 1);

    my $tick = tick('n2', version => $version);
    is($tick->{members}, 'n2 2 n3 3', 'which is told');
    is($tick->{leads}, 1, 'and another leads at once');
    is($tick->{term}, 2);

    is(script('bye', 'n1', 'a1')->[0], 'OK', 'once more');
    is(version(), $version + 1, 'changes nothing');
};

subtest 'a node is forgotten' => sub {
    fleet('n1', 'n2', 'n3');
    my $version = version();

    is(script('forget', 'n9', 'n1', 'gone')->[0], 'UNKNOWN');
    is_silent('n3', 9000);
    is(script('forget', 'n3', 'n1', 'gone')->[0], 'ALIVE', 'not before 10 s');
    is_silent('n3', 10000);

    my $got = script('forget', 'n3', 'n1', 'n3 is forgotten');
    is_deeply([ @$got[0, 2] ], [ 'OK', 2 ], 'how many are left');
    is(members(), 'n1 n2');

    my $tick = tick('n2', version => $version);
    is($tick->{members}, 'n1 1 n2 2');
    is_deeply($tick->{events}, [ $version + 1, 'n1', '', 'n3 is forgotten' ],
              'an event');
};

subtest 'changes that were lost are found after a bye too' => sub {
    fleet('n1', 'n2', 'n3');
    my $version = version();
    $redis->call(DEL => $chg);
    script('bye', 'n3', 'a3');
    is(tick('n1', version => $version)->{reply}, 'LOST');
};

subtest 'no more rights than are said' => sub {
    $redis->call('FLUSHALL');
    $redis->call(ACL => SETUSER => 'canary', 'reset', 'on', 'nopass',
        '~canary:{shop}:*', map { "+$_" } qw(
            eval evalsha auth time hget hset hdel hmget hexists hlen hkeys
            hgetall hincrby hsetnx zadd zrangebyscore zrevrange zscore xadd
            xrange xrevrange pexpire set get));
    $redis->call(AUTH => 'canary', '');

    is(join_fleet('n1', members => [ n1 => 1, n2 => 2 ],
                  seeds => ['x'])->{reply}, 'OK');
    is(tick('n1', seed => 'seed-n1', trial => 't', evidence => 'e',
            second => 1, views => [ shop => 'v' ])->{reply}, 'OK');
    is(commit('n1', 'shop', '', record(1))->{reply}, 'OK');
    is(script('forget', 'n2', 'n1', 'gone')->[0], 'OK');
    is(script('bye', 'n1', 'a1')->[0], 'OK');
    is(eval { $redis->call('FLUSHALL') }, undef, 'no other');
};

done_testing;
