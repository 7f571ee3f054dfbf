package Bench::Fleet;

# What a fleet costs, and how fast it is: three nginx on one core; their Redis,
# more nodes that only tick (nodes.c) and all clients on the other.

use v5.36;

use Carp qw(croak);
use FindBin;
use JSON::PP ();
use List::Util qw(max);
use POSIX ();
use Time::HiRes qw(time);
use Time::Piece ();

use Bench::Process qw(cpu_ns run);
use Bench::Stats qw(median quantile table);
use Bench::Variants;
use Canary::Client;
use Canary::Load;
use Canary::Redis;
use Canary::Util qw(now pause wait_for);

use constant {
    NODES     => 64,
    ENDPOINTS => 10,
    MANY      => 1000,                          # endpoints, of
    FEW       => 8,                             # nodes
    AT_ONCE   => 50,                            # writes
    RATE      => 100,                           # requests/s at each nginx
    TICK      => 0.050,
    PATIENCE  => 20,
    SCRIPTS   => "$FindBin::Bin/../../src/fleet",
};

my $json = JSON::PP->new->canonical;


sub report(%arg) {
    my $self = bless { %arg, redis => undef, number => 0 }, __PACKAGE__;

    mkdir $arg{dir};
    run(qw(gcc -O2 -Wall -Wextra -Werror -o), "$arg{dir}/nodes", $arg{source},
        '-lhiredis');

    print $self->_alone, $self->_many_nodes;
    print $self->_many_endpoints;
    print $self->_dead;

    return;
}


# One nginx without a fleet, for comparison.

sub _alone($self) {
    my ($nginx) = $self->_start(1, ENDPOINTS, fleet => 0);

    $self->_start_rollouts($nginx, ENDPOINTS);
    my @loads = $self->_loads(ENDPOINTS, $nginx);
    my ($ms) = $self->_ticks($nginx);

    $_->stop for @loads;
    $self->_stop($nginx);

    $self->{rows} = [['the helper, for 50 ms', 'CPU time'],
                     ['no fleet, 10 endpoints in rollouts', _us($ms)]];

    return '';
}


sub _us($ms) { return sprintf '%.0f us', 1000 * $ms }


# 64 nodes, 10 endpoints.

sub _many_nodes($self) {
    $self->_start_redis;

    my @nginx = $self->_start(3, ENDPOINTS);
    my $nodes = $self->_more(NODES - @nginx, $nginx[0]);

    $self->_start_rollouts($nginx[0], ENDPOINTS);
    $self->_wait_rollouts($_, ENDPOINTS) for @nginx;

    my @loads = $self->_loads(ENDPOINTS, @nginx);
    my $load = $self->_of_redis(NODES, ENDPOINTS, sub {
        push @{ $self->{rows} }, $self->_ticks_of(@nginx);
    });
    my $rollbacks = $self->_rollbacks($nodes, @nginx);

    $_->stop for @loads, $nodes;
    $self->_stop(@nginx);

    $self->{redis_rows} = [$load];

    return $rollbacks;
}


sub _ticks_of($self, @nginx) {
    my $leader = $self->_leader(@nginx);
    my ($follower) = grep { $_ != $leader } @nginx;
    my @ms = $self->_ticks($leader, $follower);
    my $size = sprintf '%d nodes, %d endpoints', NODES, ENDPOINTS;

    return ["$size: a node", _us($ms[1])], ["$size: the leader", _us($ms[0])];
}


# Helpers' time, ms for each tick.

sub _ticks($self, @nginx) {
    my @pids = map { $_->child('cache manager process') } @nginx;

    pause(3);                                   # of the young rollouts
    my $began = now();
    my @ns = map { cpu_ns($_) } @pids;
    pause($self->{seconds});
    my $ticks = (now() - $began) / TICK;

    return map { (cpu_ns($pids[$_]) - $ns[$_]) / $ticks / 1e6 } 0 .. $#pids;
}


# What Redis does meanwhile: a row.

