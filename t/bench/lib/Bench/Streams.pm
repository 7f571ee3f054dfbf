package Bench::Streams;

# What open streams of events do to proxied requests of the same worker: times
# of these without and with the streams, while nothing happens and while there
# are events to send; and the worker's time for what it sends.
#
# Who reads the streams has the lowest priority on the clients' core: it is
# the server that is to be measured. The kernel's work for the receiver of
# what is sent on the loopback is in the server's figures, though.

use v5.36;

use Carp qw(croak);
use List::Util qw(sum);

use Bench::Process qw(cpu_ns run);
use Bench::Stats qw(median spread table thousands);
use Bench::Variants;
use Canary::Util qw(now pause wait_for);

use constant {
    STREAMS     => 500,
    CONNECTIONS => 256,
    EVENT_EVERY => 0.5,                         # seconds
    HEARTBEAT   => 15,                          # seconds without an event
    DELIVERED   => 0.3,                         # seconds, for the last event
};

my @conditions = (
    { name => 'none', title => 'no streams' },
    { name => 'streams', title => STREAMS . ' streams', streams => 1,
      to => 'none' },
    { name => 'again', title => 'no streams, the same again', to => 'none' },
    { name => 'events', title => 'no streams, 2 events a second',
      events => 1, to => 'none' },
    { name => 'both', title => STREAMS . ' streams, 2 events a second',
      streams => 1, events => 1, to => 'events' },
);


sub report(%arg) {
    run(qw(gcc -O2 -Wall -Wextra -Werror -o), "$arg{dir}-reader",
        $arg{source});

    my $port = $arg{port}->();
    my $variant = { name => 'weight5', canary => 1, rollout => 1 };
    my $nginx = $arg{variants}->start(
        $variant, dir => "$arg{dir}/nginx", port => $port, cpu => $arg{cpu});
    my %server = (%arg, port => $port,
                  pid => $nginx->child('worker process'));

    my $text = _times(%server) . "\n" . _sending(%server);

    $nginx->stop;

    return $text;
}


# Each round is in the reverse order of the one before.

sub _times(%arg) {
    my (%of, %ratio);

    for my $round (1 .. $arg{rounds}) {
        my %now;

        for my $condition ($round % 2 ? @conditions : reverse @conditions) {
            my $name = $condition->{name};

            $now{$name} = _round($condition, %arg);
            push @{ $of{$name}{$_} }, $now{$name}{$_}
                for keys %{ $now{$name} };
        }

        push @{ $ratio{ $_->{name} } },
            $now{ $_->{name} }{p99} / $now{ $_->{to} }{p99}
            for grep { $_->{to} } @conditions;
    }

    return "Of $arg{rounds} rounds of $arg{seconds} s:\n\n"
        . table(['', 'p99', 'to', 'p99 in us', 'p50 in us', 'requests/s',
                 'busy', 'failed'],
                map { _row($_, $of{ $_->{name} }, $ratio{ $_->{name} }) }
                    @conditions);
}


