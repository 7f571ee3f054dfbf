package Canary::Client;

# An HTTP/1.1 client: one connection that can be driven step by step, kept
# open, and opened again when the server closed it between two requests.
#
#   my $client = Canary::Client->new($port);
#   my $response = $client->get('/uri', headers => { 'X-Key' => 'a' });
#   $response->status, ->header('X-Release'), ->body, ->json, ->error
#
# A request is: method, uri, host, headers (a hash or a list), body (sent with
# its length), close (ask the server to close; default 0), timeout.

use v5.36;

use Carp qw(croak);
use Errno qw(ECONNRESET EPIPE);
use IO::Handle;

use Canary::Util qw(close_with_reset connect_to now patience);

use constant {
    READ_SIZE => 65536,
    TIMEOUT   => 10,
};


# `local` is the loopback address to come from.

sub new($class, $port, %opt) {
    return bless {
        port     => $port,
        in       => '',
        method   => 'GET',
        timeout  => TIMEOUT,
        answered => 0,
        retried  => 0,
        %opt,
    }, $class;
}


sub get($self, $uri, %request) {
    return $self->request(uri => $uri, %request);
}


# One request and its answer. A connection that the server closed after an
# earlier answer and before any byte of this one is opened again, once: that
# race is HTTP's own.

sub request($self, %request) {
    my $reused = $self->{socket} && $self->{answered};

    $self->start(%request);
    my $response = $self->finish;

    if ($reused && ($response->error // '') =~ /^(closed|reset)$/) {
        $self->{retried}++;
        $self->start(%request);
        $response = $self->finish;
    }

    return $response;
}


# The same in two steps; in between the request is on its way.

sub start($self, %request) {
    $self->connect unless $self->{socket};

    my $host = $request{host} // "127.0.0.1:$self->{port}";
    $self->{method} = $request{method} // 'GET';
    $self->{timeout} = patience($request{timeout} // TIMEOUT);
    $self->{in} = '';

    return $self->write(encode_request(%request, host => $host));
}


sub finish($self) {
    my $deadline = now() + $self->{timeout};
    my ($eof, $error);

    while (1) {
        my $response = parse_response(\$self->{in}, $self->{method}, $eof);

        if ($response) {
            $response->{error} = $error if $error && $response->{error};
            $self->{answered}++;
            $self->close unless $response->{keep};
            return $response;
        }

        ($eof, $error) = $self->_more($deadline);
    }
}


sub connect($self) {
    $self->close;
    $self->{answered} = 0;
    $self->{socket} = connect_to($self->{port}, local => $self->{local});

    return $self;
}


sub write($self, $bytes) {
    my $socket = $self->{socket} // return $self;    # refused: finish says so

    local $SIG{PIPE} = 'IGNORE';
    while (length $bytes) {
        my $n = syswrite $socket, $bytes;

        last unless defined $n;                      # finish reads the reason
        substr($bytes, 0, $n, '');
    }

    return $self;
}


# What has come and what comes, up to $size bytes: for tunnels and raw answers.

sub read_bytes($self, $size) {
    my $deadline = now() + patience(TIMEOUT);
    my $eof;

    ($eof) = $self->_more($deadline)
        until $eof || length $self->{in} >= $size;

    return substr($self->{in}, 0, $size, '');
}


sub close($self) {
    my $socket = delete $self->{socket};
    CORE::close $socket if $socket;

    return;
}


sub reset($self) {
    my $socket = delete $self->{socket};
    close_with_reset($socket) if $socket;

    return;
}


# Reads once: (at the end?, the error).

sub _more($self, $deadline) {
    my $socket = $self->{socket} // return (1, 'refused');
    my $ready = '';
    my $left = $deadline - now();

    vec($ready, fileno($socket), 1) = 1;
    if ($left <= 0 || select($ready, undef, undef, $left) <= 0) {
        return $left <= 0 || now() >= $deadline ? (1, 'timeout') : ();
    }

    my $n = sysread $socket, $self->{in}, READ_SIZE, length $self->{in};
    return if $n;
    return (1, defined $n ? undef : $!{ECONNRESET} ? 'reset' : "$!");
}


# Shared with the load generator.

sub encode_request(%request) {
    my $method = $request{method} // 'GET';
    my $uri = $request{uri} // '/';
    my $headers = $request{headers} // {};
    my @headers = ref $headers eq 'HASH'
        ? map { $_ => $headers->{$_} } sort keys %$headers
        : @$headers;
    my $head = "$method $uri HTTP/1.1\r\nHost: $request{host}\r\n";

    push @headers, Connection => 'close' if $request{close};
    push @headers, 'Content-Length' => length $request{body}
        if defined $request{body};

    while (my ($name, $value) = splice @headers, 0, 2) {
        $head .= "$name: $value\r\n";
    }

    return "$head\r\n" . ($request{body} // '');
}


# Takes an answer out of the buffer: undef while it is incomplete. At the end
# of the connection an incomplete answer is one with an error: `closed` before
# any byte, `no status line`, `short header`, `short body`.

sub parse_response($buffer, $method, $eof) {
    my $end = index($$buffer, "\r\n\r\n");

    if ($end < 0 || substr($$buffer, 0, 5) ne 'HTTP/') {
        return undef unless $eof;
        return Canary::Response->new(error => 'closed') if $$buffer eq '';
        return Canary::Response->new(error => 'no status line',
                                     body => $$buffer)
            if substr($$buffer, 0, 5) ne 'HTTP/';
        return Canary::Response->new(error => 'short header');
    }

    my $head = substr($$buffer, 0, $end);
    my (undef, $status) = split / /, $head, 3;
    my $after = $end + 4;

    if ($status >= 100 && $status < 200 && $status != 101) {
        substr($$buffer, 0, $after, '');
        return parse_response($buffer, $method, $eof);
    }

    my $keep = $head !~ /^Connection:\s*close/mi;
    my ($body, $complete) = _response_body($buffer, \$after, $head, $status,
                                           $method, $eof);
    return undef unless $complete || $eof;

    substr($$buffer, 0, $after, '');

    return Canary::Response->new(
        status => $status,
        head   => $head,
        body   => $body,
        keep   => $keep && $complete && !$eof,
        $complete ? () : (error => 'short body'),
    );
}


# (body, is it complete?); moves $$after to its end.

sub _response_body($buffer, $after, $head, $status, $method, $eof) {
    return ('', 1) if $method eq 'HEAD' || $status =~ /^(?:1..|204|304)$/;

    if ($head =~ /^Transfer-Encoding:\s*chunked/mi) {
        return _chunked_body($buffer, $after);
    }

    if ($head =~ /^Content-Length:\s*(\d+)/mi) {
        my $complete = length($$buffer) >= $$after + $1;
        my $body = substr($$buffer, $$after, $1);

        $$after += length $body;
        return ($body, $complete);
    }

    my $body = substr($$buffer, $$after);
    $$after += length $body;

    return ($body, $eof);
}


# Trailers are skipped.

sub _chunked_body($buffer, $after) {
    my $body = '';
    my $at = $$after;

    pos($$buffer) = $at;
    while ($$buffer =~ /\G([0-9a-fA-F]+)[^\r\n]*\r\n/gc) {
        my ($size, $start) = (hex $1, pos $$buffer);

        if ($size == 0) {
            return ($body, 0)
                unless $$buffer =~ /\G(?:[^\r\n]+\r\n)*\r\n/gc;
            $$after = pos $$buffer;
            return ($body, 1);
        }

        $body .= substr($$buffer, $start, $size);
        last if length($$buffer) < $start + $size + 2;
        pos($$buffer) = $start + $size + 2;
    }

    return ($body, 0);
}


package Canary::Response;

use Carp qw(croak);
use JSON::PP ();


sub new($class, %self) {
    return bless { status => 0, head => '', body => '', keep => 0, %self },
        $class;
}


sub status($self) { return $self->{status} }
sub body($self)   { return $self->{body} }
sub error($self)  { return $self->{error} }
sub head($self)   { return $self->{head} }


# The values of a header joined by a comma, '' if there is none.

sub header($self, $name) {
    return join ', ', $self->{head} =~ /^\Q$name\E:[ \t]*(.*?)\r?$/mig;
}


sub json($self) {
    my $value = eval { JSON::PP->new->utf8->decode($self->{body}) };

    return $value // croak "no JSON in a $self->{status}: $self->{body}";
}


1;