sub _of_redis($self, $nodes, $endpoints, $meanwhile) {
    my $pid = $self->{redis}->pid;
    my ($began, $ns, %info) = (now(), cpu_ns($pid), $self->_info);

    $meanwhile->();

    my $seconds = now() - $began;
    $ns = cpu_ns($pid) - $ns;
    my %after = $self->_info;
    my $evidence = $self->{redis}->call(HSTRLEN => 'canary:{bench}:ev', 'n1');

    my @mb = map { ($after{$_} - $info{$_}) / $seconds / 1e6 }
        qw(total_net_input_bytes total_net_output_bytes);

    return [
        "$nodes nodes, $endpoints endpoints",
        sprintf('%.1f %%', $ns / $seconds / 1e7),
        sprintf('%.0f', ($after{evalsha} - $info{evalsha}) / $seconds),
        sprintf('%.2f MB/s', $mb[0]), sprintf('%.2f MB/s', $mb[1]),
        sprintf('%.1f KB', $evidence / 1000),
    ];
}


sub _info($self) {
    my $text = $self->{redis}->call(INFO => 'all');
    my ($evalsha) = $text =~ /^cmdstat_evalsha:calls=(\d+)/m;

    return (evalsha => $evalsha // 0,
            map { /^(\w+):(\d+)\r?$/ ? ($1, $2) : () } split /\n/, $text);
}


sub _leader($self, @nginx) {
    return wait_for(sub {
        for my $nginx (@nginx) {
            return $nginx if $self->_get($nginx, 'fleet')->{state} eq 'leader';
        }
        return;
    }, PATIENCE, 'a leader');
}


# A rollback at the first, until it is in force at the others: what they
# route by, and what the other nodes have been told.

sub _rollbacks($self, $nodes, $first, @others) {
    my (@ms, @load_ms);

    for (1 .. $self->{rounds}) {
        my $size = -s $self->_output($nodes);
        my $began = now();
        my $pid = fork() // croak "fork: $!";

        if (!$pid) {
            $self->{client} = {};
            my $response = eval {
                $self->_ask($first, POST => 'endpoints/e1/rollout/rollback',
                            {});
            };
            POSIX::_exit($response && $response->status == 200 ? 0 : 1);
        }

        push @ms, $self->_in_force($began, @others);
        waitpid $pid, 0;
        croak 'the rollback failed' if $?;

        push @load_ms, map { $_ / 1e3 - 1000 * $began }
            $self->_seen($nodes, $size, 'idle');

        $size = -s $self->_output($nodes);
        $self->_begin($first, 'e1');
        $self->_seen($nodes, $size, 'progressing');
        $self->_wait_rollouts($_, 1) for @others;
    }

    my @all = (@ms, @load_ms);
    my $row = sub ($title, @of) {
        return [$title, scalar @of,
                map { sprintf '%.0f ms', quantile($_, @of) } 0.5, 0.99, 1];
    };

    return "\n### A rollback at one of " . NODES . " nodes\n\n" . table(
        ['until it is in force', 'samples', 'p50', 'p99', 'max'],
        $row->('at all others', @all),
        $row->('of these, the two nginx', @ms));
}


sub _in_force($self, $began, @nginx) {
    my @ms;

    while (@nginx) {
        croak 'a rollback is not seen' if now() > $began + PATIENCE;

        @nginx = grep {
            my $weight = $self->_get($_, 'endpoints/e1')->{weight};
            push @ms, 1000 * (now() - $began) unless $weight;
            $weight
        } @nginx;
        pause(0.001);
    }

    return @ms;
}


sub _output($self, $nodes) { return $nodes->dir . '/output' }


# When the others saw the next change of e1 to that phase, after what their
# output had.

sub _seen($self, $nodes, $size, $phase) {
    return @{ wait_for(sub {
        open my $in, '<', $self->_output($nodes) or croak "output: $!";
        seek $in, $size, 0;
        local $/;
        my $text = <$in> // '';

        return $text =~ /^\d+ $phase e1((?: \d+)+)\n/m
            ? [split ' ', $1] : undef;
    }, PATIENCE, "$phase at all nodes:\n" . $nodes->messages) };
}


# 8 nodes, 1,000 endpoints.