sub _row($condition, $of, $ratio) {
    my ($to) = grep { $_->{name} eq ($condition->{to} // '') } @conditions;

    return [
        $condition->{title},
        $ratio ? spread('%.2f', @$ratio) : '',
        $to ? $to->{title} : '',
        spread('%.0f', @{ $of->{p99} }),
        sprintf('%.0f', median(@{ $of->{p50} })),
        thousands(median(@{ $of->{rate} })),
        sprintf('%.2f', median(@{ $of->{busy} })),
        sum(@{ $of->{failed} }),
    ];
}


sub _round($condition, %arg) {
    my $reader = $condition->{streams} ? _open(%arg) : undef;

    pause(DELIVERED);                           # what opening them left

    my $cpu = cpu_ns($arg{pid});
    my ($text, $events) = _load($condition->{events}, %arg);
    $cpu = (cpu_ns($arg{pid}) - $cpu) / 1000;

    my ($requests, $duration, $failed, $p50, $p99) =
        $text =~ /^result (\d+) (\d+) (\d+) (\d+) (\d+)$/m
        or croak "wrk said:\n$text";
    croak 'there were no answers' unless $requests;

    _close($reader, $events) if $reader;

    return {
        p50    => $p50,
        p99    => $p99,
        rate   => $requests / $duration * 1e6,
        busy   => $cpu / $duration,
        failed => $failed,
    };
}


# What wrk prints, and how many events there were meanwhile.

sub _load($with_events, %arg) {
    my ($text, $events, $next) = ('', 0, now());
    my @command = ('taskset', '-c', $arg{client_cpu}, 'wrk', '-t1',
                   '-c' . CONNECTIONS, "-d$arg{seconds}s", '--latency',
                   '-s', $arg{script}, "http://127.0.0.1:$arg{port}/");

    open my $wrk, '-|', @command or croak "wrk: $!";
    vec(my $bits = '', fileno $wrk, 1) = 1;

    while (1) {
        if ($with_events && now() >= $next) {
            _event($arg{port}, $events++);
            $next += EVENT_EVERY;
        }

        my $timeout = $with_events ? $next - now() : undef;
        next unless select(my $ready = $bits, undef, undef, $timeout) > 0;
        sysread $wrk, $text, 65536, length $text or last;
    }

    _event($arg{port}, $events++) if $events % 2;
    Bench::Variants::disconnect($arg{port});
    close $wrk or croak "wrk failed:\n$text";

    return ($text, $events);
}


# Without and with a pause the requests are split the same way.

sub _event($port, $n) {
    my $verb = $n % 2 ? 'resume' : 'pause';

    Bench::Variants::post($port, "endpoints/e/rollout/$verb");

    return;
}


sub _open(%arg) {
    my $dir = "$arg{dir}/reader";

    unlink "$dir/output";

    my $reader = Bench::Process->start(
        dir => $dir, cpu => $arg{client_cpu},
        command => [ 'nice', '-n', 19, "$arg{dir}-reader", $arg{port},
                     STREAMS ]);

    wait_for(sub { $reader->messages =~ /^open$/m }, 20,
             STREAMS . ' open streams');

    return $reader;
}


# All have to be open still, with all events in order.

sub _close($reader, $expected) {
    pause(DELIVERED);
    $reader->stop;

    my ($open, $events, $disordered, $heartbeats, $longest) =
        $reader->messages =~ /^result (\d+) (\d+) (\d+) (\d+) (\d+)$/m
        or croak "streams said:\n", $reader->messages;

    croak "of ", STREAMS, " streams $open were left, with $events events of ",
        STREAMS * $expected, ", $disordered out of order"
        if $open != STREAMS || $disordered || $events != STREAMS * $expected;

    return { heartbeats => $heartbeats, longest => $longest };
}


# The worker's time for ticks, heartbeats and events, with no other load.

sub _sending(%arg) {
    my $events = 20;
    my $alone = _spent(3, %arg) / 3;
    my $event_alone = _spend_events($events, %arg) / $events
        - $alone * EVENT_EVERY;

    my $reader = _open(%arg);

    pause(0.5);
    my $quiet = HEARTBEAT - 3;
    my $tick = _spent($quiet, %arg) / $quiet;
    my $heartbeat = _spent(5, %arg) - 5 * $tick;
    my $event = _spend_events($events, %arg) / $events - $tick * EVENT_EVERY;

    my $got = _close($reader, $events);
    croak "$got->{heartbeats} heartbeats came" if $got->{heartbeats} != STREAMS;

    return table(
        ['the worker alone, with ' . STREAMS . ' streams', 'CPU time'],
        ['a second without events (10 looks for news)',
         _ms($tick - $alone)],
        ['a heartbeat to all, ' . HEARTBEAT . ' s after the last text',
         _ms($heartbeat)],
        ['an event to all', _ms($event - $event_alone)],
    ) . sprintf("\nThe last stream had an event at most %.1f ms after the "
                . "first one.\n", $got->{longest} / 1000);
}


sub _spend_events($n, %arg) {
    my $before = cpu_ns($arg{pid});

    for my $i (0 .. $n - 1) {
        _event($arg{port}, $i);
        pause(EVENT_EVERY);
    }
    Bench::Variants::disconnect($arg{port});

    return cpu_ns($arg{pid}) - $before;
}


sub _spent($seconds, %arg) {
    my $before = cpu_ns($arg{pid});

    pause($seconds);

    return cpu_ns($arg{pid}) - $before;
}


sub _ms($ns) {
    return sprintf '%.2f ms', $ns / 1e6;
}


1;
