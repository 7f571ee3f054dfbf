package Canary::Protocol;

# What a backend speaks. Each protocol turns the bytes of a connection into
# requests and a behaviour into the bytes of an answer:
#
#   parse($conn, $early)     takes one request out of $conn->{in} and returns
#                            it as { method, uri, headers, body, reused }, or
#                            undef while it is incomplete. $early->($request),
#                            where the protocol has a header, may ask for the
#                            request before its body has come.
#   render($behaviour, $request)
#                            returns (head, rest, what then): the head is sent
#                            at once, the rest perhaps later, and then the
#                            connection is kept, closed or left to hang.

use v5.36;

use Carp qw(croak);

my %protocols = (
    fastcgi   => 'Canary::Protocol::FastCGI',
    grpc      => 'Canary::Protocol::GRPC',
    http      => 'Canary::Protocol::HTTP',
    memcached => 'Canary::Protocol::Memcached',
    scgi      => 'Canary::Protocol::SCGI',
    uwsgi     => 'Canary::Protocol::Uwsgi',
);


sub of($name) {
    return $protocols{$name} // croak "unknown protocol '$name'";
}


sub pairs($headers) {
    return ref $headers eq 'HASH'
        ? map { $_ => $headers->{$_} } sort keys %$headers
        : @{ $headers // [] };
}


package Canary::Protocol::HTTP;

use Carp qw(croak);

my %reasons = (
    101 => 'Switching Protocols', 200 => 'OK', 204 => 'No Content',
    302 => 'Found', 304 => 'Not Modified', 404 => 'Not Found',
    500 => 'Internal Server Error', 503 => 'Service Unavailable',
);

# The ways of a backend to answer, `mode` of a behaviour.
my %modes = (
    answer        => \&_answer,
    bad_chunk     => \&_bad_chunk,
    bad_header    => \&_bad_header,
    big_header    => \&_big_header,
    hang_body     => \&_hang_body,
    no_status     => \&_no_status,
    short         => \&_short,
    short_chunked => \&_short_chunked,
    until_close   => \&_until_close,
    upgrade       => \&_upgrade,
);


sub parse($class, $conn, $early) {
    my $end = index($conn->{in}, "\r\n\r\n");
    return undef if $end < 0;

    my ($line, @lines) = split /\r\n/, substr($conn->{in}, 0, $end);
    my ($method, $uri, $version) = split / /, $line // '';
    my %headers;

    for (@lines) {
        my ($name, $value) = /^([^:]+):\s*(.*)$/s or next;
        $name = lc $name;
        $headers{$name} = exists $headers{$name}
            ? "$headers{$name}, $value" : $value;
    }

    my $request = {
        method  => $method // '',
        uri     => $uri // '',
        headers => \%headers,
        body    => '',
        reused  => $conn->{requests} > 0,
        close   => ($version // '') eq 'HTTP/1.0'
            || lc($headers{connection} // '') eq 'close',
    };

    if ($early->($request)) {
        $conn->{in} = '';
        return $request;
    }

    my $after = $end + 4;
    my $length = $headers{'content-length'} // 0;

    if (lc($headers{'transfer-encoding'} // '') eq 'chunked') {
        ($request->{body}, $after) = _read_chunks($conn->{in}, $after);
        return undef unless defined $after;

    } elsif ($length) {
        return undef if length($conn->{in}) < $after + $length;

        $request->{body} = substr($conn->{in}, $after, $length);
        $after += $length;
    }

    substr($conn->{in}, 0, $after, '');

    return $request;
}


sub _read_chunks($in, $at) {
    my $body = '';

    while (substr($in, $at) =~ /^([0-9a-fA-F]+)[^\r\n]*\r\n/) {
        my ($size, $start) = (hex $1, $at + $+[0]);
        return if length($in) < $start + $size + 2;

        return ($body, $start + 2) if $size == 0;
        $body .= substr($in, $start, $size);
        $at = $start + $size + 2;
    }

    return;
}


sub render($class, $behaviour, $request) {
    my $mode = $behaviour->{mode};
    my $code = $modes{$mode} // croak "unknown mode '$mode'";

    return $code->($behaviour, $request);
}


sub _head($behaviour, $request, $status, @headers) {
    my $reason = $reasons{$status} // 'Whatever';
    my $head = "HTTP/1.1 $status $reason\r\n";

    push @headers, 'X-Backend' => $behaviour->{name},
        Canary::Protocol::pairs($behaviour->{headers});
    for my $name (@{ $behaviour->{echo} // [] }) {
        my $value = $request->{headers}{ lc $name } // next;
        push @headers, "X-Echo-$name" => $value;
    }

    while (my ($name, $value) = splice @headers, 0, 2) {
        $head .= "$name: $value\r\n";
    }

    return "$head\r\n";
}


sub _body($behaviour) {
    return 'x' x $behaviour->{body_size} if $behaviour->{body_size};
    return $behaviour->{body} // $behaviour->{name};
}


sub _keeps($behaviour, $request) {
    return ($behaviour->{keepalive} // 1) && !$request->{close};
}


sub _connection($keep) {
    return (Connection => $keep ? 'keep-alive' : 'close');
}


sub _answer($behaviour, $request) {
    my $status = $behaviour->{status} // 200;
    my $body = _body($behaviour);
    my $keep = _keeps($behaviour, $request);
    my @length = $behaviour->{chunked}
        ? ('Transfer-Encoding' => 'chunked')
        : ('Content-Length' => length $body);

    if ($status == 204 || $status == 304) {
        @length = ();
        $body = '';
    }

    my $head = _head($behaviour, $request, $status, @length,
                     _connection($keep));

    if ($request->{method} eq 'HEAD') {
        $body = '';

    } elsif ($behaviour->{chunked}) {
        $body = sprintf "%x\r\n%s\r\n0\r\n\r\n", length $body, $body;
    }

    return ($head, $body, $keep ? 'keep' : 'close');
}


sub _bad_header($behaviour, $request) {
    return ("HTTP/1.1 200 OK\r\nBad\x01Header Line\r\n\r\n", 'bad', 'close');
}


sub _big_header($behaviour, $request) {
    my $head = _head($behaviour, $request, 200, 'X-Big' => 'x' x 100_000);

    return ($head, '', 'close');
}


sub _no_status($behaviour, $request) {
    return ("no status line here\n", '', 'close');
}


# A body that ends with the connection.

sub _until_close($behaviour, $request) {
    my $head = _head($behaviour, $request, $behaviour->{status} // 200,
                     _connection(0));

    return ($head, _body($behaviour), 'close');
}


# A body whose end does not come: the connection is closed.

sub _short($behaviour, $request) {
    my $head = _head($behaviour, $request, 200, 'Content-Length' => 1000);

    return ($head, 'short', 'close');
}


sub _short_chunked($behaviour, $request) {
    my $head = _head($behaviour, $request, 200,
                     'Transfer-Encoding' => 'chunked');

    return ($head, "5\r\nshort\r\n", 'close');
}


sub _bad_chunk($behaviour, $request) {
    my $head = _head($behaviour, $request, 200,
                     'Transfer-Encoding' => 'chunked');
    my $body = $behaviour->{body} || $behaviour->{body_size}
        ? _body($behaviour) : 'short';

    return ($head, sprintf("%x\r\n%s\r\nno hex digits here\r\n",
                           length $body, $body), 'close');
}


# A body whose end does not come: the connection stays.

sub _hang_body($behaviour, $request) {
    my $head = _head($behaviour, $request, 200,
                     'Content-Length' => 1_000_000);

    return ($head, 'x' x 1000, 'hang');
}


# A tunnel that echoes what comes.

sub _upgrade($behaviour, $request) {
    my $head = _head($behaviour, $request, 101, Connection => 'upgrade',
                     Upgrade => $request->{headers}{upgrade} // 'echo');

    return ($head, '', 'tunnel');
}


# The CGI family: SCGI, uwsgi and FastCGI answer with a header without a status
# line. Their requests carry the variables of CGI, the `headers` are these.

package Canary::Protocol::CGI;

use Carp qw(croak);


sub _cgi_request($vars, $body) {
    return {
        method  => $vars->{REQUEST_METHOD} // '',
        uri     => $vars->{REQUEST_URI} // $vars->{SCRIPT_NAME} // '',
        headers => $vars,
        body    => $body,
        reused  => 0,
    };
}


sub _cgi_answer($behaviour, $request) {
    my $status = $behaviour->{status} // 200;
    my $body = Canary::Protocol::HTTP::_body($behaviour);
    my @headers = ('X-Backend' => $behaviour->{name},
                   Canary::Protocol::pairs($behaviour->{headers}));
    my $head = "Status: $status Whatever\r\nContent-Type: text/plain\r\n";

    for my $name (@{ $behaviour->{echo} // [] }) {
        my $value = $request->{headers}{$name} // next;
        push @headers, "X-Echo-$name" => $value;
    }
    while (my ($name, $value) = splice @headers, 0, 2) {
        $head .= "$name: $value\r\n";
    }

    return ("$head\r\n", $body);
}


sub render($class, $behaviour, $request) {
    my $mode = $behaviour->{mode};
    my ($head, $body) = _cgi_answer($behaviour, $request);

    return ($head, $body, 'close') if $mode eq 'answer';
    return ("Bad\x01Header Line\r\n\r\n", 'bad', 'close')
        if $mode eq 'bad_header';

    croak "unknown mode '$mode'";
}


package Canary::Protocol::SCGI;

use parent -norequire, 'Canary::Protocol::CGI';


# A netstring of names and values that end with NUL, then the body.

sub parse($class, $conn, $early) {
    return undef unless $conn->{in} =~ /^(\d+):/;

    my ($size, $start) = ($1, $+[0]);
    return undef if length($conn->{in}) <= $start + $size;

    my %vars = unpack '(Z*)*', substr($conn->{in}, $start, $size);

    my $after = $start + $size + 1;
    my $length = $vars{CONTENT_LENGTH} || 0;
    return undef if length($conn->{in}) < $after + $length;

    my $body = substr($conn->{in}, $after, $length);
    $conn->{in} = '';

    return Canary::Protocol::CGI::_cgi_request(\%vars, $body);
}


package Canary::Protocol::Uwsgi;

use parent -norequire, 'Canary::Protocol::CGI';


# A header of four bytes, names and values each after its length (two bytes,
# little endian), then the body.

sub parse($class, $conn, $early) {
    return undef if length($conn->{in}) < 4;

    my ($modifier, $size) = unpack 'C v', $conn->{in};
    return undef if length($conn->{in}) < 4 + $size;

    my %vars = unpack '(v/a*)*', substr($conn->{in}, 4, $size);
    my $length = $vars{CONTENT_LENGTH} || 0;
    return undef if length($conn->{in}) < 4 + $size + $length;

    my $body = substr($conn->{in}, 4 + $size, $length);
    $conn->{in} = '';

    return Canary::Protocol::CGI::_cgi_request(\%vars, $body);
}


package Canary::Protocol::FastCGI;

use parent -norequire, 'Canary::Protocol::CGI';

use constant {
    FCGI_BEGIN  => 1,
    FCGI_END    => 3,
    FCGI_PARAMS => 4,
    FCGI_STDIN  => 5,
    FCGI_STDOUT => 6,
};


sub parse($class, $conn, $early) {
    while (length($conn->{in}) >= 8) {
        my (undef, $type, $id, $size, $padding)
            = unpack 'C C n n C', $conn->{in};
        last if length($conn->{in}) < 8 + $size + $padding;

        my $content = substr($conn->{in}, 8, $size);
        substr($conn->{in}, 0, 8 + $size + $padding, '');

        if ($type == FCGI_BEGIN) {
            my (undef, $flags) = unpack 'n C', $content;
            $conn->{fastcgi} = { id => $id, keep => $flags & 1,
                                 params => '', body => '' };

        } elsif ($type == FCGI_PARAMS) {
            $conn->{fastcgi}{params} .= $content;

        } elsif ($type == FCGI_STDIN) {
            $conn->{fastcgi}{body} .= $content;
            return _request($conn) if $size == 0;
        }
    }

    return undef;
}


sub _request($conn) {
    my $fastcgi = delete $conn->{fastcgi};
    my $vars = _variables($fastcgi->{params});
    my $request
        = Canary::Protocol::CGI::_cgi_request($vars, $fastcgi->{body});

    $request->{reused} = $conn->{requests} > 0;
    $request->{id} = $fastcgi->{id};
    $request->{close} = !$fastcgi->{keep};

    return $request;
}


# Names and values, each pair after its two lengths of one or four bytes.

sub _variables($params) {
    my %vars;

    while (length $params) {
        my @sizes;

        for (1, 2) {
            my $size = ord $params;
            my $wide = $size > 127;
            $size = unpack('N', $params) & 0x7fffffff if $wide;
            substr($params, 0, $wide ? 4 : 1, '');
            push @sizes, $size;
        }

        my $name = substr($params, 0, $sizes[0], '');
        $vars{$name} = substr($params, 0, $sizes[1], '');
    }

    return \%vars;
}


sub _record($type, $id, $content) {
    my $size = length $content;

    return pack('C C n n C C', 1, $type, $id, $size, 0, 0) . $content;
}


# Besides the modes of the family: `short`, a body without its end, and
# `bad_record`, one that is followed by what is none of FastCGI.

sub render($class, $behaviour, $request) {
    my $id = $request->{id};
    my $short = $behaviour->{mode} eq 'short';
    my $bad = $behaviour->{mode} eq 'bad_record';
    my ($head, $body) = $class->SUPER::render(
        $short || $bad ? { %$behaviour, mode => 'answer' } : $behaviour,
        $request);

    $head = _record(FCGI_STDOUT, $id, $head);
    $body = join '', map { _record(FCGI_STDOUT, $id, $_) }
        unpack '(a60000)*', $body;
    return ($head, $body, 'close') if $short;
    return ($head, $body . 'x' x 8, 'close') if $bad;

    my $end = _record(FCGI_STDOUT, $id, '') . _record(FCGI_END, $id, "\0" x 8);
    my $keep = !$request->{close} && ($behaviour->{keepalive} // 1);

    return ($head, $body . $end, $keep ? 'keep' : 'close');
}


package Canary::Protocol::Memcached;


# Answers `get KEY`; with status 404 the key is not found.

sub parse($class, $conn, $early) {
    return undef unless $conn->{in} =~ s/^get (\S+)\r\n//;

    return { method => 'GET', uri => $1, headers => {}, body => '',
             reused => $conn->{requests} > 0 };
}


sub render($class, $behaviour, $request) {
    return ('', "END\r\n", 'keep') if ($behaviour->{status} // 200) == 404;

    my $body = $behaviour->{body} // $behaviour->{name};
    my $head = sprintf "VALUE %s 0 %d\r\n", $request->{uri}, length $body;

    return ($head, "$body\r\nEND\r\n", 'keep');
}


# HTTP/2 without TLS, as much of it as a unary gRPC call needs. The header
# fields of a request are not decoded: nginx may send them with Huffman codes.

package Canary::Protocol::GRPC;

use Carp qw(croak);

use constant {
    DATA       => 0,
    HEADERS    => 1,
    RST_STREAM => 3,
    SETTINGS   => 4,
    PING       => 6,

    ACK         => 0x1,
    END_STREAM  => 0x1,
    END_HEADERS => 0x4,

    INTERNAL_ERROR => 2,
};

use constant PREFACE => "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";


sub parse($class, $conn, $early) {
    if (!$conn->{grpc}) {
        return undef if length($conn->{in}) < length PREFACE;

        substr($conn->{in}, 0, length(PREFACE), '') eq PREFACE
            or croak 'the client does not speak HTTP/2';
        $conn->{grpc} = { bodies => {} };
        $conn->{out} .= _frame(SETTINGS, 0, 0, '');
    }

    while (length($conn->{in}) >= 9) {
        my ($high, $low, $type, $flags, $stream)
            = unpack 'C n C C N', $conn->{in};
        my $size = $high << 16 | $low;
        last if length($conn->{in}) < 9 + $size;

        my $payload = substr($conn->{in}, 9, $size);
        substr($conn->{in}, 0, 9 + $size, '');

        my $request = _frame_came($conn, $type, $flags, $stream, $payload);
        return $request if $request;
    }

    return undef;
}


sub _frame_came($conn, $type, $flags, $stream, $payload) {
    my $bodies = $conn->{grpc}{bodies};

    if (($type == SETTINGS || $type == PING) && !($flags & ACK)) {
        my $echo = $type == PING ? $payload : '';
        $conn->{out} .= _frame($type, ACK, 0, $echo);
        return undef;
    }

    return undef unless $type == HEADERS || $type == DATA;

    $bodies->{$stream} .= $type == DATA ? $payload : '';
    return undef unless $flags & END_STREAM;

    return { method => 'POST', uri => '', headers => {}, stream => $stream,
             body => delete $bodies->{$stream},
             reused => $conn->{requests} > 0 };
}


sub _frame($type, $flags, $stream, $payload) {
    my $size = length $payload;

    return pack('C n C C N', $size >> 16, $size & 0xffff, $type, $flags,
                $stream) . $payload;
}


# Literal fields with new names, never indexed, without Huffman codes.

sub _fields(@fields) {
    my $block = '';

    while (my ($name, $value) = splice @fields, 0, 2) {
        $block .= pack 'C C/a* C/a*', 0, $name, $value;
    }

    return $block;
}


# `grpc_status` (default 0) is in the trailers, or with `trailers_only` in the
# header; mode `rst` answers with RST_STREAM, `rst_body` with a body and then
# that, `short` with a body and no end.

sub render($class, $behaviour, $request) {
    my $stream = $request->{stream};
    my $mode = $behaviour->{mode};
    my @grpc = ('grpc-status' => $behaviour->{grpc_status} // 0);
    my @header = (
        ':status' => $behaviour->{status} // 200,
        'content-type' => 'application/grpc',
        'x-backend' => $behaviour->{name},
        Canary::Protocol::pairs($behaviour->{headers}),
    );

    my $rst = _frame(RST_STREAM, 0, $stream, pack 'N', INTERNAL_ERROR);
    return ($rst, '', 'keep') if $mode eq 'rst';

    if ($behaviour->{trailers_only}) {
        my $block = _fields(@header, @grpc);
        return (_frame(HEADERS, END_HEADERS | END_STREAM, $stream, $block),
                '', 'keep');
    }

    my $message = pack 'C N/a*', 0, $behaviour->{body} // $behaviour->{name};
    my $head = _frame(HEADERS, END_HEADERS, $stream, _fields(@header));
    my $data = _frame(DATA, 0, $stream, $message);
    return ($head, $data, 'close') if $mode eq 'short';
    return ($head, $data . $rst, 'keep') if $mode eq 'rst_body';

    croak "unknown mode '$mode'" unless $mode eq 'answer';

    my $end = _frame(HEADERS, END_HEADERS | END_STREAM, $stream,
                     _fields(@grpc));

    return ($head, $data . $end, 'keep');
}


1;