sub _many_endpoints($self) {
    $self->_start_redis;

    my ($nginx) = $self->_start(1, MANY);
    my $nodes = $self->_more(FEW - 1, $nginx);

    $self->_start_rollouts($nginx, MANY);

    my @loads = $self->_loads(MANY, $nginx);
    my $load = $self->_of_redis(FEW, MANY, sub {
        my ($ms) = $self->_ticks($nginx);
        push @{ $self->{rows} },
            [sprintf('%d nodes, 1,000 endpoints: the leader', FEW), _us($ms)];
    });

    $_->stop for @loads, $nodes;
    $self->_stop($nginx);

    return "\n### What Redis does\n\n" . table(
        ['', 'CPU', 'scripts/s', 'to Redis', 'from Redis',
         'evidence of a node'], @{ $self->{redis_rows} }, $load)
        . "\n### What the helper does\n\n" . table(@{ $self->{rows} });
}


# A canary that is dead everywhere: three nginx, and one with all the traffic.

sub _dead($self) {
    my @rows = ['a canary that is dead everywhere, 99/s in all',
                'rounds', 'median', 'longest'];

    push @rows, $self->_dead_row('one machine, alone', fleet => 0);
    $self->_start_redis;
    push @rows, $self->_dead_row('three nodes of a fleet', fleet => 3);

    return "\n### From the start until it is rolled back at all\n\n"
        . table(@rows);
}


sub _dead_row($self, $title, %opt) {
    my @nginx = $self->_start($opt{fleet} || 1, 1, %opt, dead => 1);
    my @loads = map {
        Canary::Load->new(port => $_->{port}, rate => 99 / @nginx,
                          seconds => 600, request => { uri => '/1' })
    } @nginx;
    my @ms;

    for (1 .. $self->{rounds}) {
        $self->_begin($nginx[0], 'e1', progress_steps => [0.999999]);
        push @ms, 1000 * $self->_until_idle(@nginx);
    }

    $_->stop for @loads;
    $self->_stop(@nginx);

    return [$title, scalar @ms, sprintf('%.0f ms', median(@ms)),
            sprintf('%.0f ms', max(@ms))];
}


# Seconds from the start of the rollout, by its event, until all are idle.

sub _until_idle($self, @nginx) {
    my $deadline = now() + PATIENCE;
    my @left = @nginx;

    while (@left) {
        croak 'a dead canary is not rolled back' if now() > $deadline;
        @left = grep { $self->_get($_, 'endpoints/e1')->{weight} } @left;
        pause(0.001);
    }
    my $ended = time;

    my ($start) = grep { $_->{type} eq 'started' }
        @{ $self->_get($nginx[0], 'endpoints/e1/events')->{events} };
    my ($seconds, $fraction) = $start->{time} =~ /^(.*?)([.]\d+)Z$/
        or croak "a time is $start->{time}";

    return $ended - $fraction
        - Time::Piece->strptime($seconds, '%Y-%m-%dT%H:%M:%S')->epoch;
}


# So many nginx; "fleet" => 0: that are none.

sub _start($self, $n, $endpoints, %opt) {
    return map {
        my $port = $self->{port}->();
        my $dir = "$self->{dir}/nginx-" . ++$self->{number};

        my $nginx = Bench::Process->nginx(
            dir => $dir, port => $port, cpu => $self->{cpu},
            conf => $self->_conf($_, $dir, $port, $endpoints, %opt));

        $nginx->{port} = $port;
        $self->_wait_joined($nginx) if $opt{fleet} // 1;
        $nginx;
    } 1 .. $n;
}


sub _wait_joined($self, $nginx) {
    wait_for(sub {
        $self->_get($nginx, 'fleet')->{state} =~ /^(?:leader|follower)$/;
    }, PATIENCE, 'a node');

    return;
}


