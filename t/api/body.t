#!/usr/bin/perl

# The bodies that the admin API is sent: how they arrive, and what is refused
# of them. Whatever is refused changes nothing.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use JSON::PP ();
use Test::More;

use Canary::Test;
use Canary::Util qw(connect_to now);

my $t = Canary::Test->new;
$t->backend($_) for qw(v1 v2);

my $http2 = $t->has('http_v2') ? 'http2' : '';

$t->write_file('page.html', '[<!--# include virtual="/api/endpoints/ep" -->]');

$t->start(<<"EOC");
    upstream model_v1 { server 127.0.0.1:%%PORT_v1%%; }
    upstream model_v2 { server 127.0.0.1:%%PORT_v2%%; }

    upstream ep {
        canary_release  v1 model_v1;
        canary_release  v2 model_v2;
        canary_interval 1h;
        canary_step     20%;
        canary_rule     failed_requests_max 1000000;
    }

    server {
        listen 127.0.0.1:%%PORT_http%%;

        location / {
            root %%DIR%%;
            ssi on;
        }

        location /api/  { canary_api write=on; }
        location /tiny/ {
            canary_api write=on;
            client_body_buffer_size 16;
        }
        location /file/ {
            canary_api write=on;
            client_body_in_file_only clean;
        }
        location /limit/ {
            canary_api write=on;
            client_max_body_size 1k;
            error_page 413 /page.html;

            location /limit/nested/ { proxy_pass http://ep; }
        }
        location /if/ {
            canary_api write=on;
            client_max_body_size 1k;
            if (\$http_x_any = "") { set \$any none; }
        }
        location /except/ {
            canary_api write=on;
            client_max_body_size 1k;
            limit_except GET { allow all; }
        }
        location /huge/ {
            canary_api write=on;
            client_max_body_size 0;
        }
        location = /mirrored {
            mirror /api/endpoints/ep/rollout/pause;
            proxy_pass http://ep;
        }
    }

    server {
        listen 127.0.0.1:%%PORT_h2%% $http2;
        location /api/ { canary_api write=on; }
        location /limit/ {
            canary_api write=on;
            client_max_body_size 1k;
        }
    }

    %%API%%
EOC

my $path = 'endpoints/ep/rollout';
my $last_event;    # of the last write that was accepted

$t->start_rollout('ep', steps => [0.5]);


# How a body arrives.

for my $place (qw(api tiny file huge)) {
    subtest "a body however it comes, /$place/" => sub {
        my $uri = "/$place/$path";
        my $body = '{"weight":0.25}' . ' ' x 20_000;

        is_patched(whole($uri, '{"weight":0.11}'), 0.11, 'in one piece');
        is_patched(pieces($uri, '{"we', 'ight":', '0.12}'), 0.12,
                   'in pieces');
        is_patched(whole($uri, $body), 0.25, 'larger than buffers');
        is_patched(pieces($uri, substr($body, 0, 7), substr($body, 7)), 0.25,
                   'larger, in pieces');
        is_patched(chunks($uri, '{"weight":0.13}'), 0.13, 'chunked');
        is_patched(chunks($uri, '{"we', 'ight":', '0.14', '}'), 0.14,
                   'in chunks');
        is_patched(chunks($uri, map { substr $body, $_ * 1000, 1000 } 0 .. 20),
                   0.25, 'in large chunks');
    };
}

subtest 'any Content-Type, or none' => sub {
    for my $type ('text/plain', 'application/x-www-form-urlencoded',
                  'multipart/form-data; boundary=x', '')
    {
        is_patched($t->api(PATCH => $path, '{"weight":0.5}',
                           headers => { 'Content-Type' => $type }), 0.5,
                   "'$type'");
    }
};

subtest 'one connection for many requests' => sub {
    my $client = $t->client('api');

    for my $n (1 .. 5) {
        my $good = $client->request(
            method => 'PATCH', uri => "/canary/$path",
            body => qq({"weight":0.$n}));
        my $bad = $client->request(
            method => 'PATCH', uri => "/canary/$path", body => '{"x":1}');
        my $conflict = $client->request(
            method => 'POST', uri => "/canary/$path/resume", body => '{}');
        my $absent = $client->request(
            method => 'POST', uri => '/canary/endpoints/none/rollout',
            body => 'x' x 1000);
        my $get = $client->get('/canary/endpoints/ep');

        is($good->json->{weight}, "0.$n");
        is($bad->status, 400);
        is($conflict->status, 409);
        is($absent->status, 404);
        is($get->json->{weight}, "0.$n");
    }

    is($client->{retried}, 0, 'it was never closed');
};

subtest 'pipelined requests' => sub {
    my $client = $t->client('api');
    my $head = "PATCH /canary/$path HTTP/1.1\r\nHost: x\r\n";

    $client->start(method => 'PATCH', uri => "/canary/$path",
                   body => '{"weight":0.31}');
    $client->write("${head}Content-Length: 7\r\n\r\n{\"x\":1}"
                   . "${head}Content-Length: 15\r\n\r\n{\"weight\":0.32}");
    is($client->finish->json->{weight}, 0.31);
    $t->wait_for(sub { $t->endpoint('ep')->{weight} == 0.32 });
    pass('all of them were read');
};

subtest '64 KiB is the most' => sub {
    my $fits = '{"weight":0.5}' . ' ' x (65536 - 14);

    for my $place (qw(api tiny file)) {
        is_patched(whole("/$place/$path", $fits), 0.5, "$place: 65536 bytes");
        is_patched(chunks("/$place/$path", $fits), 0.5, "$place: chunked");
        is_refused(whole("/$place/$path", "$fits "), 413, "$place: 65537");
        is_refused(chunks("/$place/$path", $fits, ' '), 413,
                   "$place: chunked 65537");
    }

    my $client = $t->client;
    $client->start(method => 'PATCH', uri => "/api/$path",
                   headers => { 'Content-Length' => 65537 });
    is_refused($client->finish, 413, 'before the body is sent');

    is_refused(whole("/huge/$path", ' ' x 5_000_000), 413, '5 MB');
    is_refused(chunks("/huge/$path", ' ' x 5_000_000), 413, '5 MB, chunked');
};

subtest 'a body without an end' => sub {
    for my $place (qw(api tiny file limit huge)) {
        my $client = $t->client;

        $client->start(method => 'PATCH', uri => "/$place/$path",
                       headers => { 'Transfer-Encoding' => 'chunked' });
        $client->write(sprintf "%x\r\n%s\r\n", 35_000, ' ' x 35_000) for 1, 2;
        is_refused($client->finish, 413, "$place: is not waited for");
    }
};

subtest 'a smaller limit of nginx itself' => sub {
    my $fits = '{"weight":0.5}' . ' ' x (1024 - 14);

    for my $place (qw(limit if except)) {
        is_patched(whole("/$place/$path", $fits), 0.5, "$place: 1024 bytes");
        is_patched(chunks("/$place/$path", $fits), 0.5, "$place: chunked");

        my $response = whole("/$place/$path", "$fits ");
        is_refused($response, 413, "$place: 1025");
        like($response->json->{detail}, qr/larger than 1024 bytes/);

        is_refused(chunks("/$place/$path", $fits, ' '), 413,
                   "$place: chunked 1025");
        is_refused(whole("/$place/$path", ' ' x 3_000_000), 413,
                   "$place: above nginx's own default");
    }

    my $response = whole('/limit/nested/', ' ' x 1025);
    is($response->status . ' ' . $response->header('Content-Type'),
       '413 text/html', 'a location inside has the limit still');
    is(chunks('/limit/nested/', ' ' x 1025)->status, 413, 'chunked');
    is(whole('/limit/nested/', ' ' x 1024)->status, 200);
};

subtest 'chunks that are none' => sub {
    is(raw("PATCH /api/$path HTTP/1.1\r\nHost: x\r\n"
           . "Transfer-Encoding: chunked\r\n\r\nzz\r\n")->status, 400,
       'a chunk that is none');
};

subtest '100 Continue' => sub {
    my $client = $t->client;

    $client->start(method => 'PATCH', uri => "/api/$path",
                   headers => { 'Content-Length' => 14,
                                Expect => '100-continue' });
    like($client->read_bytes(25), qr{^HTTP/1\.1 100 Continue}, 'is awaited');
    $client->write('{"weight":0.5}');
    is($client->finish->status, 200);

    for my $case (['a body too large', "/api/$path", 70_000, 413],
                  ['a smaller limit', "/limit/$path", 1025, 413],
                  ['no such path', '/api/nowhere', 10, 404],
                  ['no such method', '/api/', 10, 405])
    {
        my ($name, $uri, $length, $status) = @$case;

        $client = $t->client;
        $client->start(method => 'PATCH', uri => $uri,
                       headers => { 'Content-Length' => $length,
                                    Expect => '100-continue' });
        my $answer = $client->read_bytes(12);
        is($answer, "HTTP/1.1 $status", "$name: refused without it");
    }
};

subtest 'a client that leaves in the middle' => sub {
    my $generation = generation();

    for (1 .. 3) {
        my $client = $t->client;
        $client->start(method => 'PATCH', uri => "/api/$path",
                       headers => { 'Content-Length' => 15 });
        $client->write('{"weight":0.4');
        $_ % 2 ? $client->reset : $client->close;
    }

    is($t->get('/api/')->status, 200);
    is(generation(), $generation);
};

subtest 'HTTP/2' => sub {
    needs('http_v2');

    my ($status, $body) = http2('GET', '/api/endpoints/ep');
    is($status, 200);
    is(JSON::PP::decode_json($body)->{name}, 'ep');

    ($status, $body) = http2('PATCH', "/api/$path", '{"weight"', ':0.6}');
    is($status, 200);
    is(JSON::PP::decode_json($body)->{weight}, 0.6);

    my $generation = generation();

    ($status, $body) = http2('PATCH', "/api/$path", '{"weight":7}');
    is($status, 400);
    is(JSON::PP::decode_json($body)->{errors}[0]{pointer}, '/weight');

    ($status) = http2('PATCH', "/api/$path", (' ' x 16384) x 4, ' ');
    is($status, 413, 'without a length, too large');

    ($status, $body) = http2('PATCH', "/limit/$path", ' ' x 1000, ' ' x 25);
    is($status, 413, 'a smaller limit');
    is(JSON::PP::decode_json($body)->{status}, 413);

    ($status) = http2('PATCH', "/limit/$path", (' ' x 16384) x 12);
    is($status, 413, 'much too large');

    ($status) = http2('POST', '/api/nowhere', 'x');
    is($status, 404);

    is(generation(), $generation);
};

subtest 'subrequests' => sub {
    my $page = $t->get('/page.html')->body;

    like($page, qr/^\[\{"name":"ep",.*\}\s*\]$/s, 'an endpoint in a page');

    is($t->request(method => 'POST', uri => '/mirrored',
                   body => '{"reason":"mirrored"}')->status, 200);
    $t->wait_for(sub { $t->endpoint('ep')->{phase} eq 'paused' });
    is(($t->events('ep'))[0]{reason}, 'mirrored', 'a body in a mirror');
    $t->verb(ep => 'resume');
};


# What is refused.

my @no_json = (
    ['nothing but space', ' '],
    ['an open brace', '{'],
    ['what follows', '{"weight":0.5} {}'],
    ['a comma too many', '{"weight":0.5,}'],
    ['single quotes', "{'weight':0.5}"],
    ['a form', 'weight=0.5'],
    ['NaN', '{"weight":NaN}'],
    ['Infinity', '{"weight":-Infinity}'],
    ['hexadecimal', '{"weight":0x1}'],
    ['a zero byte', "{\"weight\":0.5}\0"],
    ['a zero byte in a name', "{\"weight\0x\":0.5}"],
    ['U+0000 in a name', '{"weight\u0000x":0.5}'],
    ['U+0000 in a text', '{"weight":0.5,"reason":"x\u0000y"}'],
    ['a control character', "{\"reason\":\"a\x01b\"}"],
    ['no UTF-8', "{\"reason\":\"\xff\"}"],
    ['UTF-8 that is too long', "{\"reason\":\"\xc0\xaf\"}"],
    ['half a surrogate', '{"reason":"\ud800"}'],
    ['nested too deeply', '[' x 60_000],
    ['nested too deeply in a field', '{"weight":' x 6000],
    ['UTF-16', "\xff\xfe{\0}\0"],
    ['a mark of byte order', "\xef\xbb\xbf{}"],
    ['no-break space', "\xc2\xa0{}"],
    ['a form feed', "\f{}"],
    ['a line end in a text', qq({"reason":"a\nb"})],
    ['a tab in a name', qq({"rea\tson":"x"})],
    ['\u without digits in a text', '{"reason":"approved by bob\uZZZZ, not"}'],
    ['\u without digits in a name', '{"reason\uZZZZ":"x","x\uZZZZ":1}'],
    ['\u with three digits', '{"reason":"\u123"}'],
    ['\u with a sign', '{"reason":"\u+041"}'],
    ['a low surrogate alone', '{"reason":"\udc00x"}'],
    ['two high surrogates', '{"reason":"\ud800\ud800"}'],
    ['a high surrogate before no digits', '{"reason":"\ud800\uQQQQ"}'],
    ['an unknown escape', '{"reason":"\a"}'],
    ['a leading zero', '{"weight":00.5}'],
    ['a point without digits', '{"weight":0.}'],
    ['digits that begin with a point', '{"weight":.5}'],
    ['a plus', '{"weight":+0.5}'],
    ['an exponent without digits', '{"weight":5e}'],
    ['a long number', '{"weight":0.5' . '0' x 70 . '}'],
    ['a comment', '{"weight":0.5}/* half */'],
    ['True', '{"reason":True}'],
    ['the wrong brackets', '{"reason":"x"]'],
);

$last_event = newest();

subtest 'what is no JSON' => sub {
    for my $case (@no_json) {
        my ($name, $body) = @$case;

        for my $verb ('', '/pause') {
            my $response = $t->api($verb ? 'POST' : 'PATCH', "$path$verb",
                                   $body);

            is_refused($response, 400, "$name$verb");
            is($response->json->{errors}[0]{pointer}, '');
        }
    }
};

my @no_body = (
    ['an array', '[]', ''],
    ['a number', '7', ''],
    ['null', 'null', ''],
    ['a text', '"pause"', ''],
    ['deep arrays', '[' x 500 . ']' x 500, ''],
    ['an unknown field', '{"x":1}', '/x'],
    ['a field that is almost known', '{"Reason":"x"}', '/Reason'],
    ['a name to be escaped', '{"a/b~c":1}', '/a~1b~0c'],
    ['no name', '{"":1}', '/'],
    ['a field twice', '{"reason":"a","reason":"b"}', '/reason'],
    ['a name twice below', '{"reason":{"a":[0,{"b":1,"\u0062":2}]}}',
     '/reason/a/1/b'],
    ['a field twice, escaped', '{"reason":"a","\u0072eason":"b"}', '/reason'],
    ['no text', '{"reason":7}', '/reason'],
    ['null for a text', '{"reason":null}', '/reason'],
    ['a long text', '{"reason":"' . 'x' x 192 . '"}', '/reason'],
    ['a line end', '{"reason":"a\nb"}', '/reason'],
    ['an escape sequence', '{"reason":"\u001b[2J"}', '/reason'],
    ['a C1 control character', '{"reason":"\u0085"}', '/reason'],
    ['a long unknown name', '{"' . 'x' x 60_000 . '":1}', ''],
);

subtest 'a name that is cut names nothing' => sub {
    $t->verb(ep => 'rollback');
    $last_event = newest();

    for my $release ('v2\uQQQQ-is-not-there', 'v2\u0000x', 'v2\u000', "v2\0") {
        is_refused($t->api_post($path, qq({"release":"$release"})), 400,
                   $release);
    }

    $t->start_rollout('ep');
    $last_event = newest();
};

# Each with each other, 64 KiB of names are 40 million comparisons.

subtest 'thousands of names' => sub {
    my $names = join ',', map { sprintf '"%x":0', $_ } 1 .. 7000;
    my $response = $t->api_patch($path, "{$names}");

    is_refused($response, 400, 'all unknown');
    like($response->json->{detail}, qr/^7001 errors/);

    $response = $t->api_patch($path, qq({$names,"1":0}));
    is_refused($response, 400, 'one of them twice');
    is_deeply([ map { $_->{pointer} } @{ $response->json->{errors} } ],
              ['/1'], 'is told');
};

subtest 'what is no body of a verb' => sub {
    for my $case (@no_body) {
        my ($name, $body, $pointer) = @$case;

        for my $verb (qw(pause advance resume promote rollback)) {
            my $response = $t->api_post("$path/$verb", $body);

            is_refused($response, 400, "$name, $verb");
            is($response->json->{errors}[0]{pointer}, $pointer);
            ok(length $response->body < 2000, 'a short answer');
        }
    }
};

subtest 'what is no strategy' => sub {
    my $rule = '"rules":[{"rule":"error_rate","rule_parameters":'
        . '[{"name":"threshold","value":%s}%s]}]';
    my $value = '/rules/0/rule_parameters/%d/value';
    my @cases = (
        ['7', '', qr/an object, not 7/],
        ['{"x":1}', '/x', qr/known/],
        ['{"progress_step":0}', '/progress_step', qr/0\.001 to 1, not 0/],
        ['{"progress_step":"0.2"}', '/progress_step', qr/not "0\.2"/],
        ['{"progress_step":0.1,"progress_step":0.2}', '/progress_step',
         qr/twice/],
        ['{"rules":[{"rule":"error_rate","rule_id":1,"rule":"error_rate"}]}',
         '/rules/0/rule', qr/twice/],
        ['{"progress_steps":[0.5,0.2]}', '/progress_steps/1', qr/not 0\.2/],
        ['{"progress_interval_seconds":1e999}', '/progress_interval_seconds',
         qr/large/],
        ['{"on_violation":"panic"}', '/on_violation', qr/rollback, halt/],
        ['{"on_undecided":true}', '/on_undecided', qr/hold, advance/],
        ['{"approval":"yes"}', '/approval', qr/off, step, promotion/],
        ['{"rules":{}}', '/rules', qr/list/],
        ['{"rules":[{"rule":"latency_p75_max","rule_parameters":'
         . '[{"name":"threshold","value":1}]}]}', '/rules/0/rule',
         qr/error_4xx_rate \(1007\).*, not "latency_p75_max"/],
        ['{"rules":[{"rule_id":1009,"rule_parameters":'
         . '[{"name":"threshold","value":1}]}]}', '/rules/0/rule_id',
         qr/latency_p90_max \(1006\).*, not 1009/],
        (map { [sprintf("{$rule}", $_, ''), sprintf($value, 0),
                qr/a ratio from 0 to 1/] }
            '"10%"', '1.1', '-0.1', '"nan"', '"inf"', '"0,1"', '1e400',
            'true', 'null', '""'),
        (map { [sprintf("{$rule}", '0.1',
                        qq(,{"name":"$_->[0]","value":$_->[1]})),
                sprintf($value, 1), $_->[2]] }
            ['min_requests', 0, qr/from 1 to/],
            ['min_requests', '"1.5"', qr/whole number/],
            ['confidence', 1, qr/"off", or a ratio from 0\.5 .*, not 1$/],
            ['confidence', 0.4, qr/from 0\.5 up to.*, not 0\.4/],
            ['confidence', '"high"', qr/"off", or .*, not "high"/],
            ['confidence', 'null', qr/"off", or .*, not null/],
            ['burst_seconds', 0.15, qr/0 to 10, in tenths, not 0\.15/],
            ['burst_seconds', -1, qr/0 to 10, in tenths, not -1/],
            ['burst_seconds', '"11"', qr/0 to 10, in tenths, not "11"/],
            ['baseline', '"canary"', qr/stable.*, not "canary"/],
            ['baseline', 1, qr/stable.*, not 1/]),
        (map { [ sprintf("{$rule}", '0.1',
                         qq(,{"name":"window_seconds","value":$_})
                         . ',{"name":"confidence","value":"off"}'),
                 sprintf($value, 1), qr/from 0\.1 to 86400, not \Q$_\E/ ] }
            0.05, 86401),
        (map { [ sprintf("{$rule}", '0.1', $_->[0]),
                 '/rules/0/rule_parameters', $_->[1] ] }
            [ ',{"name":"window_seconds","value":10}',
              qr/^error_rate has a window, which needs "confidence=off"/ ],
            [ ',{"name":"burst_seconds","value":0},'
              . '{"name":"confidence","value":"off"}',
              qr/^error_rate has a burst, which is only for rules with/ ]),
        (map { [ '{"rules":[{"rule":"failed_requests_max",'
                 . '"rule_parameters":[{"name":"threshold","value":5},'
                 . qq({"name":"$_->[0]","value":$_->[1]}]}]}),
                 '/rules/0/rule_parameters',
                 qr/^failed_requests_max is a budget.* has no confidence/ ] }
            [ 'confidence', 0.9 ], [ 'burst_seconds', 0 ],
            [ 'window_seconds', 10 ], [ 'baseline', '"stable"' ]),
        [ '{"rules":[' . join(',', ('{"rule":"latency_p50_max",'
              . '"rule_parameters":[{"name":"threshold","value":1}]}') x 9)
          . ']}', '/rules', qr/at most 8 rules about quantiles of latency/ ],
        ['{"rules":[{"rule":"latency_p90_max","rule_parameters":'
         . '[{"name":"threshold","value":0},'
         . '{"name":"baseline","value":"stable"}]}]}', sprintf($value, 0),
         qr/a factor above 0, up to 1000, not 0/],
    );

    for my $case (@cases) {
        my ($strategy, $pointer, $detail) = @$case;
        my $response = $t->api_patch($path,
                                     qq({"canary_strategy":$strategy}));

        is_refused($response, 400, $strategy);

        my @errors = @{ $response->json->{errors} };
        is(@errors, 1);
        is($errors[0]{pointer}, "/canary_strategy$pointer");
        like($errors[0]{detail}, $detail);
    }
};

