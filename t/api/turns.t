#!/usr/bin/perl

# Answers that grow with endpoints and events: made in turns, as clients read,
# so that they neither hold up a worker nor are held in its memory.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use POSIX ();
use Socket qw(AF_INET INADDR_LOOPBACK SOCK_STREAM SOL_SOCKET SO_RCVBUF
              pack_sockaddr_in);
use Test::More;

use Canary::Test;
use Canary::Util qw(pause);

use constant {
    ENDPOINTS => $ENV{TEST_CANARY_VALGRIND} ? 100 : 1000,
    READERS   => 100,
    ITEMS     => 64,                            # of a turn,
    BYTES     => 64 * 1024,                     # and of its text
    MEMORY    => 32 * 1024 * 1024,
};

my $t = Canary::Test->new(workers => 1, timeout => 900);
my $v1 = $t->backend('v1');
my $v2 = $t->backend('v2');

my @names = map { "ep$_" } 1 .. ENDPOINTS;
my $endpoints = join '', map { <<"EOC" } @names;
    upstream $_ {
        canary_release v1 model_v1;
        canary_release v2 model_v2;
        canary_rule    error_rate 10%;
        canary_rule    latency_p90_max 250ms;
    }
EOC

my %page = $t->has('http_addition')
    ? ('/added.html' => 'add_after_body /canary/endpoints;') : ();
my $h2_server = $t->has('http_v2') ? <<'EOC' : '';
    server {
        listen 127.0.0.1:%%PORT_h2%% http2;
        location /metrics { canary_metrics; }
        location /canary/ { canary_api; }
    }
EOC

my $http = <<"EOC";
    upstream model_v1 { server 127.0.0.1:%%PORT_v1%%; }
    upstream model_v2 { server 127.0.0.1:%%PORT_v2%%; }
    upstream other    { server 127.0.0.1:%%PORT_v1%%; }

