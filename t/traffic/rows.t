#!/usr/bin/perl

# More of what can happen to an attempt, beside outcome.t: TLS, the CGI
# family, gRPC, early hints, subrequests, tunnels and shutdowns. Each row tells
# what it adds to the counters of the canary, and to the evidence of its rules.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Test::More;

use Canary::Test;
use Canary::Util qw(fork_child listen_on reserve_port);

my $t = Canary::Test->new(workers => 1);
my $one = $t->backend('one');
my %has = map { $_ => $t->has("http_$_") }
    qw(fastcgi uwsgi scgi grpc ssl ssi mirror auth_request);
my $version = $t->version;
my $http2 = $version >= 1_029_004 && $t->has('http_v2') && $has{grpc};
my $connect = $version >= 1_031_000 && $t->has('http_tunnel');
my %of = map { $_ => $t->backend($_, protocol => $_) }
    grep { $has{$_} } qw(fastcgi uwsgi scgi grpc);
my $tls = $has{ssl} && self_signed();
my $hints = early_hints();

$one->on('/page', headers => { 'Content-Type' => 'text/html' },
         body => '<!--# include virtual="/part/1" -->'
               . '<!--# include virtual="/part/2" -->');

my ($upstreams, $locations) = ('', '');

# An endpoint of each protocol; of gRPC both releases are the same.
for my $protocol (sort keys %of) {
    $upstreams .= endpoint_of($protocol, $protocol);
    $locations .= $protocol eq 'grpc'
        ? "        location /grpc { grpc_pass grpc://grpc_ep;"
          . " grpc_read_timeout %%300ms%%; }\n"
        : "        location /$protocol { ${protocol}_pass ${protocol}_ep;"
          . " ${protocol}_param REQUEST_URI \$request_uri;"
          . " ${protocol}_param REQUEST_METHOD \$request_method;"
          . " ${protocol}_param CONTENT_LENGTH \$content_length;"
          . " ${protocol}_read_timeout %%300ms%%; }\n"
          . "        location /patient/$protocol { ${protocol}_pass"
          . " ${protocol}_ep; ${protocol}_read_timeout 60s; }\n"
          . "        location /intercept/$protocol { ${protocol}_pass"
          . " ${protocol}_ep; ${protocol}_intercept_errors on;"
          . " error_page 404 500 =200 /sorry; }\n";
}

# Only a connection that could be kept tells the end of an answer.
$locations .= <<'EOC' if $of{fastcgi};
        location /kept/fastcgi {
            fastcgi_pass fastcgi_ep;
            fastcgi_param REQUEST_URI $request_uri;
            fastcgi_keep_conn on;
        }
EOC

