package Canary::Backend;

# A small TCP server on 127.0.0.1 in a process of its own. Its behaviour can
# be changed at any time, and its counters read exactly.

use v5.36;

use Carp qw(croak);
use IO::Handle;
use JSON::PP ();
use Socket qw(AF_UNIX PF_UNSPEC SOCK_STREAM);

use Canary::Protocol;
use Canary::Util qw(
    close_with_reset connect_to fork_child listen_on now patience
    reserve_port
);

use constant {
    READ_SIZE      => 65536,
    LOGGED         => 1000,
    ANSWER_TIMEOUT => 10,
};

my $json = JSON::PP->new->latin1->canonical;


# The test's side.

sub new($class, $name, %arg) {
    my $protocol = Canary::Protocol::of(delete $arg{protocol} // 'http');
    my ($port, $guard) = reserve_port();

    socketpair(my $ours, my $theirs, AF_UNIX, SOCK_STREAM, PF_UNSPEC)
        or croak "socketpair: $!";

    my $pid = fork_child(sub {
        close $ours;
        Canary::Backend::Server->new($name, $protocol, $port, $theirs)->run;
    });
    close $theirs;
    $ours->autoflush(1);

    my $self = bless {
        name    => $name,
        port    => $port,
        guard   => $guard,
        pid     => $pid,
        control => $ours,
    }, $class;

    return $self->set(%arg);
}


sub name($self) { return $self->{name} }
sub port($self) { return $self->{port} }


# What it does from now on with requests that nothing else is said about.

sub set($self, %behaviour) {
    $self->_ask(set => { behaviour => \%behaviour });

    return $self;
}


# What it does with requests whose URI begins with $prefix.

sub on($self, $prefix, %behaviour) {
    $self->_ask(on => { prefix => $prefix, behaviour => \%behaviour });

    return $self;
}


# What it does with the next $n requests, before all else.

sub next_requests($self, $n, %behaviour) {
    $self->_ask(next => { n => $n, behaviour => \%behaviour });

    return $self;
}


# The counters, with all that has reached the socket so far.

sub stats($self) {
    return $self->_ask('stats');
}

sub requests($self) { return $self->stats->{requests} }
sub accepted($self) { return $self->stats->{accepted} }


# The last requests, oldest first.

sub log($self) {
    return @{ $self->_ask('log') };
}


sub stop($self) {
    my $pid = delete $self->{pid} // return;

    close $self->{control};
    kill KILL => $pid;
    waitpid $pid, 0;

    return;
}


sub _ask($self, $command, $arg = {}) {
    my $control = $self->{control};

    print $control $json->encode({ %$arg, command => $command }), "\n"
        or croak "backend $self->{name} is gone: $!";

    my $ready = '';
    vec($ready, fileno($control), 1) = 1;
    select($ready, undef, undef, patience(ANSWER_TIMEOUT))
        or croak "backend $self->{name} does not answer";

    my $answer = <$control> // croak "backend $self->{name} is gone";

    return $json->decode($answer)->{answer};
}


# The server's side: one process, one loop.

package Canary::Backend::Server;

use Carp qw(croak);
use Errno qw(EAGAIN EINTR EWOULDBLOCK);
use IO::Handle;
use List::Util qw(max min);

use Canary::Util qw(
    close_with_reset connect_to listen_on now
);


sub new($class, $name, $protocol, $port, $control) {
    $control->blocking(0);

    return bless {
        name      => $name,
        protocol  => $protocol,
        port      => $port,
        control   => $control,
        commands  => '',
        behaviour => { mode => 'answer' },
        routes    => {},
        prefixes  => [],
        next      => [],
        conns     => {},
        timers    => [],
        log       => [],
        stats     => { accepted => 0, requests => 0, peer_closed => 0 },
    }, $class;
}


sub run($self) {
    $self->_listen;

    while ($self->{control}) {
        $self->_turn($self->_until_timer);
        $self->_expire;
        $self->_obey if $self->{control_ready};
    }

    return;
}


# One look at all sockets; true if there was anything to do. Connections
# are accepted last, so that one select cannot report a closed one's number.

sub _turn($self, $timeout) {
    my ($in, $out) = ('', '');
    my ($conns, $listener) = @$self{qw(conns listener)};

    vec($in, fileno($self->{control}), 1) = 1;
    vec($in, fileno($listener), 1) = 1 if $listener && !$self->{deaf};
    for my $fd (keys %$conns) {
        vec($in, $fd, 1) = 1 unless $conns->{$fd}{stalled};
        vec($out, $fd, 1) = 1 if length $conns->{$fd}{out};
    }

    my $n = select($in, $out, undef, $timeout);
    return 0 if $n <= 0;

    $self->{control_ready} = vec($in, fileno($self->{control}), 1);
    for my $fd (grep { $conns->{$_} } keys %$conns) {
        $self->_read($conns->{$fd}) if vec($in, $fd, 1);
        $self->_flush($conns->{$fd}) if $conns->{$fd} && vec($out, $fd, 1);
    }
    $self->_accept if $listener && vec($in, fileno($listener), 1);

    return $n > ($self->{control_ready} ? 1 : 0);
}


sub _accept($self) {
    while (accept my $socket, $self->{listener}) {
        $socket->blocking(0);
        $self->{stats}{accepted}++;

        my $conn = {
            socket   => $socket,
            fd       => fileno $socket,
            number   => $self->{stats}{accepted},
            requests => 0,
            in       => '',
            out      => '',
        };
        $self->{conns}{ $conn->{fd} } = $conn;
        $self->_read($conn);
    }

    return;
}


sub _read($self, $conn) {
    my $n = sysread $conn->{socket}, $conn->{in}, Canary::Backend::READ_SIZE,
        length $conn->{in};

    if (!defined $n) {
        return if $!{EAGAIN} || $!{EWOULDBLOCK} || $!{EINTR};
        $n = 0;
    }

    if ($n == 0) {
        $self->{stats}{peer_closed}++ if $conn->{busy};
        return $self->_close($conn);
    }

    return $self->_tunnel($conn) if $conn->{tunnel};

    return $self->_parse($conn);
}


# Takes the complete requests out of what has come, one at a time.

sub _parse($self, $conn) {
    if ($self->{behaviour}{mode} eq 'slam') {
        $conn->{in} = '';
        return $self->_request($conn, { method => '', uri => '',
                                        headers => {}, body => '' });
    }

    while (!$conn->{busy} && length $conn->{in}) {
        my $request = $self->{protocol}->parse($conn, sub ($request) {
            return $self->_peek($request)->{mode} eq 'stall_body';
        });

        $self->_flush($conn);
        last unless $request && $self->{conns}{ $conn->{fd} };

        $self->_request($conn, $request);
        last unless $self->{conns}{ $conn->{fd} };
    }

    return;
}


sub _peek($self, $request) {
    return $self->{next}[0] if @{ $self->{next} };

    for my $prefix (@{ $self->{prefixes} }) {
        return $self->{routes}{$prefix}
            if index($request->{uri}, $prefix) == 0;
    }

    return $self->{behaviour};
}


sub _request($self, $conn, $request) {
    my $behaviour = $self->_peek($request);

    shift @{ $self->{next} } if @{ $self->{next} };
    $conn->{requests}++;
    $conn->{busy} = 1;
    $self->{stats}{requests}++;

    push @{ $self->{log} }, { %$request{qw(method uri headers body)},
                              connection => $conn->{number} };
    shift @{ $self->{log} } if @{ $self->{log} } > Canary::Backend::LOGGED;

    my $nth = $behaviour->{nth};
    if ($nth && ++$behaviour->{seen} % $nth->{n} == 0) {
        $behaviour = { %$behaviour, %$nth };
    }

    $behaviour = { mode => 'close' }
        if $behaviour->{close_reused} && $request->{reused};

    my $delay = $behaviour->{delay_ms};
    return $self->_respond($conn, $request, $behaviour) unless $delay;

    return $self->_after($delay / 1000, $conn, sub {
        $self->_respond($conn, $request, $behaviour);
    });
}


sub _respond($self, $conn, $request, $behaviour) {
    my $mode = $behaviour->{mode};

    return $self->_close($conn) if $mode eq 'close' || $mode eq 'slam';
    return $self->_close($conn, 'reset') if $mode eq 'reset';
    return if $mode eq 'hang';
    return $conn->{stalled} = 1 if $mode eq 'stall_body';

    my ($head, $rest, $then)
        = $self->{protocol}->render($behaviour, $request);
    my $delay = $behaviour->{body_delay_ms};

    return $self->_send($conn, $head . $rest, $then) unless $delay;

    $self->_send($conn, $head, 'hang');

    return $self->_after($delay / 1000, $conn, sub {
        $self->_send($conn, $rest, $then);
    });
}


sub _send($self, $conn, $bytes, $then) {
    $conn->{out} .= $bytes;
    $conn->{then} = $then;

    return $self->_flush($conn);
}


sub _flush($self, $conn) {
    while (length $conn->{out}) {
        my $n = syswrite $conn->{socket}, $conn->{out};

        if (!defined $n) {
            return if $!{EAGAIN} || $!{EWOULDBLOCK} || $!{EINTR};
            return $self->_close($conn);
        }
        substr($conn->{out}, 0, $n, '');
    }

    my $then = delete $conn->{then} // return;

    if ($then eq 'close') {
        $self->_close($conn);

    } elsif ($then eq 'keep') {
        $conn->{busy} = 0;
        $self->_parse($conn);

    } elsif ($then eq 'tunnel') {
        $conn->{tunnel} = 1;
        $self->_tunnel($conn);
    }

    return;
}


sub _tunnel($self, $conn) {
    my $bytes = $conn->{in};
    $conn->{in} = '';

    return $self->_send($conn, $bytes, 'hang');
}


sub _close($self, $conn, $reset = 0) {
    delete $self->{conns}{ $conn->{fd} };

    return $reset ? close_with_reset($conn->{socket}) : close $conn->{socket};
}


# Timers of connections.

sub _after($self, $seconds, $conn, $code) {
    my $timers = $self->{timers};

    push @$timers, { at => now() + $seconds, conn => $conn, code => $code };
    @$timers = sort { $a->{at} <=> $b->{at} } @$timers;

    return;
}


sub _until_timer($self) {
    my $first = $self->{timers}[0] // return undef;

    return max(0, $first->{at} - now());
}


sub _expire($self) {
    my $timers = $self->{timers};

    while (@$timers && $timers->[0]{at} <= now()) {
        my $timer = shift @$timers;
        my $conn = $self->{conns}{ $timer->{conn}{fd} } // next;

        $timer->{code}->() if $conn == $timer->{conn};
    }

    return;
}


# Commands of the test. Before each, what has reached the sockets is taken
# in, so that a counter misses nothing and a change touches nothing earlier.

sub _obey($self) {
    my $n = sysread $self->{control}, $self->{commands}, 65536,
        length $self->{commands};

    $self->{control_ready} = 0;
    return undef $self->{control} if defined $n && $n == 0;

    while ($self->{commands} =~ s/^(.*)\n//) {
        my $arg = $json->decode($1);

        for (1 .. 1000) {
            last unless $self->_turn(0);
        }

        my $code = $self->can("_command_$arg->{command}");
        my $answer = $json->encode({ answer => $code->($self, $arg) });

        $self->{control}->blocking(1);
        syswrite $self->{control}, "$answer\n";
        $self->{control}->blocking(0);
    }

    return;
}


sub _command_set($self, $arg) {
    $self->{behaviour} = $self->_behaviour($arg);
    $self->_listen;

    return 1;
}


sub _command_on($self, $arg) {
    $self->{routes}{ $arg->{prefix} } = $self->_behaviour($arg);
    $self->{prefixes} = [ sort { length $b <=> length $a }
                          keys %{ $self->{routes} } ];

    return 1;
}


sub _command_next($self, $arg) {
    $self->{next} = [ ($self->_behaviour($arg)) x $arg->{n} ];

    return 1;
}


sub _command_stats($self, $arg) {
    return { %{ $self->{stats} }, open => scalar keys %{ $self->{conns} } };
}


sub _command_log($self, $arg) {
    return $self->{log};
}


sub _behaviour($self, $arg) {
    return { mode => 'answer', name => $self->{name},
             %{ $arg->{behaviour} } };
}


# Opens, closes or blocks the port, as the behaviour has it.

sub _listen($self) {
    my $mode = $self->{behaviour}{mode};
    my $wanted = $mode eq 'refuse' || $mode eq 'blackhole' ? $mode : 'listen';

    return if ($self->{port_state} // '') eq $wanted;
    $self->{port_state} = $wanted;

    undef $self->{listener};
    $self->{deaf} = $wanted eq 'blackhole';

    if ($wanted eq 'listen') {
        $self->{listener} = listen_on($self->{port});
        $self->{plugs} = [];
        return;
    }

    $self->_close($_) for values %{ $self->{conns} };

    if ($wanted eq 'blackhole') {
        # A full queue of connections that nobody accepts: more get no answer.
        $self->{listener} = listen_on($self->{port}, 0);
        $self->{plugs} = [ connect_to($self->{port}) ];
    }

    return;
}


1;