subtest 'all that is wrong is told at once' => sub {
    my $response = $t->api_patch($path,
        '{"weight":2,"reason":7,"x":1,"canary_strategy":'
        . '{"bake_seconds":-1,"y":1}}');
    my @pointers = map { $_->{pointer} } @{ $response->json->{errors} };

    is_refused($response, 400, 'five errors');
    is_deeply([ sort @pointers ],
              [ '/canary_strategy/bake_seconds', '/canary_strategy/y',
                '/reason', '/weight', '/x' ]);
    like($response->json->{detail}, qr/^5 errors/);

    $response = $t->api_patch($path,
        '{' . join(',', map { qq("k$_":1) } 1 .. 5000) . '}');
    is(@{ $response->json->{errors} }, 16, 'or the first of them');
    like($response->json->{detail}, qr/^5001 errors/);
};

subtest 'a reason' => sub {
    for my $reason ('x' x 191, "gr\x{fc}n \x{2713} \"q\" \\ %s \x{1f426}",
                    '')
    {
        $t->verb(ep => 'pause', { reason => $reason });
        my ($event) = $t->events('ep');
        is($event->{reason}, $reason eq '' ? 'paused' : $reason);
        $t->verb(ep => 'resume');
    }
};

$t->finish;


sub generation() {
    return $t->endpoint('ep')->{generation};
}