$endpoints

    server {
        listen 127.0.0.1:%%PORT_http%%;
        location / { proxy_pass http://ep1; }
        location /metrics { canary_metrics; }
        location /verta/api/v1/ { canary_verta_api; }
        location /canary/ { canary_api; }
        location /gzip/ {
            canary_api;
            gzip on;
            gzip_types text/plain application/json;
        }
        location /limited/ { canary_api; limit_rate 2m; }
        location /page.html { ssi on; }
        @{[ map { "location $_ { $page{$_} }" } keys %page ]}
    }

    server {
        listen 127.0.0.1:%%PORT_slow%% sndbuf=16k;
        send_timeout 1h;
        location /metrics { canary_metrics; }
        location /verta/api/v1/ { canary_verta_api; }
        location /canary/ { canary_api; }
    }

    server {
        listen 127.0.0.1:%%PORT_dropped%% sndbuf=16k;
        error_log %%DIR%%/dropped.log info;
        location /canary/ { canary_api; send_timeout %%1000ms%%; }
    }

$h2_server
    %%API%%
EOC

$t->write_file('debug.log', '');
$t->start($http, events => 'worker_connections 1024;',
          main => "error_log @{[ $t->dir ]}/debug.log debug;");

my %lists = (
    '/canary/endpoints' => sub ($item) { $item->{name} },
    '/verta/api/v1/deployment/workspace/personal/endpoints' => sub ($item) {
        $item->{creator_request}{path} =~ s{^/}{}r
    },
);
my @uris = ('/metrics', sort keys %lists);


# What comes.

subtest 'it is all there, once and in order' => sub {
    my %whole = map { $_ => whole($t->client->start(uri => $_, close => 1)) }
        @uris;

    for my $uri (@uris) {
        is($whole{$uri}->status, 200, $uri);
        ok(!$whole{$uri}->error, 'it is complete');
        is($whole{$uri}->header('Content-Length'), '');
        is($whole{$uri}->header('Transfer-Encoding'), 'chunked');
        is($whole{$uri}->header('Cache-Control'), 'no-store');
    }

    for my $uri (keys %lists) {
        is_deeply([ map { $lists{$uri}->($_) }
                    @{ $whole{$uri}->json->{endpoints} } ], \@names, $uri);
    }

    is_metrics($whole{'/metrics'}->body, 'the metrics');
};

subtest 'a short one has its length' => sub {
    for my $uri ('endpoints/ep1/events', 'endpoints/ep1/failures') {
        my $response = $t->api_get($uri);

        is($response->header('Content-Length'), length $response->body, $uri);
        is_deeply([ map { @$_ } values %{ $response->json } ], []);

        my $head = $t->api(HEAD => $uri);
        is($head->header('Content-Length'), length $response->body);
    }
};

subtest 'HEAD' => sub {
    my $client = $t->client;

    for my $uri (@uris) {
        my $head = $client->request(method => 'HEAD', uri => $uri);
        is($head->status, 200, $uri);
        is($head->header('Content-Length'), '', 'its length is not known');
        is($head->body, '');
    }
    is($client->get('/')->body, 'v1', 'the connection goes on');
};

subtest 'a connection that is kept' => sub {
    my $client = $t->client;
    my $again = $client->get('/canary/endpoints');

    is($client->get('/')->body, 'v1');
    is_list($client->get('/canary/endpoints'), 'a second time');
    ok(!$client->{retried}, 'all on one connection');
};

subtest 'HTTP/1.0' => sub {
    my $socket = Canary::Util::connect_to($t->port('http'));

    syswrite $socket, "GET /canary/endpoints HTTP/1.0\r\n\r\n";
    my $all = do { local $/; <$socket> };
    my ($head, $body) = split /\r\n\r\n/, $all, 2;

    unlike($head, qr/chunked|Content-Length/i);
    is_list(Canary::Response->new(body => $body), 'it ends with the list');
};

subtest 'HTTP/2' => sub {
    needs('http_v2', 'curl');

    my $to = 'curl --silent --max-time 100 --http2-prior-knowledge '
        . 'http://127.0.0.1:' . $t->port('h2');
    is_list(Canary::Response->new(body => scalar `$to/canary/endpoints`),
            'the list');
    is_metrics(scalar `$to/metrics`, 'the metrics');
};

subtest 'gzip' => sub {
    needs('Compress::Zlib');

    my $response = $t->get('/gzip/endpoints',
                           headers => { 'Accept-Encoding' => 'gzip' });
    is($response->header('Content-Encoding'), 'gzip');
    is_list(Canary::Response->new(
                body => Compress::Zlib::memGunzip($response->body)),
            'unpacked');
};

subtest 'limit_rate' => sub {
    is_list($t->get('/limited/endpoints', timeout => 60), 'the list');
};

subtest 'parts of a page' => sub {
    mkdir $t->dir . '/html';
    $t->write_file('html/added.html', "begin\n");
    $t->write_file('html/page.html', join "\n", 'begin',
                   '<!--# include virtual="/canary/endpoints" -->middle',
                   '<!--# include virtual="/metrics" -->end', '');

    my $response = whole($t->client->start(uri => '/page.html', close => 1));
    my ($first, $second) = $response->body
        =~ /^begin\n(\{.*?\}\n)middle\n(.*)end\n\z/s;
    ok(!$response->error, 'it ends');
    is_list(Canary::Response->new(body => $first // ''), 'the first part');
    is_metrics($second // '', 'the second');

    SKIP: {
        skip 'no addition module', 1 unless %page;

        $response = $t->get('/added.html', timeout => 60);
        my ($list) = $response->body =~ /^begin\n(.*)\z/s;
        is_list(Canary::Response->new(body => $list // ''), 'what is added');
    }
};


# What it costs.

subtest 'no turn does more than a part, and no pass more than a turn' => sub {
    my $from = -s $t->dir . '/debug.log';
    my @clients = map { $t->client } 1 .. 6;

    for my $i (0 .. $#clients) {
        $clients[$i]->start(uri => $uris[$i % @uris], close => 1);
    }
    whole($_) for @clients;

    my ($most, @parts) = in_passes($from, qr/canary part: (\d+) items, (\d+)/);
    needs('debug');

    cmp_ok(scalar @parts, '>', ENDPOINTS / 5, 'many turns');
    is((grep { $_->[0] > ITEMS } @parts), 0, 'with few items');
    is((grep { $_->[1] > BYTES } @parts), 0, 'and little text');
    is($most, 1, 'one in a pass, whoever it is for');
};

subtest 'who does not read takes little memory' => sub {
    needs('memory');

    for my $uri (@uris) {
        my ($pid) = $t->worker_pids;
        my $before = private_memory($pid);
        my @readers = map { narrow('slow', $uri) } 1 .. READERS;

        readable($_) for @readers;
        is($t->get('/')->status, 200, 'other requests go on');
        settled();

        cmp_ok(private_memory($pid) - $before, '<', MEMORY, $uri);
        is($t->get('/')->status, 200, 'and still do');

        my $response = whole(shift @readers);
        ok(!$response->error, 'who reads on gets the rest');
        is_metrics($response->body, $uri) if $uri eq '/metrics';
        $_->close for @readers;
    }
};

subtest 'who goes away in the middle is forgotten' => sub {
    my @pids = $t->worker_pids;

    for my $n (1 .. 30) {
        my $client = narrow('slow', $uris[$n % @uris]);
        $client->read_bytes(1000 * $n);
        $n % 2 ? $client->close : $client->reset;
    }
    is_list($t->get('/canary/endpoints'), 'the list');
    is_deeply([ $t->worker_pids ], \@pids, 'by the same worker');
};

subtest 'who does not read for send_timeout is dropped' => sub {
    my $slow = narrow('dropped', '/canary/endpoints');

    $t->wait_for(sub { $t->read_file('dropped.log') =~ /too slowly/ }, 60);

    my $response = $slow->finish;
    is($response->error, 'short body', 'and can tell that it is not all');
    is(() = $t->read_file('dropped.log') =~ /too slowly/g, 1);
};

subtest 'a reload cuts nothing' => sub {
    needs('processes', 'speed');
    my @readers = map { narrow('slow', $_) } @uris;

    readable($_) for @readers;
    $t->reload;
    is($t->old_worker_pids, 1, 'the old worker waits for them');

    my @responses = map { whole($_) } @readers;
    is($_->error // '', '', 'complete') for @responses;
    is_metrics($responses[0]->body, 'metrics');
    $t->wait_for(sub { !$t->old_worker_pids }, 60, 'its end');
};


# Events.

subtest 'a list of events that goes on meanwhile' => sub {
    $t->start_rollout('ep1', rules => [
        map { rule("latency_p${_}_max" => 250) } 50, 90, 95, 99 ]);
    for (1 .. 40) {
        $t->verb(ep1 => 'pause', { reason => 'x' x 150 });
        $t->verb(ep1 => 'resume', { reason => 'y' x 150 });
    }

    my @ids = map { $_->{id} } $t->events('ep1');
    is(scalar @ids, 64);

    my $uri = '/canary/endpoints/ep1/events';
    my @from = map { $_->{id} }
        @{ $t->get("$uri?after=$ids[40]")->json->{events} };
    is_deeply(\@from, [ @ids[0 .. 39] ], 'from one of them on');

    my $reader = narrow('slow', $uri);
    readable($reader);
    for (1 .. 10) {
        $t->verb(ep1 => 'pause');
        $t->verb(ep1 => 'resume');
    }

    my @read = map { $_->{id} } @{ $reader->finish->json->{events} };
    is_deeply(\@read, [ @ids[0 .. $#read] ],
              'those there were, less those that are not kept any more');
    cmp_ok(scalar @read, '>=', 64 - 20);
};

subtest 'streams that are not equally far' => sub {
    my @ids = map { $_->{id} } $t->events('ep1');
    my $from = -s $t->dir . '/debug.log';
    my @streams = map {
        $t->client->start(uri => "/canary/events?after=$_")
    } @ids[1 .. 60];

    for my $stream (@streams) {
        my $come = '';

        until ($come =~ /^id: $ids[0]$/m) {
            my $byte = $stream->read_bytes(1);

            last if $byte eq '';
            $come .= $byte . $stream->read_bytes(length $stream->{in});
        }
    }
    $_->close for @streams;

    my ($most, @texts) = in_passes($from, qr/canary news: (\d+) events/);
    needs('debug');

    cmp_ok(scalar @texts, '>=', 60, 'each has texts of its own');
    is($most, 1, 'which are not made at once');
};

subtest 'streams that are, and do not read' => sub {
    needs('memory');
    $t->renew;

    my ($pid) = $t->worker_pids;
    my $before = private_memory($pid);
    my @streams = map { narrow('slow', '/canary/events?after=0') } 1 .. 200;

    readable($_) for @streams;
    $t->verb(ep1 => $_) for qw(pause resume);
    settled();

    cmp_ok(private_memory($pid) - $before, '<', 4 * 1024 * 1024,
           'have one text, not 200');
    $_->close for @streams;
    $t->verb(ep1 => 'rollback');
};

$t->finish;


# What the log says from there on: the most lines of this kind in a pass of the
# event loop, and what they say.

sub in_passes($from, $kind) {
    my ($most, $in_pass, @found) = (0, 0);

    open my $log, '<', $t->dir . '/debug.log' or die "debug.log: $!";
    seek $log, $from, 0;
    while (my $line = <$log>) {
        if (my @values = $line =~ $kind) {
            push @found, \@values;
            $in_pass++;
            $most = $in_pass if $in_pass > $most;

        } elsif ($line =~ /worker cycle/) {
            $in_pass = 0;
        }
    }

    return ($most, @found);
}


sub is_list($response, $name) {
    my $list = eval { $response->json->{endpoints} } // [];

    return is_deeply([ map { $_->{name} } @$list ], \@names, $name);
}


# Each metric is told once, and of all endpoints, or of nginx.

sub is_metrics($text, $name) {
    my ($metric, %of, %nginx, @wrong) = ('none');

    for my $line (split /\n/, $text) {
        if ($line =~ /^# TYPE (\w+)/) {
            push @wrong, "$1 again" if $of{$1};
            $metric = $1;
            $of{$metric} = {};

        } elsif ($line =~ /^${metric}\w*\{endpoint="(\w+)"[^}]*\} \S+$/) {
            $of{$metric}{$1}++;

        } elsif ($line =~ /^$metric \S+$/ && !$nginx{$metric}++) {
            delete $of{$metric};

        } elsif ($line !~ /^# HELP /) {
            push @wrong, $line;
        }
    }
    push @wrong, 'no end' unless $text =~ /\n\z/;

    my %rollout = map { ("nginx_canary_$_" => 1) }
        qw(served_weight_ratio rule_value rule_threshold rule_verdict);

    for my $of (sort keys %of) {
        my $n = keys %{ $of{$of} };
        push @wrong, "$of of $n" unless $rollout{$of} || $n == ENDPOINTS;
    }
    push @wrong, 'metrics: ' . keys %of unless keys %of >= 11;

    return is_deeply([ @wrong[0 .. ($#wrong > 9 ? 9 : $#wrong)] ], [], $name);
}


# A request of a client with so small a buffer that nginx has to wait for it.

sub narrow($port, $uri) {
    socket my $socket, AF_INET, SOCK_STREAM, 0 or die "socket: $!";
    setsockopt $socket, SOL_SOCKET, SO_RCVBUF, 4096 or die "SO_RCVBUF: $!";
    connect $socket, pack_sockaddr_in($t->port($port), INADDR_LOOPBACK)
        or die "connect: $!";

    my $client = $t->client($port);
    $client->{socket} = $socket;

    return $client->start(uri => $uri, close => 1);
}


# All that comes until the connection ends: parsed once, since it is much.

sub whole($client) {
    my $all = $client->read_bytes(1 << 30);

    return Canary::Client::parse_response(\$all, 'GET', 1);
}


sub readable($client) {
    my $ready = '';

    vec($ready, fileno $client->{socket}, 1) = 1;
    select($ready, undef, undef, 60) > 0 or die "no answer\n";

    return;
}


# Until the worker has nothing more to do.

sub settled() {
    my ($parts, $same) = (-1, 0);

    while ($same < 5) {
        my $now = () = $t->read_file('debug.log') =~ /canary part/g;

        $same = $now == $parts ? $same + 1 : 0;
        $parts = $now;
        pause(0.1);
    }

    return;
}


# Bytes that no other process has.

sub private_memory($pid) {
    my ($all, $resident, $shared) = split / /,
        do { open my $in, '<', "/proc/$pid/statm" or die "statm: $!"; <$in> };

    return ($resident - $shared) * POSIX::sysconf(POSIX::_SC_PAGESIZE());
}
