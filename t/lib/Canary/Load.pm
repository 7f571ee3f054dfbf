package Canary::Load;

# A closed-loop load generator in a process of its own: a number of
# connections, each with one request at a time.
#
#   my $load = Canary::Load->new(port => $port, connections => 4,
#                                count => 2000, by => ['X-Release']);
#   my $result = $load->result;     # waits until the count is reached
#
#   my $load = Canary::Load->new(port => $port, connections => 4);
#   $load->wait_requests(100);      # until so many more have been answered
#   my $result = $load->stop;       # ends after the requests on their way
#
# It takes: port; connections (1); count, else it goes on until it is stopped;
# seconds (60), a limit in any case; rate, the most requests a second; close,
# one request a connection; request, a hash as Canary::Client takes it, its
# `uri` perhaps a sub that is given the request's number; by, names of headers
# whose values are counted; by_body; sequence, a header whose values are kept
# in the order of the answers.
#
# The result is a hash: requests (answered), statuses { 200 => n }, by { name
# => { value => n } }, bodies { text => n }, sequence [ ... ], errors { text
# => n } and their sum failed, retried (requests sent again because a reused
# connection was closed before any byte of an answer), timed_out.

use v5.36;

use Carp qw(croak);
use Errno qw(EAGAIN ECONNRESET EINTR EWOULDBLOCK);
use Fcntl qw(SEEK_SET);
use File::Temp ();
use IO::Handle;
use JSON::PP ();
use List::Util qw(min);

use Canary::Client;
use Canary::Util qw(connect_to fork_child now patience pause wait_for);

use constant {
    READ_SIZE       => 65536,
    REQUEST_TIMEOUT => patience(10),
};

my $json = JSON::PP->new->latin1->canonical;


sub new($class, %arg) {
    my $file = File::Temp->new;    # 8 bytes of progress, then the result
    my $self = bless { file => $file, %arg }, $class;

    $self->{connections} //= 1;
    $self->{seconds} //= patience(60);
    $self->{request} //= {};
    syswrite $file, pack 'Q', 0;

    my $owner = $$;
    $self->{owner} = $owner;
    $self->{pid} = fork_child(sub {
        $SIG{TERM} = sub { $self->{stopping} = 1 };
        $self->_run;
        $self->_write_result;
    });

    return $self;
}


# How many requests have been answered, rightly or not, so far.

sub progress($self) {
    open my $in, '<', $self->{file}->filename or return 0;
    sysread $in, my $bytes, 8;

    return unpack 'Q', $bytes;
}


sub wait_requests($self, $n, $timeout = 20) {
    my $wanted = $self->progress + $n;

    return wait_for(sub { $self->progress >= $wanted }, $timeout,
                    "$n more requests of the load");
}


sub stop($self) {
    kill TERM => $self->{pid} if $self->{pid};

    return $self->result;
}


sub result($self) {
    return $self->{result} if $self->{result};

    my $pid = delete $self->{pid};
    waitpid $pid, 0;
    croak "the load generator ended with status $?" if $?;

    open my $in, '<', $self->{file}->filename or croak "load result: $!";
    local $/;
    my $text = <$in>;

    return $self->{result} = $json->decode(substr($text, 8));
}


sub DESTROY($self) {
    return unless $self->{pid} && $self->{owner} == $$;

    local $?;
    kill KILL => $self->{pid};
    waitpid $self->{pid}, 0;

    return;
}


# The child.

sub _run($self) {
    $self->{count_up} = 0;
    $self->{started} = now();
    $self->{deadline} = now() + $self->{seconds};
    $self->{answer} = {
        requests => 0, statuses => {}, by => {}, bodies => {}, errors => {},
        sequence => [], failed => 0, retried => 0, timed_out => 0,
    };

    my %conns;
    for my $number (1 .. $self->{connections}) {
        $conns{$number} = { number => $number };
    }

    while (%conns) {
        $self->_begin($_) for grep { !$_->{busy} } values %conns;
        delete @conns{ grep { $conns{$_}{ended} } keys %conns };
        $self->_turn(values %conns) if %conns;

        if (now() > $self->{deadline} && !$self->{stopping}) {
            $self->{answer}{timed_out} = 1;
            $self->{stopping} = 1;
        }
    }

    return;
}


# The next request of a connection, if there is one more to send.

