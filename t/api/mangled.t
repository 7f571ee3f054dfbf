#!/usr/bin/perl

# 10,000 requests to the API that something has happened to: only documented
# answers, nothing is changed by a request that was refused, no process dies.
# The same ones on every run; TEST_CANARY_SEED makes others.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Test::More;

use Canary::Test;

use constant {
    BODIES   => 8500,
    REQUESTS => 1500,
};

my $t = Canary::Test->new(timeout => 600);
$t->backend($_) for qw(v1 v2);
srand($ENV{TEST_CANARY_SEED} // 4711);

$t->start(<<'EOC');
    upstream model_v1 { server 127.0.0.1:%%PORT_v1%%; }
    upstream model_v2 { server 127.0.0.1:%%PORT_v2%%; }

    upstream ep {
        canary_release  v1 model_v1;
        canary_release  v2 model_v2;
        canary_interval 1h;
        canary_rule     error_5xx_rate 10%;
    }

    server {
        listen 127.0.0.1:%%PORT_http%%;
        access_log off;
        error_log %%DIR%%/http.log error;
        location /canary/ { canary_api write=on; }
    }

    server {
        listen 127.0.0.1:%%PORT_raw%%;
        access_log off;
        error_log %%DIR%%/http.log error;
        client_header_timeout 30ms;
        client_body_timeout 30ms;
        client_body_buffer_size 64;
        keepalive_timeout 0;
        lingering_close off;
        location /canary/ { canary_api write=on; }
    }

    %%API%%
EOC

my $rule = '{"rule":"error_5xx_rate","rule_parameters":[{"name":"threshold",'
    . '"value":"0.1"},{"name":"confidence","value":0.999},'
    . '{"name":"burst_seconds","value":0.2},{"name":"min_requests","value":7}]}';

# Requests as they should be: method, path, body.
my @fine = (
    ['POST', '', qq({"release":"v2","strategy":"canary","canary_strategy":)
        . qq({"progress_interval_seconds":3600,"progress_steps":[0.1,0.5,1],)
        . qq("bake_seconds":3600,"on_violation":"halt","rules":[$rule]}})],
    ['POST', '', '{"release":"v2","strategy":"direct"}'],
    ['PATCH', '', '{"weight":0.35,"reason":"x"}'],
    ['PATCH', '', qq({"canary_strategy":{"on_undecided":"hold","rules":[)
        . qq({"rule_id":1006,"rule_parameters":[{"name":"threshold",)
        . qq("value":250},{"name":"baseline","value":"stable"}]},$rule]}})],
    (map { ['POST', "/$_", '{"reason":"gr\u00fcn \ud83d\udc26"}'] }
        qw(advance pause resume promote rollback)),
);

my @words = ('{', '}', '[', ']', '"', ',', ':', '\\', '\u0000', '\ud800',
             'null', 'true', '1e999', '-0', '0.0000001', '1E400', "\0",
             "\xff", "\xc0\x80", '{}', '[]', '[' x 200, '"weight"',
             '"reason"', '"rules"', '"off"', '"stable"', ' ' x 100,
             '9' x 400, "\r\n", '%', "\r\n\r\n");
my @heads = ("Transfer-Encoding: chunked\r\n", "Content-Length: 7\r\n",
             "Expect: 100-continue\r\n", "If-Match: W/\"1\", *\r\n",
             "If-Match: \"\r\n", "Origin: null\r\n", "Host: x\r\n",
             "Content-Length: 99999999999999999999\r\n", "Range: bytes=0-\r\n",
             "X-Canary-Token: x\r\n", "Connection: upgrade\r\n", '/../',
             '%2f', '%00', '%ff', '?after=', '?after=-1', ' HTTP/1.0',
             'X' x 9000, "\r\n", ':', '//', 'HEAD ', 'GET ');

my %documented = map { $_ => 1 }
    qw(200 201 400 403 404 405 409 412 413 503);

# What nginx itself answers to what is no request; 0 is nothing at all.
my %of_nginx = map { $_ => 1 } qw(0 408 411 414 501 505);

my $uri = '/canary/endpoints/ep/rollout';
my $generation = generation();
my %seen;
my $wrong = 0;


subtest 'bodies' => sub {
    my $client = $t->client;

    for my $n (1 .. BODIES) {
        my ($method, $path, $body) = @{ $fine[rand @fine] };
        my $mangled = mangle($body, \@words);
        my $response = $client->request(method => $method,
                                        uri => "$uri$path", body => $mangled);
        my $status = $response->status;

        $seen{$status}++;
        $generation = etag($response->head) // $generation if $status < 300;

        complain("$status: $method $path $mangled")
            unless $documented{$status};
        complain("$status has no problem: $method $path $mangled")
            if $status >= 400 && $response->header('Content-Type')
                                 ne 'application/problem+json';
        look("$method $path $mangled") if $n % 20 == 0 || $n > BODIES - 20;
        begin() if $n % 100 == 0;
    }

    is($wrong, 0, 'only documented answers, no change by a refusal');
    ok($seen{400} > BODIES / 4, 'some are refused');
    cmp_ok(($seen{200} // 0) + ($seen{201} // 0), '>', 20, 'some are not');
};

subtest 'whole requests' => sub {
    $wrong = 0;

    for my $n (1 .. REQUESTS) {
        my ($method, $path, $body) = @{ $fine[rand @fine] };
        my $request = join "\r\n", "$method $uri$path HTTP/1.1",
            'Host: 127.0.0.1', 'If-Match: *', 'Connection: close',
            'Content-Length: ' . length $body, '', $body;
        my $mangled = mangle($request, rand() < 0.5 ? \@heads : \@words);
        my $answer = raw($mangled);
        my @statuses = $answer =~ m{^HTTP/1\.1 (\d+) }mg;

        for my $status (@statuses ? @statuses : 0) {
            $seen{$status}++;
            complain("$status: $mangled")
                unless $documented{$status} || $of_nginx{$status}
                    || $status == 100;
        }

        $generation = etag($answer) // $generation
            if grep { /^20[01]$/ } @statuses;
        look($mangled);
        begin() if $n % 100 == 0;
    }

    is($wrong, 0, 'only documented answers, no change by a refusal');
};

is($t->worker_pids, 2, 'the workers are there') if $t->has_processes;
unlike($t->error_log, qr/exited on signal/, 'and have been all along');
diag(join ', ', map { "$_: $seen{$_}" } sort keys %seen)
    if $ENV{TEST_VERBOSE};
$t->finish;


sub mangle($text, $words) {
    for (0 .. int rand 3) {
        my $at = int rand(1 + length $text);
        my $length = int rand(rand() < 0.8 ? 4 : 40);
        my $kind = int rand 7;

        $length = length($text) - $at if $at + $length > length $text;

        if ($kind == 0) {
            substr $text, $at, $length, '';
        } elsif ($kind == 1) {
            substr $text, $at, 0, substr $text, $at, $length;
        } elsif ($kind == 2) {
            substr $text, $at, $length, $words->[rand @$words];
        } elsif ($kind == 3) {
            substr $text, $at, 0, $words->[rand @$words];
        } elsif ($kind == 4) {
            substr $text, $at, $length, join '', map { chr rand 256 }
                1 .. $length;
        } elsif ($kind == 5) {
            $text = substr $text, 0, $at if rand() < 0.3;
        } else {
            substr $text, $at, 1, substr $text, rand length $text, 1
                if $at < length $text;
        }
    }

    return $text;
}


# All that comes until the end of the connection.

sub raw($bytes) {
    my $client = $t->client('raw')->connect;
    my $answer = '';

    $client->write($bytes);
    while (length(my $more = $client->read_bytes(1))) {
        $answer .= $more . substr $client->{in}, 0, 1e6, '';

        # a stream of events has no end
        last if $answer =~ /^retry: /m;
    }

    return $answer;
}


# The generation that the last good answer tells.

sub etag($text) {
    my @tags = $text =~ /^ETag: "(\d+)"/mg;

    return $tags[-1];
}


sub generation() {
    state $client = $t->client('api');

    return $client->get('/canary/endpoints/ep')->json->{generation};
}


sub look($request) {
    my $now = generation();

    complain("generation $generation -> $now: $request")
        if $now != $generation;
    $generation = $now;

    return;
}


sub begin() {
    $t->start_rollout('ep') if $t->endpoint('ep')->{phase} eq 'idle';
    $generation = generation();

    return;
}


sub complain($text) {
    diag($text =~ s/([^\x20-\x7e])/sprintf '\\x%02x', ord $1/ger)
        if $wrong++ < 5;

    return;
}
