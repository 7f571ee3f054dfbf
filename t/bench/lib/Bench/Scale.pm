package Bench::Scale;

# What many endpoints cost: shared memory, reloads, the control loop, and
# answers about all of them.
#
# Each endpoint has two releases with an upstream of their own, and five
# rules. The zone is much larger than needed, and what counts is the part of
# it that has been touched.

use v5.36;

use Carp qw(croak);

no warnings 'portable';                         # addresses have 64 bits

use List::Util qw(max);
use POSIX qw(_SC_PAGESIZE sysconf);
use Socket qw(AF_INET INADDR_LOOPBACK SOCK_STREAM SOL_SOCKET SO_RCVBUF
              pack_sockaddr_in);

use Bench::Process qw(children cpu_ns run sleeps);
use Bench::Stats qw(median spread table thousands);
use Bench::Variants;
use Canary::Util qw(now pause wait_for);

use constant {
    ZONE_MB   => 384,
    REQUESTS  => 40,                            # of each endpoint and worker
    MORE      => 5,                             # times that, after a step
    PATIENCE  => 60,                            # seconds for these
    READERS   => 100,                           # who do not read
    ANSWERS   => 5,                             # of which the median is told
    SETTLED   => 0.005,                         # seconds without any work
};


sub report_memory(%arg) {
    return "\n## Shared memory\n\n" . _memory(%arg);
}


sub report(%arg) {
    return "\n## A tick of the control loop, and a reload\n\n"
        . _ticks(%arg) . "\n" . _reloads(%arg);
}


# Shared memory of an endpoint: the difference to a server with only one.

sub _memory(%arg) {
    my @rows = ['', map { "$_ worker" . ($_ > 1 ? 's' : '') } 1, 2];
    my %kb;

    for my $workers (1, 2) {
        my %of = map { $_ => _touched(%arg, workers => $workers,
                                      endpoints => $_) } 1, $arg{endpoints};

        for my $state (keys %{ $of{1} }) {
            $kb{$state}{$workers} =
                ($of{ $arg{endpoints} }{$state} - $of{1}{$state})
                / ($arg{endpoints} - 1);
        }
    }

    for my $state (sort keys %kb) {
        push @rows, [
            $state =~ s/^\d //r,
            map { sprintf '%.1f KiB', $kb{$state}{$_} } 1, 2,
        ];
    }

    return table(@rows);
}


# KiB of the zone in each state of the endpoints' life.

sub _touched(%arg) {
    my $port = $arg{port}->();
    my $nginx = _start(%arg, port => $port);
    my %kb;

    $kb{'1 idle, no traffic yet'} = _zone_kb($nginx);

    _visit($port, %arg);
    $kb{'2 idle, with traffic'} = _zone_kb($nginx);

    _start_rollouts($port, %arg);
    $kb{'3 in a rollout, before its first request'} = _zone_kb($nginx);

    _visit($port, %arg);
    $kb{'4 in a rollout, with traffic on both releases'} = _zone_kb($nginx);

    _post($port, 'advance', %arg);
    _visit($port, %arg) for 1 .. MORE;
    $kb{'5 the same, a step and ' . MORE . ' times as much later'}
        = _zone_kb($nginx);

    _post($port, 'rollback', %arg);
    $kb{'6 idle again'} = _zone_kb($nginx);

    $nginx->stop;

    return \%kb;
}


sub _post($port, $verb, %arg) {
    Bench::Variants::post($port, "endpoints/e$_/rollout/$verb")
        for 1 .. $arg{endpoints};
    Bench::Variants::disconnect($port);
}


sub _start(%arg) {
    my $dir = "$arg{dir}/" . join '-', $arg{endpoints}, $arg{workers},
        $arg{plain} ? 'plain' : ();

    return Bench::Process->nginx(
        dir => $dir, port => $arg{port}, cpu => $arg{cpu},
        conf => _conf(%arg, dir => $dir));
}


# The control: the same without the module, each endpoint one upstream.