sub newest() {
    return ($t->events('ep'))[0]{id};
}


sub whole($uri, $body) {
    return $t->request(method => 'PATCH', uri => $uri, body => $body);
}


sub pieces($uri, @pieces) {
    my $client = $t->client;

    $client->start(method => 'PATCH', uri => $uri, headers =>
                   { 'Content-Length' => length join '', @pieces });
    for my $piece (@pieces) {
        select undef, undef, undef, 0.02;    # in a packet of its own
        $client->write($piece);
    }

    return $client->finish;
}


sub chunks($uri, @chunks) {
    my $client = $t->client;

    $client->start(method => 'PATCH', uri => $uri,
                   headers => { 'Transfer-Encoding' => 'chunked' });
    $client->write(sprintf "%x\r\n%s\r\n", length $_, $_)
        for grep { length } @chunks;
    $client->write("0\r\n\r\n");

    return $client->finish;
}


sub raw($bytes) {
    my $client = $t->client->connect;

    $client->{method} = 'PATCH';
    $client->{timeout} = 10;
    $client->write($bytes);

    return $client->finish;
}


sub is_patched($response, $weight, $name) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    is($response->status, 200, $name) or return diag($response->body);
    $last_event = newest();

    return is($response->json->{weight}, $weight);
}


sub is_refused($response, $status, $name) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $problem = eval { $response->json } // {};
    my $expected = "$status $status application/problem+json";
    my $got = join ' ', $response->status, $problem->{status} // '-',
        $response->header('Content-Type');

    return is("$got " . newest(), "$expected $last_event",
              "$name: refused, and nothing has changed");
}


