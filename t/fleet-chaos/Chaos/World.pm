package Chaos::World;

# Five nodes, each with a proxy of its own between it and Redis, whose clock
# may be moved; and what may happen to all that. Each of what happens is in the
# journal, with its time.

use v5.36;

use parent qw(Canary::Fleet);

use File::Path qw(remove_tree);
use Time::HiRes ();

use Canary::Proxy;
use Canary::Util qw(now pause);

use constant {
    NAMES   => [qw(a b c d e)],
    KEYS    => [qw(rec chg log live ev trial view)],
    BAD     => [ [ status => 500 ], [ mode => 'close' ],
                 [ mode => 'reset' ] ],
    WORKERS => 2,
};

# how Redis keeps its data

my @keeping = ([ appendonly => 'yes' ], [ appendonly => 'no' ]);


sub new($class, $dir, $clock) {
    my $persists = int rand @keeping;

    open my $out, '>', "$dir/clock" or die "$dir/clock: $!";
    syswrite $out, pack 'q', 0;

    local $ENV{LD_PRELOAD} = $clock;
    local $ENV{CANARY_CLOCK} = "$dir/clock";

    my $self = $class->SUPER::new(@{ NAMES() },
                                  { redis => { @{ $keeping[$persists] } } });

    @{$self}{qw(dir clock owner)} = ($dir, $clock, $$);
    $self->{backend}{v3} = $self->node('a')->backend('v3');
    $self->{busy} = {};         # what is not to be touched, until it is well
    $self->{agenda} = [];       # [when, what]
    $self->{most} = 0;          # so many nodes and lines are busy
    $self->{proxy}{$_} = Canary::Proxy->new($self->redis->socket)
        for @{ NAMES() };
    open $self->{journal}, '>>', "$dir/journal" or die "$dir/journal: $!";
    $self->{journal}->autoflush(1);
    $self->note("Redis: @{ $keeping[$persists] }");

    return $self;
}


sub note($self, $text) {
    printf {$self->{journal}} "%.3f\t%s\n", now(), $text;

    return;
}