sub _begin($self, $conn) {
    return $conn->{ended} = 1 if $self->{stopping};

    my $n = $self->{count_up};
    return $conn->{ended} = 1
        if defined $self->{count} && $n >= $self->{count};
    return if $self->{rate}
        && $n >= (now() - $self->{started}) * $self->{rate};

    $self->{count_up}++;

    my $request = $self->{request};
    my $uri = $request->{uri} // '/';

    $conn->{method} = $request->{method} // 'GET';
    $conn->{bytes} = Canary::Client::encode_request(
        host  => "127.0.0.1:$self->{port}",
        %$request,
        uri   => ref $uri ? $uri->($n) : $uri,
        close => $self->{close},
    );

    return $self->_send($conn);
}


sub _send($self, $conn) {
    $conn->{reused} = defined $conn->{socket};

    if (!$conn->{socket}) {
        $conn->{socket} = connect_to($self->{port})
            // return $self->_failed($conn, "connect: $!");
        $conn->{socket}->blocking(0);
    }

    $conn->{in} = '';
    $conn->{busy} = 1;
    $conn->{since} = now();
    $conn->{out} = $conn->{bytes};

    return $self->_write($conn);
}


sub _write($self, $conn) {
    my $n = syswrite $conn->{socket}, $conn->{out};

    substr($conn->{out}, 0, $n, '') if defined $n;

    return if defined $n || $!{EAGAIN} || $!{EWOULDBLOCK} || $!{EINTR};

    $conn->{out} = '';    # the read tells why
    return;
}


sub _turn($self, @conns) {
    my ($in, $out) = ('', '');
    my @busy = grep { $_->{busy} } @conns;

    for my $conn (@busy) {
        vec($in, fileno($conn->{socket}), 1) = 1;
        vec($out, fileno($conn->{socket}), 1) = 1 if length $conn->{out};
    }

    my $wait = @busy < @conns ? 0.002 : 0.5;
    my $n = select($in, $out, undef, $wait);
    my $now = now();

    for my $conn (@busy) {
        my $fd = fileno $conn->{socket};

        if ($n > 0 && vec($out, $fd, 1)) {
            $self->_write($conn);
        }
        if ($n > 0 && vec($in, $fd, 1)) {
            $self->_read($conn);

        } elsif ($now - $conn->{since} > REQUEST_TIMEOUT) {
            $self->_failed($conn, 'timeout');
        }
    }

    return;
}


sub _read($self, $conn) {
    my $n = sysread $conn->{socket}, $conn->{in}, READ_SIZE,
        length $conn->{in};
    my $reset = !defined $n && $!{ECONNRESET};

    return if !defined $n && !$reset && ($!{EAGAIN} || $!{EINTR});

    my $eof = !$n;
    my $response = Canary::Client::parse_response(
        \$conn->{in}, $conn->{method}, $eof) // return;
    my $error = $response->error;

    if (defined $error) {
        if ($error eq 'closed' && $conn->{reused}) {
            $self->{answer}{retried}++;
            close delete $conn->{socket};
            return $self->_send($conn);
        }
        $error = 'reset' if $reset;
        return $self->_failed($conn, $error);
    }

    $self->_answered($response);
    $conn->{busy} = 0;
    close delete $conn->{socket} unless $response->{keep};

    return;
}


sub _answered($self, $response) {
    my $answer = $self->{answer};

    $answer->{requests}++;
    $answer->{statuses}{ $response->status }++;
    $answer->{by}{$_}{ $response->header($_) }++ for @{ $self->{by} // [] };
    $answer->{bodies}{ $response->body }++ if $self->{by_body};
    push @{ $answer->{sequence} }, $response->header($self->{sequence})
        if defined $self->{sequence};

    return $self->_progress;
}


sub _failed($self, $conn, $error) {
    $self->{answer}{errors}{$error}++;
    $self->{answer}{failed}++;
    $conn->{busy} = 0;

    my $socket = delete $conn->{socket};
    if ($socket) {
        close $socket;

    } else {
        pause(0.01);    # refused: nothing else slows the loop down
    }

    return $self->_progress;
}


sub _progress($self) {
    my $answer = $self->{answer};

    sysseek $self->{file}, 0, SEEK_SET;
    syswrite $self->{file},
        pack 'Q', $answer->{requests} + $answer->{failed};

    return;
}


sub _write_result($self) {
    sysseek $self->{file}, 8, SEEK_SET;
    my $text = $json->encode($self->{answer});

    syswrite($self->{file}, $text) == length $text
        or croak "load result: $!";

    return;
}


1;
