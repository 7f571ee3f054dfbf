package Soak::Watch;

# What has to be true of an endpoint and of its nginx at any time, however
# often one looks. What is not is told at once, with the round in which it
# was seen, and counted by kind.

use v5.36;

use List::Util qw(max);
use Test::More ();

use constant {
    KINDS => [
        'requests', 'split', 'counters', 'generation', 'events',
        'state machine', 'acknowledged', 'answers of the API', 'bad canary',
        'control loop', 'log', 'memory', 'descriptors',
    ],
    STALE => 5000,    # ms that a heartbeat may be old on a busy machine
};


sub new($class, $t, $name) {
    return bless {
        t       => $t,
        name    => $name,
        round   => 0,
        found   => {},
        looks   => 0,
        logged  => 0,
        acked   => { generation => 0 },
        allowed => [],
    }, $class;
}


sub round($self, $round) { return $self->{round} = $round }
sub looks($self)         { return $self->{looks} }


sub wrong($self, $kind, $text) {
    Test::More::diag("round $self->{round}, $kind: $text");

    return push @{ $self->{found}{$kind} }, $text;
}


sub verdict($self) {
    for my $kind (@{ KINDS() }) {
        Test::More::is(scalar @{ $self->{found}{$kind} // [] }, 0, $kind);
    }

    return;
}


# An answer that said that the file has it.

sub acknowledged($self, $endpoint) {
    return if exists $endpoint->{durable};

    return $self->{acked} = $endpoint;
}


# All processes are new: counters may be those of the last minute, and of
# events only what was acknowledged has to be there.

sub begins_anew($self) {
    delete @{$self}{qw(totals seen last_id)};

    return;
}


# Not while two nginx of a binary upgrade answer.

sub look($self) {
    my $t = $self->{t};
    my $endpoint = $t->endpoint($self->{name});
    my @events = reverse $t->events($self->{name});

    $self->{looks}++;
    $self->_sound($endpoint);
    $self->_generation($endpoint);
    $self->_totals($endpoint);
    $self->_history(@events);

    my $again = $t->endpoint($self->{name});
    $self->_last_event($endpoint, $events[-1])
        if @events && $again->{generation} == $endpoint->{generation};

    $self->_log;

    return $again;
}


sub _sound($self, $endpoint) {
    my ($phase, $weight, $step) = @$endpoint{qw(phase weight step)};
    my $idle = $phase eq 'idle';
    my $steps = $endpoint->{steps} // [];

    my %sound = (
        canary => defined $endpoint->{canary} eq !$idle,
        roles  => ($endpoint->{canary} // '') ne $endpoint->{stable},
        weight => $idle ? $weight == 0 : $weight > 0 && $weight <= 1,
        step   => $idle ? $step == 0 : $step <= @$steps,
        full   => $phase eq 'baking' ? $weight == 1
            : $phase eq 'progressing' ? $weight < 1 : 1,
    );
    my @unsound = grep { !$sound{$_} } sort keys %sound;

    $self->wrong('state machine', "$phase, weight $weight, step $step: "
                 . "@unsound")
        if @unsound;
    my $age = $endpoint->{controller}{heartbeat_age_ms};
    $self->wrong('control loop', "the last tick was $age ms ago")
        if $age > STALE;

    return;
}


sub _generation($self, $endpoint) {
    my $generation = $endpoint->{generation};
    my $acked = $self->{acked};

    $self->wrong('generation', "$generation after $self->{seen}")
        if defined $self->{seen} && $generation < $self->{seen};
    $self->{seen} = $generation;

    $self->wrong('acknowledged', "generation $generation, though "
                 . "$acked->{generation} was acknowledged")
        if $generation < $acked->{generation};
    if ($generation == $acked->{generation}) {
        my ($is, $was) = map { _roles($_) } $endpoint, $acked;
        $self->wrong('acknowledged', "$is instead of $was") if $is ne $was;
    }

    return;
}


sub _roles($endpoint) {
    return join ' ', map { $endpoint->{$_} // 'none' }
        qw(phase weight stable canary);
}


# A release that comes back after it was gone may begin anew.

sub _totals($self, $endpoint) {
    my %before = %{ $self->{totals} // {} };
    my %now;

    for my $release (@{ $endpoint->{releases} }) {
        my $name = $release->{name};
        my %total = (
            %{ $release->{responses} },
            map { $_ => $release->{$_} }
                qw(attempts failed timeouts aborted fallbacks),
        );

        $now{$name} = \%total;
        for my $key (sort keys %{ $before{$name} // {} }) {
            $self->wrong('counters', "$key of $name: $total{$key} after "
                         . $before{$name}{$key})
                if $total{$key} < $before{$name}{$key};
        }
    }
    $self->{totals} = \%now;

    return;
}


sub _history($self, @events) {
    for my $i (1 .. $#events) {
        my ($before, $event) = @events[ $i - 1, $i ];

        $self->wrong('events', "event $event->{id} after $before->{id}")
            if $event->{id} <= $before->{id};
        $self->wrong('state machine', "event $event->{id} begins with "
                     . _state($event->{from}) . ", but $before->{id} ended "
                     . 'with ' . _state($before->{to}))
            if _state($event->{from}) ne _state($before->{to});
    }

    for my $event (@events) {
        my ($from, $to) = map { $event->{$_}{phase} } qw(from to);
        $self->wrong('state machine', "event $event->{id}: $from -> $to")
            if $from eq 'idle' && $to =~ /^(?:paused|halted)$/;
    }

    my $last = @events ? $events[-1]{id} : 0;
    $self->wrong('events', "the last is $last, it was $self->{last_id}")
        if $last < ($self->{last_id} // 0);
    $self->{last_id} = $last;

    return;
}


sub _last_event($self, $endpoint, $event) {
    my ($is, $was) = (_state($endpoint), _state($event->{to}));

    $self->wrong('state machine', "$is, but event $event->{id} says $was")
        if $is ne $was;

    return;
}


sub _state($part) { return "$part->{phase} $part->{weight}" }


sub allow_log($self, @patterns) {
    return push @{ $self->{allowed} }, @patterns;
}


sub _log($self) {
    my $path = $self->{t}->dir . '/error.log';

    open my $in, '<', $path or return;
    seek $in, $self->{logged}, 0;
    while (my $line = <$in>) {
        last unless $line =~ /\n\z/;
        $self->{logged} += length $line;
        next unless $line =~ /\[(?:alert|crit|emerg)\]|Sanitizer|\bis full\b/;
        next if grep { $line =~ $_ } @{ $self->{allowed} };
        $self->wrong(log => $line);
    }

    return;
}


# The memory (kB, without what is shared) and the descriptors of the worker
# that has the most of them, and of the helper.

sub usage($self) {
    my $t = $self->{t};
    my %pids = (worker => [ $t->worker_pids ],
                helper => [ $t->helper_pid // () ]);
    my %usage;

    for my $who (keys %pids) {
        my @kb = map { _kilobytes($_) } @{ $pids{$who} };
        my @fds = map { scalar(() = glob "/proc/$_/fd/*") } @{ $pids{$who} };

        $usage{$who} = { memory => max(@kb, 0), descriptors => max(@fds, 0) };
    }

    return \%usage;
}


sub _kilobytes($pid) {
    open my $in, '<', "/proc/$pid/status" or return 0;
    local $/;

    return (<$in> // '') =~ /^RssAnon:\s+(\d+) kB/m ? $1 : 0;
}


sub is_flat($self, $before, $after) {
    for my $who (sort keys %$after) {
        my ($old, $new) = map { $_->{$who} } $before, $after;

        $self->wrong(memory => "$who: $old->{memory} kB, in the end "
                     . "$new->{memory} kB")
            if $new->{memory} > 1.5 * $old->{memory} + 2048;
        $self->wrong(descriptors => "$who: $old->{descriptors}, in the end "
                     . $new->{descriptors})
            if $new->{descriptors} > $old->{descriptors} + 40;
    }

    return;
}


1;
