package Canary::Util;

# Small things that every part of the harness needs: ports, waiting, forking.

use v5.36;

use Carp qw(croak);
use Exporter qw(import);
use IO::Handle;
use POSIX ();
use Socket qw(
    AF_INET INADDR_LOOPBACK IPPROTO_TCP SOCK_STREAM SOL_SOCKET SO_LINGER
    SO_REUSEADDR TCP_NODELAY inet_aton inet_ntoa pack_sockaddr_in
    unpack_sockaddr_in
);
use Time::HiRes qw(CLOCK_MONOTONIC clock_gettime);

our @EXPORT_OK = qw(
    close_with_reset connect_to fork_child listen_on now pause reserve_port
    patience wait_for
);

use constant LOOPBACK => inet_ntoa(INADDR_LOOPBACK);


# How long to wait for what takes that long at most on a quiet machine. Others
# may have most of this one, and in valgrind nginx is many times slower: only
# what hangs is to reach a limit.

sub patience($seconds) {
    return 10 * $seconds;
}


# Seconds of the monotonic clock, with a fraction.

sub now() {
    return clock_gettime(CLOCK_MONOTONIC);
}


sub pause($seconds) {
    select undef, undef, undef, $seconds;

    return;
}


# Polls until the condition is true and returns its value; dies when it never
# is, naming what was waited for: after $timeout seconds of a quiet machine.

sub wait_for($condition, $timeout = 10, $what = 'a condition') {
    my $deadline = now() + patience($timeout);

    while (1) {
        my $value = $condition->();
        return $value if $value;

        croak "timed out after " . patience($timeout) . " s waiting for $what"
            if now() > $deadline;
        pause(0.01);
    }
}


# A loopback port for one test: ($port, $guard). The guard is a socket that is
# bound but does not listen: while it lives nobody else is given the port, a
# connection to it is refused, and whoever sets SO_REUSEADDR, as nginx and the
# backends do, can listen on it.

sub reserve_port() {
    my $guard = _bound_socket(0);
    my ($port) = unpack_sockaddr_in(getsockname($guard));

    return ($port, $guard);
}


# A non-blocking listening socket on a reserved port.

sub listen_on($port, $backlog = 511) {
    my $listener = _bound_socket($port);

    listen($listener, $backlog) or croak "listen on port $port: $!";
    $listener->blocking(0);

    return $listener;
}


sub _bound_socket($port) {
    socket(my $socket, AF_INET, SOCK_STREAM, 0) or croak "socket: $!";
    setsockopt($socket, SOL_SOCKET, SO_REUSEADDR, 1)
        or croak "SO_REUSEADDR: $!";
    bind($socket, pack_sockaddr_in($port, inet_aton(LOOPBACK)))
        or croak "bind to port $port: $!";

    return $socket;
}


# A blocking connected socket, or undef with $! set. `local` is the loopback
# address to come from.

sub connect_to($port, %opt) {
    socket(my $socket, AF_INET, SOCK_STREAM, 0) or croak "socket: $!";

    if (defined $opt{local}) {
        bind($socket, pack_sockaddr_in(0, inet_aton($opt{local})))
            or croak "bind to $opt{local}: $!";
    }

    connect($socket, pack_sockaddr_in($port, inet_aton(LOOPBACK)))
        or return undef;
    setsockopt($socket, IPPROTO_TCP, TCP_NODELAY, 1);

    return $socket;
}


sub close_with_reset($socket) {
    setsockopt($socket, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0));
    close $socket;

    return;
}


# Runs $code in a child process that leaves the test's handlers, output and
# END blocks alone; returns its pid.

sub fork_child($code) {
    my $pid = fork() // croak "fork: $!";
    return $pid if $pid;

    delete @SIG{qw(__DIE__ __WARN__)};
    $SIG{$_} = 'DEFAULT' for qw(ALRM CHLD HUP TERM);
    $SIG{$_} = 'IGNORE' for qw(INT PIPE);    # the test tells it to end
    open STDIN, '<', '/dev/null';
    open STDOUT, '>', '/dev/null';           # prove waits for its end

    my $done = eval { $code->(); 1 };
    print STDERR "child $$: $@" unless $done;

    POSIX::_exit($done ? 0 : 1);
}


1;