# A request by HTTP/2 with prior knowledge, the body in as many DATA frames
# as there are pieces: (status, body).

sub http2($method, $uri, @pieces) {
    my $socket = connect_to($t->port('h2')) or die "connect: $!";
    my $field = sub ($name, $value) {
        return pack 'C C/a* C/a*', 0, $name, $value;
    };
    my $headers = join '', map { $field->(@$_) }
        [':method', $method], [':scheme', 'http'], [':path', $uri],
        [':authority', 'localhost'];

    syswrite $socket, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
        . frame(4, 0, 0, '')
        . frame(1, @pieces ? 4 : 5, 1, $headers);
    while (defined(my $piece = shift @pieces)) {
        syswrite $socket, frame(0, @pieces ? 0 : 1, 1, $piece);
    }

    my ($in, $status, $body, $deadline) = ('', 0, '', now() + 10);

    while (now() < $deadline) {
        while (length $in >= 9) {
            my ($high, $low, $type, $flags) = unpack 'C n C C', $in;
            my $length = ($high << 16) + $low;

            last if length $in < 9 + $length;
            my $payload = substr substr($in, 0, 9 + $length, ''), 9;

            $status = status_of($payload) if $type == 1;
            $body .= $payload if $type == 0;
            return ($status, $body) if $type < 2 && $flags & 1;
            return (0, "reset $type") if $type == 3 || $type == 7;
        }

        my $ready = '';
        vec($ready, fileno $socket, 1) = 1;
        select $ready, undef, undef, 1;
        sysread $socket, $in, 65536, length $in or last if $ready =~ /[^\0]/;
    }

    return (0, 'no answer');
}


sub frame($type, $flags, $stream, $payload) {
    return pack('C n C C N', length($payload) >> 16,
                length($payload) & 0xffff, $type, $flags, $stream) . $payload;
}


# :status is the first field, from the static table or as plain digits.

sub status_of($block) {
    my %indexed = (0x88 => 200, 0x8c => 400, 0x8d => 404, 0x8e => 500);

    $block =~ s/^[\x20-\x3f]//;

    return $indexed{ ord $block }
        // ($block =~ /^[\x08\x48]\x03(\d\d\d)/ ? $1 : -ord $block);
}