sub _conf($self, $n, $dir, $port, $endpoints, %opt) {
    my ($v1, $v2) = @{ $self->{backends} };
    my ($upstreams, $locations) = ('', '');
    my $fleet = ($opt{fleet} // 1)
        ? "canary_fleet bench redis://127.0.0.1:$self->{redis_port} node=n$n;"
        : '';

    $v2 = $self->{port}->() if $opt{dead};

    for my $e (1 .. $endpoints) {
        $upstreams .= Bench::Variants::endpoint("e$e", 5, 'v1', 'v2');
        $locations .= "        location = /$e { proxy_pass http://e$e; }\n";
    }

    return Bench::Variants::nginx_conf(
        main => "load_module $self->{module};",
        dir  => $dir,
        http => <<"EOC");
    $fleet
    canary_state_path canary;
    canary_zone zone=bench:512m;
    upstream v1 { server 127.0.0.1:$v1; keepalive 4; }
    upstream v2 { server 127.0.0.1:$v2; keepalive 4; }
$upstreams
    server {
        listen 127.0.0.1:$port;
        location /canary/ { canary_api write=on; }
$locations
    }
EOC
}


sub _stop($self, @nginx) {
    delete $self->{client}{ $_->{port} } for @nginx;
    $_->stop for @nginx;

    return;
}


sub _start_redis($self) {
    $self->{redis} = undef;
    $self->{redis_port} = $self->{port}->();

    my $dir = "$self->{dir}/redis-" . ++$self->{number};

    mkdir $dir;
    $self->{redis} = Canary::Redis->new($dir, port => $self->{redis_port},
        bind => '127.0.0.1', appendonly => 'yes', appendfsync => 'everysec');

    run('taskset', '-cp', $self->{client_cpu}, $self->{redis}->pid);

    return;
}


# The other nodes.

sub _more($self, $count, $real) {
    return Bench::Process->start(
        dir     => "$self->{dir}/nodes-" . ++$self->{number},
        cpu     => $self->{client_cpu},
        command => ["$self->{dir}/nodes", $self->{redis_port}, 'bench',
                    $count, 'n1', SCRIPTS]);
}


sub _loads($self, $endpoints, @nginx) {
    return map {
        Canary::Load->new(
            port => $_->{port}, rate => RATE, seconds => 600,
            request => { uri => sub ($n) { '/' . (1 + $n % $endpoints) } })
    } @nginx;
}


# Several at a time: each write waits for files and for Redis.

sub _start_rollouts($self, $nginx, $endpoints) {
    my @names = map { "e$_" } 1 .. $endpoints;
    my $body = $json->encode({ canary_strategy => {} });
    my $deadline = now() + 10 * PATIENCE;

    my $refused = '';

    while (@names) {
        croak "no rollout of $names[0]: $refused" if now() > $deadline;

        my @now = splice @names, 0, AT_ONCE;
        my @clients = map { Canary::Client->new($nginx->{port}) } @now;

        for my $i (0 .. $#now) {
            $clients[$i]->start(
                method => 'POST', body => $body,
                uri => "/canary/endpoints/$now[$i]/rollout",
                headers => { 'Content-Type' => 'application/json' });
        }

        for my $i (0 .. $#now) {
            my $response = $clients[$i]->finish;

            next if ($response->status // 0) =~ /^(?:2|409)/;
            $refused = $response->body || $response->error;
            push @names, $now[$i];
        }
    }

    $self->_wait_rollouts($nginx, $endpoints);

    return;
}


sub _wait_rollouts($self, $nginx, $endpoints) {
    for my $n (1 .. $endpoints) {
        wait_for(sub { $self->_get($nginx, "endpoints/e$n")->{weight} },
                 PATIENCE, "a rollout of e$n");
    }

    return;
}


# While data are young, or another change is on its way, it is refused; what
# was not answered in time may have happened.

sub _begin($self, $nginx, $name, %strategy) {
    my $response;

    wait_for(sub {
        $response = $self->_ask($nginx, POST => "endpoints/$name/rollout",
                                { canary_strategy => { %strategy } });
        return ($response->status // 0) =~ /^2|^409/
            && $self->_get($nginx, "endpoints/$name")->{weight};
    }, PATIENCE, "a rollout of $name");

    return;
}


sub _get($self, $nginx, $path) {
    my $response = $self->_ask($nginx, GET => $path);

    return $response->json if ($response->status // 0) == 200;
    croak "GET $path: ", $response->error // $response->status;
}


sub _ask($self, $nginx, $method, $path, $body = undef) {
    my $client = $self->{client}{ $nginx->{port} }
        //= Canary::Client->new($nginx->{port});

    return $client->request(
        method => $method, uri => "/canary/$path",
        defined $body ? (body => $json->encode($body),
            headers => { 'Content-Type' => 'application/json' }) : ());
}


1;
