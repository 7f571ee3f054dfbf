#!/usr/bin/perl

# GET events: server-sent events of all endpoints.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Test::More;

use Canary::Test;
use Canary::Util qw(pause);

my $t = Canary::Test->new(workers => 2);
$t->backend($_) for qw(v1 v2);
$t->write_file('tokens', '# nobody');

my $http2 = $t->has('http_v2');
my $h2_server = $http2 ? <<'EOC' : '';
    server {
        listen 127.0.0.1:%%PORT_h2%% http2;
        location /canary/ { canary_api; }
    }
EOC

my $page = $t->has('http_addition')
    ? 'location /page.html { add_before_body /canary/events; }' : '';

$t->start(<<"EOC", events => 'worker_connections 4096;');
    upstream model_v1 { server 127.0.0.1:%%PORT_v1%%; }
    upstream model_v2 { server 127.0.0.1:%%PORT_v2%%; }

    upstream ep {
        canary_release v1 model_v1;
        canary_release v2 model_v2;
    }

    upstream other {
        canary_release v1 model_v1;
        canary_release v2 model_v2;
    }

    server {
        listen 127.0.0.1:%%PORT_http%%;
        location / { proxy_pass http://ep; }
    }

    server {
        listen 127.0.0.1:%%PORT_slow%% sndbuf=4k;
        error_log %%DIR%%/slow.log info;
        location /canary/ { canary_api; send_timeout 1s; }
    }

    server {
        listen 127.0.0.1:%%PORT_more%%;
        location /guarded/ { canary_api; canary_api_tokens tokens; }
        $page
        location /canary/ { canary_api; }
        location /behind/ {
            proxy_pass http://127.0.0.1:%%PORT_api%%/canary/;
            proxy_http_version 1.1;
        }
    }

$h2_server
    %%API%%
EOC

$t->start_rollout('ep');
$t->start_rollout('other');


# One stream.

subtest 'the answer' => sub {
    my $stream = Stream->new($t->port('api'), '/canary/events');

    $stream->wait_for(qr/\r\n\r\n.*\n\n/s);
    like($stream->{in}, qr{^HTTP/1\.1 200 });
    like($stream->{in}, qr{^Content-Type: text/event-stream\r$}m);
    like($stream->{in}, qr{^Cache-Control: no-store\r$}m);
    like($stream->{in}, qr{^X-Content-Type-Options: nosniff\r$}m);
    like($stream->{in}, qr{^X-Accel-Buffering: no\r$}m);
    like($stream->{in}, qr{^retry: 2000\n\n}m);
    is_deeply([ $stream->ids ], [], 'it begins with the next event');

    my $response = $t->api(HEAD => 'events');
    is($response->status, 200);
    is($response->header('Content-Type'), 'text/event-stream');

    is($t->api(POST => 'events')->status, 405);
    is($t->get('/guarded/events', port => 'more')->status, 401);
};

subtest 'events of all endpoints, as they happen' => sub {
    my $stream = Stream->new($t->port('api'), '/canary/events');

    $stream->wait_for(qr/retry/);

    $t->verb(ep => 'pause', { reason => 'a "quoted" \\ reason' });
    $stream->wait_for_ids(1);
    $t->verb(other => 'pause');
    $t->verb(ep => 'resume');
    $t->verb(other => 'resume');
    $stream->wait_for_ids(4);

    my @kept = sort { $a->{id} <=> $b->{id} }
        (($t->events('ep'))[0, 1], ($t->events('other'))[0, 1]);

    is_deeply([ $stream->events ], \@kept, 'as their lists have them');
    is_deeply([ $stream->ids ], [ map { $_->{id} } @kept ],
              'each with its number');
};

subtest 'it resumes' => sub {
    for (1 .. 25) {
        $t->verb($_, 'pause') for qw(ep other);
        $t->verb($_, 'resume') for qw(ep other);
    }

    my @kept = sort { $a <=> $b }
        map { $_->{id} } $t->events('ep'), $t->events('other');
    my $middle = $kept[40];
    my @later = grep { $_ > $middle } @kept;
    my @cases = (
        ['?after=0', {}, \@kept],
        ["?after=$middle", {}, \@later],
        ['', { 'Last-Event-ID' => $middle }, \@later],
        ['?after=0', { 'last-event-id' => $middle }, \@later],
        ['', { 'Last-Event-ID' => $kept[-1] + 1000 }, \@kept],
        ['?after=999999999', {}, \@kept],
        ['', { 'Last-Event-ID' => $kept[-2] }, [ $kept[-1] ]],
    );

    for my $case (@cases) {
        my ($query, $headers, $expected) = @$case;
        my $stream = Stream->new($t->port('api'), "/canary/events$query",
                                 $headers);

        $stream->wait_for_ids(scalar @$expected);
        is_deeply([ $stream->ids ], $expected, "'$query' @{[ %$headers ]}");
    }

    for my $bad ('x', '-1', '1.5', '99999999999999999999') {
        my $response = $t->api_get('events', headers =>
                                   { 'Last-Event-ID' => $bad });
        is($response->status, 400, "'$bad'");
        is($response->header('Content-Type'), 'application/problem+json');
        is($t->api_get("events?after=$bad")->status, 400);
    }
};

subtest 'behind another nginx, and with HTTP/1.0' => sub {
    my @streams = (Stream->new($t->port('more'), '/behind/events'),
                   Stream->new($t->port('api'), '/canary/events', {}, '1.0'));

    $_->wait_for(qr/retry/) for @streams;
    $t->verb(ep => 'pause');
    $_->wait_for_ids(1) for @streams;
    is(($_->events)[0]{reason}, 'paused') for @streams;
    unlike($streams[1]{in}, qr/chunked/i);
    $t->verb(ep => 'resume');
};

subtest 'no part of a page' => sub {
    needs('http_addition');

    $t->write_file('html', '');
    my $response = $t->get('/page.html', port => 'more');
    unlike($response->body, qr/retry/);
    ok(!$response->error, 'it ends');
};

subtest 'HTTP/2' => sub {
    needs('http_v2');

    my $stream = Stream->h2($t->port('h2'), '/canary/events');

    $stream->wait_for(qr/retry: 2000\n\n/);
    $t->verb(ep => 'pause');
    $stream->wait_for_ids(1);
    is(($stream->events)[0]{reason}, 'paused');
    $t->verb(ep => 'resume');
    $stream->wait_for_ids(2);
    is(($stream->events)[1]{reason}, 'resumed');

    return unless $t->has_processes;

    $t->reload;
    $stream->wait_for_end;
    ok($stream->{ended}, 'a reload ends it');
};


# Many.

subtest 'who does not read is dropped' => sub {
    my $slow = Stream->new($t->port('slow'), '/canary/events?after=0', {},
                           '1.1', 2048);
    my $fine = Stream->new($t->port('slow'), '/canary/events?after=0');
    my @kept = sort { $a <=> $b }
        map { $_->{id} } $t->events('ep'), $t->events('other');

    $fine->wait_for_ids(scalar @kept);
    $t->wait_for(sub { $t->read_file('slow.log') =~ /too slowly/ });

    $slow->wait_for_end;
    ok($slow->count < @kept, 'it has not got all');
    unlike($slow->{in}, qr/\r\n0\r\n\r\n$/);

    $t->verb(ep => 'pause');
    $fine->wait_for_ids(@kept + 1);
    is_deeply([ ($fine->ids)[0 .. $#kept] ], \@kept, 'others have');
    $t->verb(ep => 'resume');
    is(() = $t->read_file('slow.log') =~ /too slowly/g, 1);
};

my @many = map { Stream->new($t->port('api'), '/canary/events') } 1 .. 500;

subtest '500 streams' => sub {
    $_->wait_for(qr/retry/) for @many;
    $t->verb(ep => 'pause');
    $_->wait_for_ids(1) for @many;
    is((grep { $_->count == 1 } @many), 500, 'each has the event once');

    $_->close for splice @many, 0, 100;
    $t->verb(ep => 'resume');
    $_->wait_for_ids(2) for @many;
    is((grep { $_->count == 2 } @many), 400, 'when others have gone too');
};

subtest 'many events, while streams come and go' => sub {
    my @before = map { $_->{id} } $t->events('ep');
    my @new;

    for my $n (1 .. 10) {
        $t->verb($_, $n % 2 ? 'pause' : 'resume') for qw(ep other);

        my $after = $before[5 * $n];
        push @new, [ Stream->new($t->port('api'), '/canary/events',
                                 { 'Last-Event-ID' => $after }), $after ];
        (shift @new)->[0]->close if $n % 3 == 0;
    }

    my @kept = sort { $a <=> $b }
        map { $_->{id} } $t->events('ep'), $t->events('other');
    my @wrong;

    for my $case (@new, map { [ $_, ($_->ids)[0] - 1 ] } @many) {
        my ($stream, $after) = @$case;
        my @expected = grep { $_ > $after } @kept;

        $stream->wait_for_ids(scalar @expected);
        push @wrong, "after $after: @{[ $stream->ids ]}"
            if "@{[ $stream->ids ]}" ne "@expected";
    }
    is_deeply(\@wrong, [], 'each has all, once and in order');
};

subtest 'a reload ends them, and old workers at once' => sub {
    needs('processes', 'speed');
    my $stuck = Stream->new($t->port('slow'), '/canary/events?after=0', {},
                            '1.1', 2048);

    $t->reload(undef, gone => 1);
    is($t->old_worker_pids, 0, 'the old workers are gone');

    $_->wait_for_end for @many, $stuck;
    is((grep { $_->{in} =~ /\r\n0\r\n\r\n$/ } @many), 400,
       'each with a proper end');

    my ($last) = reverse $many[0]->ids;
    $t->verb(ep => 'pause');
    my $again = Stream->new($t->port('api'), '/canary/events',
                            { 'Last-Event-ID' => $last });
    $again->wait_for_ids(1);
    is(($again->events)[0]{reason}, 'paused', 'nothing is lost');
    $t->verb(ep => 'resume');
};

subtest 'as many as are possible' => sub {
    needs('processes', 'speed');

    for my $connections (1024, 64) {
        my $most = $connections / 4;

        $t->reload(undef, workers => 1, gone => 1,
                   events => "worker_connections $connections;");

        my @streams = map { Stream->new($t->port('api'), '/canary/events') }
            1 .. $most;
        $_->wait_for(qr/retry/) for @streams;

        my $client = $t->client('api');
        my $response = $client->get('/canary/events');
        is($response->status, 503, "$most of $connections connections");
        is($response->header('Retry-After'), 15);
        is($response->header('Content-Type'), 'application/problem+json');
        is($response->header('Connection'), 'close', 'it keeps none');
        like($response->json->{detail}, qr/worker_connections/);

        my @refused = map { Stream->new($t->port('api'), '/canary/events') }
            1 .. 300;
        $_->wait_for_end for @refused;
        is((grep { $_->{in} =~ m{^HTTP/1.1 503 } } @refused), 300,
           'nor do many');
        is((grep { $t->get('/')->status == 200 } 1 .. 10), 10,
           'the rest goes on');

        (pop @streams)->close;
        $t->wait_for(sub {
            my $stream = Stream->new($t->port('api'), '/canary/events');
            $stream->wait_for(qr/\n\n|\r\n\r\n/);
            return $stream->{in} =~ m{^HTTP/1\.1 200 };
        });
        $t->verb(ep => 'pause');
        $_->wait_for_ids(1) for @streams;
        pass('all have the event');
        $t->verb(ep => 'resume');
    }
};

subtest 'fewer when few connections are free' => sub {
    needs('processes', 'speed');
    $t->reload(undef, workers => 1, gone => 1,
               events => 'worker_connections 64;');

    my @streams = map { Stream->new($t->port('api'), '/canary/events') }
        1 .. 4;
    $_->wait_for(qr/retry/) for @streams;

    my @others = map { $t->client->connect } 1 .. 40;
    my $refused;

    $t->wait_for(sub {
        $refused = $t->api_get('events', timeout => 1);
        return $refused->status == 503;
    });
    like($refused->json->{detail}, qr/quarter of .* is free/);
    is($t->get('/')->status, 200, 'they are for users');

    $t->verb(ep => 'pause');
    $_->wait_for_ids(1) for @streams;
    pass('streams that were there stay');
    $t->verb(ep => 'resume');

    $_->close for @others;
    $t->wait_for(sub {
        my $stream = Stream->new($t->port('api'), '/canary/events');
        $stream->wait_for(qr/\n\n|\r\n\r\n/);
        return $stream->{in} =~ m{^HTTP/1\.1 200 };
    });
    pass('and there may be more again');
    $t->reload(undef, events => 'worker_connections 4096;', gone => 1);
};

subtest 'a reload while events are sent' => sub {
    needs('processes', 'speed');
    for my $delay (map { $_ * 0.02 } 0 .. 5) {
        my @streams = map { Stream->new($t->port('api'), '/canary/events') }
            1 .. 300;
        $_->wait_for(qr/retry/) for @streams;

        my ($before) = map { $_->{id} } $t->events('ep');
        $t->verb(ep => 'pause');
        pause($delay);
        $t->reload(undef, workers => 1, gone => 1);
        $t->verb(ep => 'resume');

        my @ids = sort { $a <=> $b } grep { $_ > $before }
            map { $_->{id} } $t->events('ep');
        my %last;

        $_->wait_for_end for @streams;
        is((grep { $_->{in} =~ /\r\n0\r\n\r\n$/ } @streams), 300,
           "after $delay s each has a proper end");
        $last{"@{[ $_->ids ]}" || $before}++ for @streams;

        for my $last (keys %last) {
            my $again = Stream->new($t->port('api'), '/canary/events',
                                    { 'Last-Event-ID' => $last });
            my @missing = grep { $_ > $last } @ids;

            $again->wait_for_ids(scalar @missing);
            is_deeply([ $again->ids ], \@missing, 'and nothing is lost');
        }
    }
};

subtest 'a heartbeat' => sub {
    my $stream = Stream->new($t->port('api'), '/canary/events');

    $stream->wait_for(qr/^:\n\n/m, 20);
    is_deeply([ $stream->ids ], []);
};

subtest 'nginx stops with a stream open' => sub {
    needs('processes', 'speed');
    my $stream = Stream->new($t->port('api'), '/canary/events');

    $stream->wait_for(qr/retry/);
    is($t->stop, 0);
    $stream->wait_for_end;
    like($stream->{in}, qr/\r\n0\r\n\r\n$/);
};

subtest 'a single process' => sub {
    $t->stop if !$t->has_processes;
    $t->start(undef, workers => 0);

    my $stream = Stream->new($t->port('api'), '/canary/events');

    $stream->wait_for(qr/retry/);
    $t->start_rollout('other') if $t->endpoint('other')->{phase} eq 'idle';
    $t->verb(other => 'rollback');
    $stream->wait_for(qr/rolled back/);
    pass('events');
};

$t->finish;


package Stream;

# A client that stays: what has come is in {in}.

use Canary::Util qw(connect_to now patience);
use JSON::PP ();
use Socket qw(AF_INET INADDR_LOOPBACK SOCK_STREAM SOL_SOCKET SO_RCVBUF
              pack_sockaddr_in);
use Test::More;

sub new($class, $port, $uri, $headers = {}, $version = '1.1', $buffer = 0) {
    my $socket = $buffer ? _narrow($port, $buffer) : connect_to($port);
    my $self = bless { socket => $socket, in => '' }, $class;

    syswrite $socket, join "\r\n", "GET $uri HTTP/$version",
        'Host: 127.0.0.1', (map { "$_: $headers->{$_}" } keys %$headers),
        '', '';

    return $self;
}


# With a receive buffer of that size.

sub _narrow($port, $size) {
    socket my $socket, AF_INET, SOCK_STREAM, 0 or die "socket: $!";
    setsockopt $socket, SOL_SOCKET, SO_RCVBUF, $size or die "SO_RCVBUF: $!";
    connect $socket, pack_sockaddr_in($port, INADDR_LOOPBACK)
        or die "connect: $!";

    return $socket;
}


# With HTTP/2; {in} is the data without the frames.

sub h2($class, $port, $uri) {
    my $self = bless { socket => connect_to($port), in => '', frames => '' },
        $class;
    my $headers = join '', map { pack 'C C/a* C/a*', 0, @$_ }
        [':method', 'GET'], [':scheme', 'http'], [':path', $uri],
        [':authority', 'localhost'];

    syswrite $self->{socket}, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
        . _frame(4, 0, 0, '') . _frame(1, 5, 1, $headers);

    return $self;
}


sub _frame($type, $flags, $stream, $payload) {
    return pack('C n C C N', length($payload) >> 16,
                length($payload) & 0xffff, $type, $flags, $stream) . $payload;
}


# Reads once; false at the end.

sub _more($self, $deadline) {
    my $ready = '';
    my $left = $deadline - now();

    die "timed out\n" if $left <= 0;
    vec($ready, fileno $self->{socket}, 1) = 1;
    return 1 unless select($ready, undef, undef, $left) > 0;

    my $into = defined $self->{frames} ? \$self->{frames} : \$self->{in};
    my $n = sysread $self->{socket}, $$into, 65536, length $$into;
    $self->_unpack if defined $self->{frames};

    return $n && !$self->{ended};
}


sub _unpack($self) {
    while (length $self->{frames} >= 9) {
        my ($high, $low, $type, $flags) = unpack 'C n C C', $self->{frames};
        my $length = ($high << 16) + $low;

        last if length $self->{frames} < 9 + $length;
        my $payload = substr substr($self->{frames}, 0, 9 + $length, ''), 9;

        $self->{in} .= $payload if $type == 0;
        $self->{ended} = 1 if $type == 0 && $flags & 1 || $type == 3;
    }

    return;
}


sub _until($self, $condition, $seconds, $what) {
    my $deadline = now() + patience($seconds);

    until ($condition->()) {
        $self->_more($deadline)
            or return Test::More::diag("the end before $what: $self->{in}");
    }

    return;
}


sub wait_for($self, $pattern, $seconds = 10) {
    return $self->_until(sub { $self->{in} =~ $pattern }, $seconds, $pattern);
}


sub wait_for_ids($self, $n) {
    return $self->_until(sub { $self->count >= $n }, 10, "$n events");
}


sub wait_for_end($self) {
    my $deadline = now() + patience(10);

    while ($self->_more($deadline)) { }

    return;
}


sub ids($self) {
    return $self->{in} =~ /^id: (\d+)\ndata: .*\n\n/mg;
}


sub count($self) {
    return scalar(() = $self->ids);
}


sub events($self) {
    return map { JSON::PP->new->utf8->decode($_) }
        $self->{in} =~ /^data: (.*)\n\n/mg;
}


sub close($self) {
    close delete $self->{socket};

    return;
}
