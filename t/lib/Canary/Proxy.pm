package Canary::Proxy;

=head1 NAME

Canary::Proxy - stands between a client and a server, and may be in the way

=head1 SYNOPSIS

    my $proxy = Canary::Proxy->new($server_socket);
    my $address = 'redis://127.0.0.1:' . $proxy->port;

    $proxy->cut;     # connections are closed, new ones too
    $proxy->hole;    # nothing comes through; it may do so later
    $proxy->slow(300);
    $proxy->pass;

=head1 DESCRIPTION

It listens on a port of the loopback and connects to the server's socket: a
path, or a port of the loopback. Each method returns when it is so. What was
held in a hole comes through when it is left by pass(); leave() closes these
connections instead. slow() lets all bytes wait for so many ms. turn_to() sends
new connections to another server, and closes those that there are.

It is a process of its own, and ends with the object.

=cut

use v5.36;

use Carp qw(croak);
use IO::Handle;
use IO::Select;
use IO::Socket::UNIX;
use Socket qw(AF_UNIX PF_UNSPEC SOCK_STREAM);

use Canary::Util qw(connect_to fork_child listen_on now reserve_port);

use constant SIZE => 65536;


sub new($class, $server) {
    my ($port, $guard) = reserve_port();

    socketpair my $ours, my $theirs, AF_UNIX, SOCK_STREAM, PF_UNSPEC
        or croak "socketpair: $!";

    my $self = bless { port => $port, guard => $guard, owner => $$,
                       control => $ours }, $class;

    my $listener = listen_on($port);

    $self->{pid} = fork_child(sub () {
        close $ours;
        _run($listener, $theirs, $server);
    });

    return $self;
}


sub port($self) { return $self->{port} }
sub pass($self) { return $self->_tell('pass') }
sub cut($self) { return $self->_tell('cut') }
sub hole($self) { return $self->_tell('hole') }
sub slow($self, $ms) { return $self->_tell("slow $ms") }
sub turn_to($self, $server) { return $self->_tell("turn $server") }


sub leave($self) {
    $self->cut;

    return $self->pass;
}


sub _tell($self, $what) {
    my $control = $self->{control};

    syswrite $control, "$what\n";
    sysread $control, my $done, 1 or croak 'the proxy has ended';

    return $self;
}


sub DESTROY($self) {
    return if $$ != $self->{owner} || !$self->{pid};

    local ($?, $!);
    kill KILL => $self->{pid};
    waitpid $self->{pid}, 0;

    return;
}


# The child. A pair is two sockets, each with the other; what waits is a list
# of when, to whom and what.

sub _run($listener, $control, $server) {
    my ($mode, $ms, %peer, @waiting) = ('pass', 0);

    my $close = sub ($socket) {
        my $other = delete $peer{$socket} // return;

        delete $peer{$other};
        @waiting = grep { $_->[1] != $socket && $_->[1] != $other } @waiting;
        close $_ for $socket, $other;
    };

    while (1) {
        my $select = IO::Select->new($control);
        $select->add($listener, values %peer) if $mode ne 'hole';

        my $wait = @waiting && $mode ne 'hole' ? $waiting[0][0] - now() : 1;

        for my $from ($select->can_read($wait > 0 ? $wait : 0)) {
            if ($from == $control) {
                my $n = sysread $from, my $line, SIZE or return;

                ($mode, my $what) = $line =~ /^(\w+)(?: (\S+))?$/;
                $ms = $mode eq 'slow' ? $what : 0;
                $server = $what if $mode eq 'turn';

                if ($mode =~ /^(?:cut|turn)$/) {
                    my @all = values %peer;

                    $close->($_) for @all;
                }
                syswrite $from, '.';
                last;
            }

            if ($from == $listener) {
                my $client = _accept($listener) // next;
                my $to = $mode eq 'cut' ? undef : _connect($server);

                @peer{ $client, $to } = ($to, $client) if $to;
                close $client unless $to;
                next;
            }

            my $to = $peer{$from} // next;
            my $n = sysread $from, my $bytes, SIZE;

            if (!$n) {
                $close->($from);

            } else {
                push @waiting, [ now() + $ms / 1000, $to, $bytes ];
            }
        }

        while (@waiting && $mode ne 'hole' && $waiting[0][0] <= now()) {
            my (undef, $to, $bytes) = @{ shift @waiting };

            syswrite $to, $bytes;
        }
    }
}


sub _accept($listener) {
    accept my $client, $listener or return;

    return $client;
}


sub _connect($server) {
    return $server =~ m{/} ? IO::Socket::UNIX->new(Peer => $server)
        : connect_to($server);
}


1;