sub config($self, $name) {
    my ($v1, $v2, $v3) = map { $self->backend($_)->port } qw(v1 v2 v3);
    my $redis = $self->{proxy}{$name}->port;

    return <<~EOC;
        canary_fleet shop redis://127.0.0.1:$redis node=$name;
        upstream one { server 127.0.0.1:$v1 max_fails=0; }
        upstream two { server 127.0.0.1:$v2 max_fails=0; }
        upstream three { server 127.0.0.1:$v3 max_fails=0; }
        upstream ep {
            canary_release v1 one;
            canary_release v2 two;
            canary_release v3 three;
        }
        log_format chaos '\$msec \$request_time \$canary_role \$canary_weight '
                         '\$canary_phase \$canary_release \$status';
        server {
            listen 127.0.0.1:%%PORT_http%%;
            access_log %%DIR%%/requests.log chaos;
            proxy_next_upstream error timeout http_500;
            location / { proxy_pass http://ep; }
        }
        %%API%%
        EOC
}


sub begin($self, $name) {
    my $node = $self->node($name);

    $node->start_orphan($self->config($name), workers => WORKERS)
        or die "no way to become the reaper of orphans\n";
    $self->note("begun $name");

    return;
}


# What happens, and how often.

my @actions = (
    [ 6, \&_partition ], [ 2, \&_slow ], [ 3, \&_crash ], [ 2, \&_stop ],
    [ 3, \&_hang ], [ 2, \&_kill_worker ], [ 2, \&_kill_helper ],
    [ 2, \&_reload ], [ 2, \&_upgrade ],
    [ 3, \&_kill_redis ], [ 3, \&_hang_redis ], [ 2, \&_flush ],
    [ 3, \&_delete_key ], [ 3, \&_delete_field ], [ 1, \&_clock ],
    [ 1, \&_full ], [ 1, \&_disconnect ], [ 2, \&_save ],
    [ 3, \&_bad_canary ],
);


sub act($self) {
    my $all = 0;

    $all += $_->[0] for @actions;

    my $at = rand $all;

    for my $action (@actions) {
        $at -= $action->[0];
        return $action->[1]->($self) if $at < 0;
    }

    return;
}


# Seconds at most from one of these to the next, until it is called again: now
# nearly all nodes are well, now few.

sub pace($self) {
    my @paces = (0.2, 0.5, 1, 2, 4);
    my @most = (1, 2, 2, 3, 5);

    $self->{most} = $most[ rand @most ];

    return $paces[ rand @paces ];
}


# What is due by now.

sub settle($self, $all = 0) {
    my $now = now();
    my @agenda = sort { $a->[0] <=> $b->[0] } @{ $self->{agenda} };

    $self->{agenda} = [ grep { !$all && $_->[0] > $now } @agenda ];
    $_->[1]->() for grep { $all || $_->[0] <= $now } @agenda;

    return;
}


# Everything is as it should be.

sub heal($self) {
    $self->settle(1);
    $_->leave for values %{ $self->{proxy} };
    $self->note('healed');

    return;
}


# Takes something for so long.

sub _for($self, $what, $seconds, $end) {
    $self->{busy}{$what} = 1;
    push @{ $self->{agenda} }, [ now() + $seconds, sub () {
        $end->();
        delete $self->{busy}{$what};
    } ];

    return;
}


sub _some($self, $kind) {
    my @free = grep { !$self->{busy}{"$kind $_"} } @{ NAMES() };
    my $busy = grep { /^(?:node|line) / } keys %{ $self->{busy} };

    return if $busy >= $self->{most};

    return @free ? $free[ rand @free ] : undef;
}


# Mostly short, sometimes longer than anything in the fleet waits for.

sub _while($short = 3) {
    return rand() < 0.1 ? 11 + rand 3 : rand $short;
}


sub _partition($self) {
    my $name = $self->_some('line') // return;
    my $how = rand() < 0.5 ? 'cut' : 'hole';
    my $end = rand() < 0.5 ? 'pass' : 'leave';
    my $proxy = $self->{proxy}{$name};

    $self->note("partition $name $how");
    $proxy->$how;

    return $self->_for("line $name", _while(), sub () {
        $proxy->$end;
        $self->note("partition $name $end");
    });
}


sub _slow($self) {
    my $name = $self->_some('line') // return;
    my $ms = int rand 700;

    $self->note("slow $name $ms");
    $self->{proxy}{$name}->slow($ms);

    return $self->_for("line $name", rand 3, sub () {
        $self->{proxy}{$name}->pass;
        $self->note("slow $name ends");
    });
}


sub _crash($self) {
    my $name = $self->_some('node') // return;

    $self->note("crash $name");
    $self->node($name)->crash;

    return $self->_for("node $name", _while(), sub () {
        $self->begin($name);
    });
}


sub _stop($self) {
    my $name = $self->_some('node') // return;

    $self->note("stop $name");
    $self->node($name)->stop;
    $self->note("stopped $name");

    return $self->_for("node $name", _while(), sub () {
        $self->begin($name);
    });
}


# All of its processes, or only the helper.

sub _hang($self) {
    my $name = $self->_some('node') // return;
    my $node = $self->node($name);
    my @pids = grep { defined } $node->helper_pid;

    @pids = ($node->master_pid, $node->worker_pids, @pids) if rand() < 0.5;
    $self->note("hang $name");
    kill STOP => @pids;

    return $self->_for("node $name", _while(2), sub () {
        kill CONT => @pids;
        $self->note("hang $name ends");
    });
}


sub _kill_worker($self) {
    my $name = $self->_some('node') // return;
    my @pids = $self->node($name)->worker_pids;

    $self->note("kill worker $name");
    kill KILL => $pids[ rand @pids ] if @pids;

    return;
}


sub _kill_helper($self) {
    my $name = $self->_some('node') // return;
    my $pid = $self->node($name)->helper_pid // return;

    $self->note("kill helper $name");
    kill KILL => $pid;

    return;
}


sub _reload($self) {
    my $name = $self->_some('node') // return;

    $self->note("reload $name");
    $self->node($name)->reload($self->config($name));

    return;
}


sub _upgrade($self) {
    my $name = $self->_some('node') // return;
    my $node = $self->node($name);
    my $old = $node->master_pid;

    $self->note("upgrade $name");
    my $new = $node->upgrade;
    pause(rand 0.5);
    kill QUIT => $old;
    $node->turn_to($new);
    $node->wait_end($old);
    $self->note("upgraded $name");

    return;
}


sub _kill_redis($self) {
    return if $self->{busy}{redis};

    my $lost = rand() < 0.4;
    my $dir = $self->redis->{settings}{dir};

    $self->note('kill Redis');
    $self->redis->kill;
    if ($lost) {
        unlink "$dir/dump.rdb";
        remove_tree("$dir/appendonlydir");
    }

    return $self->_for(redis => rand 2, sub () {
        local $ENV{LD_PRELOAD} = $self->{clock};
        local $ENV{CANARY_CLOCK} = "$self->{dir}/clock";

        $self->note('loss') if $lost || !$self->_keeps_all;
        $self->redis->start;
        $self->note('Redis is back');
    });
}


sub _keeps_all($self) {
    return $self->redis->{settings}{appendonly} eq 'yes';
}


sub _hang_redis($self) {
    return if $self->{busy}{redis};

    $self->note('hang Redis');
    kill STOP => $self->redis->pid;

    return $self->_for(redis => rand 2, sub () {
        kill CONT => $self->redis->pid;
        $self->note('hang Redis ends');
    });
}


sub _redis($self, $text, @words) {
    return if $self->{busy}{redis};

    $self->note($text);

    return $self->redis->call(@words);
}


sub _flush($self) {
    my @what = rand() < 0.8 ? 'FLUSHALL' : qw(SCRIPT FLUSH);

    return $self->_redis($what[0] eq 'FLUSHALL' ? 'loss: FLUSHALL' : "@what",
                         @what);
}


sub _delete_key($self) {
    my $key = KEYS->[ rand @{ KEYS() } ];

    return $self->_redis(($key eq 'rec' ? 'loss: ' : '') . "DEL $key",
                         DEL => "canary:{shop}:$key");
}


sub _delete_field($self) {
    my $key = KEYS->[ rand @{ KEYS() } ];
    my $name = "canary:{shop}:$key";

    return if $self->{busy}{redis};

    my $type = $self->redis->call(TYPE => $name);
    my @fields = $type eq 'hash' ? @{ $self->redis->call(HKEYS => $name) }
        : $type eq 'zset' ? @{ $self->redis->call(ZRANGE => $name, 0, -1) }
        : return;
    my $field = (sort @fields)[ rand @fields ];

    return $self->_redis(($key eq 'rec' ? 'loss: ' : '')
                         . "delete $field of $key",
                         $type eq 'hash' ? 'HDEL' : 'ZREM', $name, $field);
}


sub _clock($self) {
    my $ms = int(20_000 - rand 40_000);

    $self->note("clock $ms");
    open my $out, '+<', "$self->{dir}/clock" or die "$self->{dir}/clock: $!";
    syswrite $out, pack 'q', $ms;

    return;
}


sub _full($self) {
    return if $self->{busy}{redis};

    $self->_redis('full', CONFIG => 'SET', 'maxmemory', 1);

    return $self->_for(redis => rand 2, sub () {
        $self->redis->call(CONFIG => 'SET', 'maxmemory', 0);
        $self->note('full ends');
    });
}


sub _disconnect($self) {
    return $self->_redis('disconnect', CLIENT => 'KILL', 'TYPE', 'normal',
                         'SKIPME', 'yes');
}


sub _save($self) {
    return if $self->_keeps_all;

    return $self->_redis('SAVE', 'SAVE');
}


sub _bad_canary($self) {
    return if $self->{busy}{backend};

    my $name = ('v1', 'v2', 'v3')[ rand 3 ];

    $self->note("bad $name");
    $self->backend($name)->set(@{ BAD->[ rand @{ BAD() } ] });

    return $self->_for(backend => rand 2, sub () {
        $self->backend($name)->set;
        $self->note("good $name");
    });
}


1;