sub _conf(%arg) {
    my ($v1, $v2) = @{ $arg{backends} };
    my ($upstreams, $locations) = ('', '');

    for my $n (1 .. $arg{endpoints}) {
        $upstreams .= _upstream("e$n-v1", $v1) . _upstream("e$n-v2", $v2);
        $upstreams .= Bench::Variants::endpoint(
            "e$n", 5, "e$n-v1", "e$n-v2") unless $arg{plain};

        my $to = $arg{plain} ? "e$n-v1" : "e$n";
        $locations .= "        location = /$n { proxy_pass http://$to; }\n";
    }

    my $zone = $arg{plain} ? ''
        : "    canary_state_path canary;\n"
            . "    canary_zone zone=bench:" . ZONE_MB . "m;\n";
    my $api = $arg{plain} ? 'return 404;' : 'canary_api write=on;';

    return Bench::Variants::nginx_conf(
        main    => $arg{plain} ? '' : "load_module $arg{module};",
        dir     => $arg{dir},
        workers => $arg{workers},
        http    => <<"EOC");
$zone$upstreams
    server {
        listen 127.0.0.1:$arg{port} reuseport @{[ $arg{listen} // '' ]};
        location /canary/ { $api }
        location /debug/ { $api error_log $arg{dir}/debug.log debug_http; }
$locations
    }
EOC
}


sub _upstream($name, $port) {
    return "    upstream $name { server 127.0.0.1:$port; keepalive 1; }\n";
}


sub _start_rollouts($port, %arg) {
    for my $n (1 .. $arg{endpoints}) {
        Bench::Variants::post($port, "endpoints/e$n/rollout",
            { canary_strategy => { progress_steps => [0.5, 0.6] } });
    }

    Bench::Variants::disconnect($port);

    return;
}


# Asks each endpoint so often that each of its releases is used by each
# worker. reuseport spreads connections over the workers by their port.

sub _visit($port, %arg) {
    my $script = "$arg{dir}/visit.lua";
    my $requests = $arg{endpoints} * REQUESTS * $arg{workers};
    my ($asked, $began) = (0, now());

    _write_visitor($script, $arg{endpoints});

    while ($asked < $requests) {
        my $text = run('taskset', '-c', $arg{client_cpu}, 'wrk', '-t1',
                       '-c32', '-d1s', '-s', $script,
                       "http://127.0.0.1:$port/");

        my ($n, $failed) = $text =~ /^visited (\d+) (\d+)/m
            or croak "wrk said:\n$text";
        croak "$failed of $n requests failed" if $failed;
        croak "only $asked requests" if now() > $began + PATIENCE;
        $asked += $n;
    }

    return;
}


sub _write_visitor($path, $endpoints) {
    Bench::Process::write_file($path, <<"EOC");
local n = 0

function request()
    n = n % $endpoints + 1
    return wrk.format("GET", "/" .. n)
end

function done(summary)
    local e = summary.errors

    print(string.format("visited %d %d", summary.requests,
        e.connect + e.read + e.write + e.status + e.timeout))
end
EOC

    return;
}


# The pages of the zone that any process of this nginx has touched: each
# page's share of all that map it, summed.

sub _zone_kb($nginx) {
    my $kb = 0;

    pause(0.7);                                 # the control loop settles

    for my $pid ($nginx->pid, children($nginx->pid)) {
        my $in_zone = 0;

        open my $in, '<', "/proc/$pid/smaps" or croak "smaps: $!";
        while (my $line = <$in>) {
            if ($line =~ /^([0-9a-f]+)-([0-9a-f]+) ...(.)/) {
                $in_zone = $3 eq 's'
                    && hex($2) - hex($1) >= ZONE_MB * 1024 * 1024;
            }
            $kb += $1 if $in_zone && $line =~ /^Pss: *(\d+)/;
        }
    }

    croak 'no zone was found' unless $kb;

    return $kb;
}


# The helper's CPU time for each of its wakings.

sub _ticks(%arg) {
    my @rows = ['control loop', 'CPU time of a tick', 'ticks'];
    my $port = $arg{port}->();
    my $many = thousands($arg{endpoints});

    my $one = _start(%arg, endpoints => 1, workers => 1,
                     port => my $one_port = $arg{port}->());
    push @rows, _tick($one, '1 endpoint, idle', %arg);
    $one->stop;

    my $nginx = _start(%arg, workers => 1, port => $port);
    push @rows, _tick($nginx, "$many endpoints, idle", %arg);

    _start_rollouts($port, %arg);
    push @rows, _tick($nginx, "$many rollouts of 5 rules, no traffic", %arg);

    push @rows, _tick($nginx, "$many rollouts of 5 rules, under full load",
                      %arg, load => $port);
    $nginx->stop;

    return table(@rows);
}


sub _tick($nginx, $title, %arg) {
    my $helper = $nginx->child('cache manager process');
    my @loads;

    if ($arg{load}) {
        _write_visitor("$arg{dir}/visit.lua", $arg{endpoints});
        @loads = Bench::Process->start(
            dir => "$arg{dir}/load", cpu => $arg{client_cpu},
            command => [ 'wrk', '-t1', '-c32', '-d60s', '-s',
                         "$arg{dir}/visit.lua",
                         "http://127.0.0.1:$arg{load}/" ]);
    }

    pause(0.5);
    my ($ns, $ticks) = (cpu_ns($helper), sleeps($helper));
    pause($arg{seconds});
    $ns = cpu_ns($helper) - $ns;
    $ticks = sleeps($helper) - $ticks;

    $_->stop for @loads;

    return [$title, sprintf('%.3f ms', $ns / $ticks / 1e6), $ticks];
}


# A reload: from the signal until all new workers are there.

sub _reloads(%arg) {
    my @rows = ['reload', 'new workers after', 'CPU time of the master'];
    my $many = thousands($arg{endpoints});

    for my $case (
        ["$many pairs of upstreams, no module", plain => 1],
        ["$many endpoints, idle"],
        ["$many endpoints in rollouts", rollouts => 1],
    ) {
        my ($title, %more) = @$case;
        my $port = $arg{port}->();
        my $nginx = _start(%arg, %more, workers => 2, port => $port);

        _start_rollouts($port, %arg) if $more{rollouts};

        # a signal to a master that is not there yet would be lost
        wait_for(sub { 2 == (() = $nginx->titled('worker process')) });

        my (@ms, @cpu);
        for (1 .. $arg{reloads}) {
            my ($ms, $cpu) = _reload($nginx, 2);
            push @ms, $ms;
            push @cpu, $cpu;
        }
        push @rows, [$title, spread('%.0f', @ms) . ' ms',
                     spread('%.0f', @cpu) . ' ms'];
        $nginx->stop;
    }

    return table(@rows);
}


# Answers about all endpoints: the worker's time for one, and the most that it
# takes to make a part, by its debug log; then what it holds for clients that
# do not read.

sub report_answers(%arg) {
    my @rows = ['answer', 'size', 'CPU time', 'most for a part',
                'memory for ' . READERS . ' who do not read'];
    my $port = $arg{port}->();
    my $many = thousands($arg{endpoints});
    my $nginx = _start(%arg, workers => 1, port => $port,
                       listen => 'sndbuf=32k');
    my $pid = $nginx->child('worker process');
    my $at_start = _private_kb($pid);

    for my $state ('idle', 'in rollouts of 5 rules, with traffic') {
        if ($state ne 'idle') {
            _start_rollouts($port, %arg);
            _visit($port, %arg, workers => 1);
        }

        push @rows, map {
            _answer($pid, $port, $_, "$many endpoints, $state",
                    $nginx->dir . '/debug.log', $at_start)
        } qw(metrics endpoints);
    }
    $nginx->stop;

    return "\n## Answers about many endpoints\n\n" . table(@rows);
}


sub _answer($pid, $port, $path, $title, $debug_log, $at_start) {
    my (@ms, $size);

    for (1 .. ANSWERS) {
        my $before = cpu_ns($pid);
        $size = length _read(_ask($port, "canary/$path"));
        push @ms, (cpu_ns($pid) - $before) / 1e6;
    }

    my $most = _most($port, $path, $debug_log);
    my @readers = map { _ask($port, "canary/$path", 4096) } 1 .. READERS;

    _settled_ns($pid);
    my $held = _private_kb($pid) - $at_start;

    return ["`$path`, $title", sprintf('%.1f MB', $size / 1e6),
            spread('%.1f', @ms) . ' ms', $most,
            sprintf('%.1f MB', $held / 1024)];
}


sub _ask($port, $path, $buffer = 0) {
    socket my $socket, AF_INET, SOCK_STREAM, 0 or croak "socket: $!";
    setsockopt $socket, SOL_SOCKET, SO_RCVBUF, $buffer if $buffer;
    connect $socket, pack_sockaddr_in($port, INADDR_LOOPBACK)
        or croak "connect: $!";
    syswrite $socket, "GET /$path HTTP/1.1\r\nHost: x\r\n"
        . "Connection: close\r\n\r\n";

    return $socket;
}


sub _read($socket) {
    my $text = '';

    while (sysread $socket, $text, 1 << 20, length $text) { }

    return $text;
}


# The longest time of a part, in ms.

sub _most($port, $path, $debug_log) {
    my @us;

    Bench::Process::write_file($debug_log, '');

    for (1 .. ANSWERS) {
        _read(_ask($port, "debug/$path"));
    }

    open my $in, '<', $debug_log or croak "$debug_log: $!";
    while (my $line = <$in>) {
        push @us, $1 if $line =~ /canary part: .* (\d+) us/;
    }

    return @us ? sprintf('%.2f ms', max(@us) / 1000) : 'no --with-debug';
}


# The worker's time when it has had nothing to do for a while.

sub _settled_ns($pid) {
    my $ns = cpu_ns($pid);

    while (1) {
        pause(SETTLED);
        my $now = cpu_ns($pid);
        return $now if $now == $ns;
        $ns = $now;
    }
}


sub _private_kb($pid) {
    open my $in, '<', "/proc/$pid/statm" or croak "statm: $!";
    my (undef, $resident, $shared) = split / /, <$in>;

    return ($resident - $shared) * sysconf(_SC_PAGESIZE) / 1024;
}


sub _reload($nginx, $workers) {
    my %old = map { $_ => 1 } children($nginx->pid);
    my ($began, $cpu) = (now(), cpu_ns($nginx->pid));

    kill HUP => $nginx->pid;

    my $new = sub { grep { !$old{$_} } $nginx->titled('worker process') };
    until ($new->() >= $workers) {
        croak 'a reload failed: ', $nginx->messages if now() > $began + 30;
        pause(0.001);
    }
    my $ms = (now() - $began) * 1000;

    # what the master does afterwards, and the end of the old workers
    pause(0.5);

    return ($ms, (cpu_ns($nginx->pid) - $cpu) / 1e6);
}


1;