# The same peer, which speaks HTTP/2, by proxy_pass.
if ($http2) {
    $upstreams .= endpoint_of('http2', 'grpc');
    $locations .= <<'EOC';
        location /http2 { proxy_pass http://http2_ep; proxy_http_version 2; }
EOC
}

my $connect_http = $connect ? <<'EOC' : '';
    server {
        listen 127.0.0.1:%%PORT_connect%%;
        location / { tunnel_pass ep; }
    }
    server {
        listen 127.0.0.1:%%PORT_connect_short%%;
        location / { tunnel_pass ep; tunnel_read_timeout %%300ms%%; }
    }
EOC

my $tls_http = $tls ? <<'EOC' : '';
    server {
        listen 127.0.0.1:%%PORT_tls%% ssl;
        server_name tls.test;
        ssl_certificate     %%DIR%%/tls.crt;
        ssl_certificate_key %%DIR%%/tls.key;
        location /     { return 200 tls; }
        location /bad/ { return 500; }
    }
    upstream tls { server 127.0.0.1:%%PORT_tls%%; }
    upstream tls_ep {
        canary_release  v1 tls;
        canary_release  v2 tls;
        canary_fallback off;
    }
    upstream untls_ep {
        canary_release  v1 one;
        canary_release  v2 one;
        canary_fallback off;
    }
EOC

my $tls_locations = $tls ? <<'EOC' : '';
        proxy_ssl_trusted_certificate %%DIR%%/tls.crt;
        proxy_ssl_server_name on;

        location /tls/unverified { proxy_pass https://tls_ep/; }
        location /tls/ {
            proxy_pass https://tls_ep/;
            proxy_ssl_verify on;
            proxy_ssl_name tls.test;
        }
        location /tls/bad/ {
            proxy_pass https://tls_ep/bad/;
            proxy_ssl_verify on;
            proxy_ssl_name tls.test;
        }
        location /tls/other_name {
            proxy_pass https://tls_ep/;
            proxy_ssl_verify on;
            proxy_ssl_name other.test;
        }
        location /tls/nobody {
            proxy_pass https://tls_ep/;
            proxy_ssl_verify on;
            proxy_ssl_trusted_certificate %%DIR%%/other.crt;
            proxy_ssl_session_reuse off;
            proxy_ssl_name tls.test;
        }
        location /tls/cipher {
            proxy_pass https://tls_ep/;
            proxy_ssl_protocols TLSv1.2;
            proxy_ssl_ciphers ECDHE-ECDSA-AES128-GCM-SHA256;
            proxy_ssl_session_reuse off;
        }
        location /untls { proxy_pass https://untls_ep; }
EOC

my $http = <<'EOC';
    upstream one  { server 127.0.0.1:%%PORT_one%%; }
    upstream ep {
        canary_release  v1 one;
        canary_release  v2 one;
        canary_fallback off;
    }
    upstream hints { server 127.0.0.1:HINTS; }
    upstream hints_ep {
        canary_release  v1 hints;
        canary_release  v2 hints;
        canary_fallback off;
    }
    %%UPSTREAMS%%

    server {
        listen 127.0.0.1:%%PORT_http%%;
        proxy_connect_timeout %%300ms%%;
        proxy_read_timeout    %%300ms%%;
        proxy_http_version    1.1;
        proxy_set_header      Connection close;

        location /        { proxy_pass http://ep; }
        location /part/   { proxy_pass http://ep; proxy_read_timeout 60s; }
        location /page    { ssi on; proxy_pass http://ep; }
        location /mirror/ { mirror /copy; proxy_pass http://ep; }
        location = /copy  { internal; proxy_pass http://ep/copy; }
        location = /sorry { return 200 sorry; }
        location /patient { proxy_pass http://ep; proxy_read_timeout 60s; }
        location /tunnel  {
            proxy_pass http://ep;
            proxy_read_timeout 60s;
            proxy_set_header Connection upgrade;
            proxy_set_header Upgrade $http_upgrade;
        }
        location /tunnel/short {
            proxy_pass http://ep;
            proxy_set_header Connection upgrade;
            proxy_set_header Upgrade $http_upgrade;
        }
        location /stream {
            proxy_pass http://ep;
            proxy_read_timeout 60s;
            proxy_buffering off;
        }
        location /hints/     { proxy_pass http://hints_ep; }
        location /early/     { proxy_pass http://hints_ep; EARLY }
        %%LOCATIONS%%
    }

    %%API%%
EOC

my $early = $version >= 1_029_000 ? 'early_hints 1;' : '';
$http =~ s/HINTS/$hints->{port}/;
$http =~ s/EARLY/$early/;
$http =~ s/%%UPSTREAMS%%/$upstreams$connect_http$tls_http/;
$http =~ s/%%LOCATIONS%%/$locations$tls_locations/;

$t->start($http, main => 'worker_shutdown_timeout 200ms;');

my @endpoints = ('ep', 'hints_ep', $tls ? qw(tls_ep untls_ep) : (),
                 $http2 ? 'http2_ep' : (), map { "${_}_ep" } sort keys %of);
my %sum;    # what has been counted, by endpoint

for my $endpoint (@endpoints) {
    $t->start_rollout($endpoint, steps => [1], rules => [
        map { rule($_ => 0.99, confidence => 'off', min_requests => 1_000_000) }
            qw(error_5xx_rate error_4xx_rate)
    ]);
    $sum{$endpoint} = {};
}


subtest 'TLS' => sub {
    needs('http_ssl', 'openssl');

    row('a handshake, verified', tls_ep => { '2xx' => 1 }, sub {
        is($t->get('/tls/')->body, 'tls', 'the client got it');
    });
    row('the same session again', tls_ep => { '2xx' => 1 }, sub {
        is($t->get('/tls/')->body, 'tls', 'the client got it');
    });
    row('one that nobody verifies', tls_ep => { '2xx' => 1 }, sub {
        is($t->get('/tls/unverified')->body, 'tls', 'the client got it');
    });
    row('500 over TLS', tls_ep => { '5xx' => 1 }, sub {
        is($t->get('/tls/bad/')->status, 500, 'the client got 500');
    });
    row('a certificate of another name', tls_ep => { failed => 1 }, sub {
        is($t->get('/tls/other_name')->status, 502, 'the client got 502');
    });
    row('a certificate of nobody', tls_ep => { failed => 1 }, sub {
        is($t->get('/tls/nobody')->status, 502, 'the client got 502');
    });
    row('no common cipher', tls_ep => { failed => 1 }, sub {
        is($t->get('/tls/cipher')->status, 502, 'the client got 502');
    });
    row('a peer that hangs', untls_ep => { failed => 1, timeouts => 1 }, sub {
        $one->set;    # it waits for the end of a request
        is($t->get('/untls')->status, 504, 'the client got 504');
    });
    row('a peer that refuses', untls_ep => { failed => 1 }, sub {
        $one->set(mode => 'refuse');
        is($t->get('/untls')->status, 502, 'the client got 502');
    });
    row('a peer that closes', untls_ep => { failed => 1 }, sub {
        $one->set(mode => 'slam');
        is($t->get('/untls')->status, 502, 'the client got 502');
    });
};

for my $protocol (qw(fastcgi scgi uwsgi)) {
    subtest $protocol => sub {
        needs("http_$protocol");

        my $backend = $of{$protocol};
        my $endpoint = "${protocol}_ep";
        my $uri = "/$protocol";
        my $answers = sub ($status, %behaviour) {
            return sub () {
                $backend->set(%behaviour);
                is($t->get($uri)->status, $status, "the client got $status");
            };
        };

        row('status 200', $endpoint, { '2xx' => 1 }, $answers->(200));
        row('POST', $endpoint, { '2xx' => 1 }, sub {
            is($t->get($uri, method => 'POST', body => 'x')->status, 200,
               'answered');
        });
        row("status $_", $endpoint, { substr($_, 0, 1) . 'xx' => 1 },
            $answers->($_, status => $_)) for 302, 404, 500, 503;
        row($_, $endpoint, { failed => 1 }, $answers->(502, mode => $_))
            for qw(close reset refuse bad_header);
        row('timeout', $endpoint, { failed => 1, timeouts => 1 },
            $answers->(504, mode => 'hang'));
        row('hidden by error_page', $endpoint, { '5xx' => 1 }, sub {
            $backend->set(status => 500);
            is($t->get("/intercept$uri")->body, 'sorry',
               'the client got sorry');
        });
        row('client gone', $endpoint, { aborted => 1 }, sub {
            $backend->set(mode => 'hang');
            waiting("/patient$uri", $backend)->close;
        });

        row('a body shorter than its length', $endpoint,
            { attempts => 1, '2xx' => 1, failed => 1 }, sub {
            $backend->set(headers => { 'Content-Length' => 1000 });
            isnt($t->get($uri)->error, undef, 'the client got no whole one');
        });
        row('a body without its end', $endpoint,
            { attempts => 1, '2xx' => 1, failed => 1 }, sub {
            $backend->set(mode => 'short');
            isnt($t->get("/kept$uri")->error, undef,
                 'the client got no whole one');
        }) if $protocol eq 'fastcgi';
        $backend->set;
    };
}

subtest 'gRPC' => sub {
    needs('http_grpc');

    my $call = sub (%behaviour) {
        return sub () {
            $of{grpc}->set(%behaviour);
            $t->request(uri => '/grpc', method => 'POST', body => "\0" x 5);
        };
    };

    row('status 0 in the trailers', grpc_ep => { '2xx' => 1 }, $call->());
    row('status 14 in the trailers',
        grpc_ep => { attempts => 1, '2xx' => 1, failed => 1 },
        $call->(grpc_status => 14));
    row('status 5 in the trailers', grpc_ep => { '2xx' => 1, rejected => 1 },
        $call->(grpc_status => 5));
    row('status 5 in the header', grpc_ep => { '4xx' => 1 },
        $call->(grpc_status => 5, trailers_only => 1));
    row('status 1 in the trailers',
        grpc_ep => { attempts => 1, '2xx' => 1, aborted => 1 },
        $call->(grpc_status => 1));
    row('status 1 in the header', grpc_ep => { aborted => 1 },
        $call->(grpc_status => 1, trailers_only => 1));
    row('status 13 in the header', grpc_ep => { '5xx' => 1 },
        $call->(grpc_status => 13, trailers_only => 1));
    row('no trailers', grpc_ep => { attempts => 1, '2xx' => 1, failed => 1 },
        $call->(mode => 'short'));
    row('reset stream', grpc_ep => { failed => 1 }, $call->(mode => 'rst'));
    row('reset stream in the body',
        grpc_ep => { attempts => 1, '2xx' => 1, failed => 1 },
        $call->(mode => 'rst_body', body_delay_ms => 20));
    row('timeout', grpc_ep => { failed => 1, timeouts => 1 },
        $call->(mode => 'hang'));
    row('status 503', grpc_ep => { '5xx' => 1 },
        $call->(status => 503, trailers_only => 1));
    $of{grpc}->set;
};

subtest 'HTTP/2' => sub {
    needs('1.29.4', 'http_v2', 'http_grpc');

    my $get = sub (%behaviour) {
        return sub () {
            $of{grpc}->set(%behaviour);
            $t->get('/http2');
        };
    };

    row('status 200', http2_ep => { '2xx' => 1 }, $get->());
    row('what only gRPC minds', http2_ep => { '2xx' => 1 },
        $get->(grpc_status => 14));
    row('status 404', http2_ep => { '4xx' => 1 }, $get->(status => 404));
    row('status 503', http2_ep => { '5xx' => 1 },
        $get->(status => 503, trailers_only => 1));
    row('reset stream', http2_ep => { failed => 1 }, $get->(mode => 'rst'));
    row('reset stream in the body',
        http2_ep => { attempts => 1, '2xx' => 1, failed => 1 },
        $get->(mode => 'rst_body', body_delay_ms => 20));
    row('a body without its end',
        http2_ep => { attempts => 1, '2xx' => 1, failed => 1 },
        $get->(mode => 'short', body_delay_ms => 20));
    row('timeout', http2_ep => { failed => 1, timeouts => 1 },
        $get->(mode => 'hang'));
    $of{grpc}->set;
};

subtest 'early hints' => sub {
    needs('1.29.0');

    for my $way (qw(hints early)) {
        row("$way: 103, then 200", hints_ep => { '2xx' => 1 }, sub {
            like(raw("/$way/200"), qr/ 200 /, 'answered');
        });
        row("$way: 103, then 404", hints_ep => { '4xx' => 1 }, sub {
            like(raw("/$way/404"), qr/ 404 /, 'passed on');
        });
        row("$way: 103, then 500", hints_ep => { '5xx' => 1 }, sub {
            like(raw("/$way/500"), qr/ 500 /, 'passed on');
        });
        row("$way: 103, then nothing", hints_ep => { failed => 1 }, sub {
            unlike(raw("/$way/close"), qr/ 200 /, 'no answer');
        });
        row("$way: 103, then a wait", hints_ep => { failed => 1,
                                                    timeouts => 1 }, sub {
            unlike(raw("/$way/hang"), qr/ 200 /, 'no answer');
        });
    }
};

subtest 'subrequests' => sub {
    $one->set;
    row('SSI', ep => { '2xx' => 3 }, sub {
        is($t->get('/page')->body, 'oneone', 'with both parts');
    }) if $has{ssi};
    row('SSI, and the parts are bad', ep => { '2xx' => 1, '5xx' => 1,
                                              '4xx' => 1 }, sub {
        $one->on('/part/1', status => 500);
        $one->on('/part/2', status => 404);
        is($t->get('/page')->status, 200, 'a page');
    }) if $has{ssi};
    row('SSI, and a part fails', ep => { '2xx' => 2, failed => 1 }, sub {
        $one->on('/part/1', mode => 'close');
        $one->on('/part/2');
        is($t->get('/page')->status, 200, 'a page');
    }) if $has{ssi};
    row('SSI, and the client leaves', ep => { '2xx' => 1, aborted => 2 }, sub {
        $one->on("/part/$_", mode => 'hang') for 1, 2;
        my $before = $one->requests;
        my $client = $t->client;
        $client->start(uri => '/page/patient');
        $t->wait_for(sub { $one->requests == $before + 3 }, 5,
                     'the parts to be asked for');
        $client->close;
        $one->on("/part/$_") for 1, 2;
    }) if $has{ssi};
    row('a mirror', ep => { '2xx' => 2 }, sub {
        is($t->get('/mirror/')->body, 'one', 'unseen');
    });
    row('a mirror: 500', ep => { '2xx' => 1, '5xx' => 1 }, sub {
        $one->on('/copy', status => 500);
        is($t->get('/mirror/')->body, 'one', 'unseen');
    });
    row('a mirror: timeout', ep => { '2xx' => 1, failed => 1,
                                     timeouts => 1 }, sub {
        $one->on('/copy', mode => 'hang');
        is($t->get('/mirror/')->body, 'one', 'unseen');
    });
};

subtest 'tunnels' => sub {
    row('101, and the client closes', ep => { '1xx' => 1 }, sub {
        tunnel('/tunnel')->close;
    });
    row('101, and the client resets', ep => { '1xx' => 1 }, sub {
        tunnel('/tunnel')->reset;
    });
    row('101, and the peer closes', ep => { '1xx' => 1 }, sub {
        my $client = tunnel('/tunnel');
        $one->set(mode => 'refuse');    # which ends its connections
        is($client->read_bytes(1), '', 'the end');
    });
    row('101, and silence', ep => { '1xx' => 1 }, sub {
        my $client = tunnel('/tunnel/short');
        is($client->read_bytes(1), '', 'the end, after the timeout');
    });
    row('101, and a shutdown', ep => { '1xx' => 1 }, sub {
        needs('processes');
        my $client = tunnel('/tunnel');
        $t->reload(undef, gone => 1);
        is($client->read_bytes(1), '', 'the end');
    });
};

subtest 'CONNECT' => sub {
    needs('1.31.0', 'http_tunnel');

    row('the peer closes', ep => { '2xx' => 1 }, sub {
        $one->set;
        like(connected()->write("GET / HTTP/1.0\r\n\r\n")
             ->read_bytes(1_000_000), qr/\r\n\r\none$/, 'answered');
    });
    row('the client closes', ep => { '2xx' => 1 }, sub {
        connected()->close;
    });
    row('silence', ep => { '2xx' => 1 }, sub {
        my $client = connected('connect_short');
        is($client->read_bytes(1), '', 'the end, after the timeout');
    });
    row('refused', ep => { failed => 1 }, sub {
        $one->set(mode => 'refuse');
        my $client = $t->client('connect');
        $client->connect->write("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n");
        is($client->finish->status, 502, 'the client got 502');
        $one->set;
    });
};

subtest 'shutdown' => sub {
    needs('processes');
    row('before the header', ep => {}, sub {
        $one->set(mode => 'hang');
        my $client = waiting('/patient', $one);
        $t->reload(undef, gone => 1);
        isnt($client->finish->error, undef, 'no answer');
    });
    row('in the body', ep => { '2xx' => 1 }, sub {
        $one->set(mode => 'hang_body');
        my $client = $t->client;
        $client->start(uri => '/stream');
        is(length $client->read_bytes(500), 500, 'a part of it came');
        $t->reload(undef, gone => 1);
    });
};

$t->finish;


sub endpoint_of($name, $backend) {
    return "    upstream $name { server 127.0.0.1:%%PORT_$backend%%; }\n"
        . "    upstream ${name}_ep { canary_release v1 $name;"
        . " canary_release v2 $name; canary_fallback off; }\n";
}


# One row: what is counted, and what the rules know of it. Rejected are those
# whose trailers blame the request: no counter, but known to the rules.

sub row($name, $endpoint, $counts, $do) {
    subtest $name => sub {
        $do->();

        my $sum = $sum{$endpoint};
        my %grown = (attempts => attempts($counts), %$counts);
        $sum->{$_} += $grown{$_} for keys %grown;
        my %totals = %$sum;
        delete $totals{rejected};
        $t->is_totals($endpoint, 'v2', \%totals, 'counted');
        is_evidence($endpoint, %$sum);
    };

    return;
}


sub attempts($counts) {
    my $attempts = 0;

    $attempts += $counts->{$_} // 0
        for qw(1xx 2xx 3xx 4xx 5xx failed aborted);

    return $attempts;
}


# The rules see what the totals tell, but for those who gave up.

sub is_evidence($endpoint, %sum) {
    my $attempts = ($sum{attempts} // 0) - ($sum{aborted} // 0);
    my %bad = (
        error_5xx_rate => ($sum{'5xx'} // 0) + ($sum{failed} // 0),
        error_4xx_rate => ($sum{'4xx'} // 0) + ($sum{rejected} // 0),
    );
    my $expected = join ', ', map { "$_: $bad{$_} of $attempts" }
        sort keys %bad;
    my $got = '';

    eval {
        $t->wait_for(sub {
            $got = evidence($endpoint);
            return $got eq $expected;
        }, 3)
    };

    return is($got, $expected, 'and known to the rules');
}


sub evidence($endpoint) {
    my %seen = map { $_->{rule} => $_ } @{ $t->endpoint($endpoint)->{rules} };

    return join ', ', map {
        my $attempts = $seen{$_}{attempts} // 0;

        sprintf '%s: %.0f of %d', $_, ($seen{$_}{value} // 0) * $attempts,
            $attempts;
    } sort keys %seen;
}


# A client whose request has reached the backend.

sub waiting($uri, $backend) {
    my $before = $backend->requests;
    my $client = $t->client;

    $client->start(uri => $uri);
    $t->wait_for(sub { $backend->requests > $before }, 5,
                 'the request to arrive');

    return $client;
}


sub tunnel($uri) {
    my $client = $t->client;

    $one->set(mode => 'upgrade');
    $client->start(uri => $uri, headers => { Connection => 'upgrade',
                                             Upgrade => 'echo' });
    is($client->finish->status, 101, 'the tunnel is open');
    is($client->write('hello')->read_bytes(5), 'hello', 'it works');

    return $client;
}


# A tunnel by CONNECT; the header of the answer to that has been read.

sub connected($port = 'connect') {
    my $client = $t->client($port);
    my $head = '';

    $client->connect->write("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n");
    while ($head !~ /\r\n\r\n$/) {
        my $byte = $client->read_bytes(1);
        last if $byte eq '';
        $head .= $byte;
    }
    like($head, qr/^HTTP\S+ 200 /, 'the tunnel is open');

    return $client;
}


# All that nginx answers, up to the end.

sub raw($uri) {
    my $client = $t->client;

    $client->start(uri => $uri, close => 1);

    return $client->read_bytes(1_000_000);
}


# Certificates of tls.test, and of somebody else; false without openssl.

sub self_signed() {
    for my $name (qw(tls other)) {
        my $path = $t->dir . "/$name";

        system("openssl req -x509 -newkey rsa:2048 -nodes -days 30"
               . " -subj /CN=$name.test -addext subjectAltName=DNS:$name.test"
               . " -keyout $path.key -out $path.crt >$path.log 2>&1");
        return 0 unless -s "$path.crt";
    }

    return 1;
}


# A server that sends early hints, and then what the path says: a status,
# `close` or `hang`.

sub early_hints() {
    my ($port, $guard) = reserve_port();
    my $listener = listen_on($port);
    my $owner = $$;
    my $hint = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n";
    my @kept;

    $listener->blocking(1);
    fork_child(sub {
        my $ready = '';
        vec($ready, fileno $listener, 1) = 1;

        while (getppid == $owner) {
            next unless select my $in = $ready, undef, undef, 0.2;
            accept my $conn, $listener or next;

            my $request = '';
            while ($request !~ /\r\n\r\n/) {
                sysread $conn, $request, 65536, length $request or last;
            }
            my ($what) = $request =~ m{^\w+ /\w+/(\w+)};
            syswrite $conn, $hint;
            push @kept, $conn if $what eq 'hang';
            syswrite $conn, "HTTP/1.1 $what Whatever\r\n"
                . "Content-Length: 2\r\nConnection: close\r\n\r\nok"
                if $what =~ /^\d/;
        }
    });

    return { port => $port, guard => $guard };
}
