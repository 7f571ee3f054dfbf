#!/usr/bin/perl

# Each recipe of docs/recipes.md does what it says, with the very lines that
# it shows: in real nginx, with backends at its ports 9001 to 9003.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Cwd qw(abs_path);
use File::Basename qw(basename dirname);
use File::Path qw(make_path);
use Test::More;

use Canary::Test;
use Canary::Util qw(fork_child);

needs('speed');

my $top = abs_path("$FindBin::Bin/../..");
my $canaryctl = $ENV{TEST_CANARYCTL} // "$top/build/canaryctl";
my %page = sections("$top/docs/recipes.md");

my %tests = (
    "Debian's nginx"               => \&debian,
    'The next release'             => \&next_release,
    'Reload, then start'           => \&reload_then_start,
    'Blue and green'               => \&blue_green,
    'Warm-up'                      => \&warm_up,
    'Testers and cohorts'          => \&cohorts,
    'Sticky from the first request' => \&sticky,
    'The version in the URI'       => \&uri,
    'Host and SNI per release'     => \&sni,
    'Probes'                       => \&probes,
    'Wrong answers'                => \&wrong,
    'max_fails'                    => \&max_fails,
    'Uploads'                      => \&uploads,
    'Streams and LLMs'             => \&streams,
    'gRPC'                         => \&grpc,
    'WebSockets'                   => \&websockets,
    'Caches'                       => \&caches,
    'A location of its own'        => \&location,
    'Passwords and tokens'         => \&passwords,
    'Containers'                   => \&containers,
);

is(join(', ', sort keys %tests), join(', ', sort grep { $page{$_}{nginx}
   || $page{$_}{sh} } keys %page), 'each recipe has a test');

for my $name (sort keys %tests) {
    subtest $name => sub {
        my $t = Canary::Test->new(workers => 1);    # exact shares

        $tests{$name}->($t, $page{$name});
    };
}

done_testing;


###############################################################################
# Installing.

sub debian ($t, $recipe) {
    needs('module', 'processes');

    $t->backend($_) for qw(v1 v2);

    my $dir = $t->dir;
    my ($main, $http) = ('modules-enabled/*.conf',
                         'conf.d/*.conf sites-enabled/*');

    SKIP: {
        my $conf = slurp('/etc/nginx/nginx.conf') or skip('not Debian', 1);

        is(join(' ', $conf =~ m{^\s*include /etc/nginx/(\S+/\S+);}mg),
           "$main $http", 'what its nginx.conf includes, in this order');
    }

    for my $text (@{ $recipe->{nginx} }) {
        my ($file) = $text =~ m{^# /etc/nginx/(\S+)\n};

        make_path(dirname("$dir/$file"));
        $t->write_file($file, $t->expand(local_names($text)));
    }
    symlink dirname($t->{module}), "$dir/modules" or die "modules: $!";
    $t->{module} = '';

    $t->start(join('', map { "include %%DIR%%/$_;\n" } split / /, $http),
              main => "include %%DIR%%/$main;");

    my $api = '/canary/endpoints/some-path';
    my $start = $t->request(method => 'POST', uri => "$api/rollout",
                            host => 'localhost', body => '{"release": "v2"}');

    is($start->status, 201, 'a rollout is started');
    is($start->json->{weight}, 0.01, 'with its first step');
    is($t->load(count => 200, by => ['X-Backend'])->result->{by}{'X-Backend'}
           {v2}, 2, 'which is exact');
    is($t->get('/', host => 'evil.test')->status, 421, 'for its names only');
    ok(-s "$dir/canary/state.json", 'and in its file');

    $t->finish;

    return;
}


sub containers ($t, $recipe) {
    begin($t, $recipe, @{ $recipe->{nginx} });
    is($t->get('/')->body, 'v2', 'nothing is known: what is marked');

    $t->api_post('endpoints/some-path/rollout',
                 { release => 'v1', strategy => 'direct' });
    is($t->get('/')->body, 'v1', 'v1 is stable');

    $t->stop;
    $t->start;
    is($t->get('/')->body, 'v1', 'with the volume it is in the next container');

    $t->stop;
    unlink glob $t->dir . '/canary/*';
    $t->start;
    is($t->get('/')->body, 'v2', 'without, what is marked');
    like($t->error_log, qr/\[warn\] .*"some-path" begins with v2/,
         'which is told');

    $t->finish;

    return;
}


###############################################################################
# Releases.

sub next_release ($t, $recipe) {
    my ($three, $two) = @{ $recipe->{nginx} };

    begin($t, $recipe, 'upstream some-path { canary_release v1 model_v1;'
        . ' canary_release v2 model_v2; canary_rule error_5xx_rate 10%; }');
    promote($t, 'v2');

    my $load = $t->load(connections => 4);

    $t->write_config(config_of($three));
    my $run = shell($t, $recipe->{sh}[0]);
    is($run->{status}, 0, 'v3 is added, rolled out and promoted')
        or diag($run->{out});
    is($t->endpoint('some-path')->{stable}, 'v3', 'it is stable');

    $t->reload(config_of($two));
    is(join(' ', map { $_->{name} }
            @{ $t->endpoint('some-path')->{releases} }), 'v2 v3', 'v1 is gone');
    is($t->get('/')->body, 'v3', 'and v3 serves');
    is($load->stop->{failed}, 0, 'nobody had an error');

    promote($t, 'v2');
    is($t->get('/')->body, 'v2', 'going back is a rollout of v2');

    $t->finish;

    return;
}


sub reload_then_start ($t, $recipe) {
    my ($three) = @{ $page{'The next release'}{nginx} };

    begin($t, $recipe, 'upstream some-path { canary_release v1 model_v1;'
        . ' canary_release v2 model_v2; canary_rule error_5xx_rate 10%; }');

    $t->write_config(config_of($three));
    my $run = shell($t, $recipe->{sh}[0]);

    is($run->{status}, 0, 'it ends well') or diag($run->{out});
    is($t->endpoint('some-path')->{canary}, 'v3', 'the rollout of v3 runs');

    $t->finish;

    return;
}


sub blue_green ($t, $recipe) {
    my ($slot, $update) = split /\n/, $recipe->{sh}[0];

    needs('jq');
    begin($t, $recipe, @{ $recipe->{nginx} });

    for my $turn ([blue => 'v1'], [green => 'v2'], [blue => 'v1']) {
        my ($stable, $body) = @$turn;

        is(shell($t, $slot)->{out}, "$stable\n", "$stable is stable");
        is($t->get('/')->body, $body, 'and serves');

        my $run = shell($t, $update);
        is($run->{status}, 0, 'the other is rolled out') or diag($run->{out});
        is($t->endpoint('some-path')->{phase}, 'baking', 'at once');
        isnt($t->get('/')->body, $body, 'and serves all');
        $t->verb('some-path', 'promote');
    }

    $t->{backends}{v1}->set(status => 500);
    is(shell($t, $update)->{status}, 0, 'blue, which is broken now');
    my $load = $t->load(connections => 4);
    ended($t, 'rolled_back');
    $load->stop;
    is($t->get('/')->body, 'v2', 'all are back');

    $t->finish;

    return;
}


sub warm_up ($t, $recipe) {
    needs('curl');
    begin($t, $recipe, @{ $recipe->{nginx} });

    is(shell($t, $recipe->{sh}[0])->{status}, 0, 'it is asked');
    is($t->{backends}{v2}->requests, 5, 'v2 had these requests');
    is($t->release('some-path', 'v2')->{attempts}, 5, 'which are counted');

    $t->{backends}{v2}->set(delay_ms => 300);
    $t->api_post('endpoints/some-path/rollout', { release => 'v2' });
    $t->load(count => 40, connections => 10)->result;

    my ($errors, $latency) = @{ $t->endpoint('some-path')->{rules} };
    is($latency->{attempts}, 0, 'slow answers while it warms up do not count');
    cmp_ok($errors->{attempts}, '>', 0, 'those of a rule about errors do');

    $t->{backends}{v2}->set(status => 500);
    my $load = $t->load(connections => 4);
    ended($t, 'rolled_back');
    $load->stop;

    $t->finish;

    return;
}


###############################################################################
# Who gets the canary.

sub cohorts ($t, $recipe) {
    begin($t, $recipe, @{ $recipe->{nginx} });
    $t->start_rollout('some-path', steps => [0.5]);

    my %inside = (headers => { Cookie => 'beta=1' });

    is($t->load(count => 100, request => \%inside, by_body => 1)
         ->result->{bodies}{v2}, 50, 'half of those inside');
    is($t->load(count => 100, by_body => 1)->result->{bodies}{v1}, 100,
       'nobody outside');
    is($t->endpoint('some-path')->{served_weight}, 0.5, 'who do not count');

    my $asked = sub ($release, %more) {
        return $t->get('/', headers => { 'X-Release' => $release },
                       %more)->body;
    };

    is($asked->('v2'), 'v2', 'a release by name');
    is($asked->('canary'), 'v2', 'or by role');
    is($asked->('v2', local => '127.0.0.2'), 'v1', 'not from elsewhere');

    $t->finish;

    return;
}


sub sticky ($t, $recipe) {
    begin($t, $recipe, @{ $recipe->{nginx} });
    $t->start_rollout('some-path', steps => [0.5]);

    my (%of, $moved);

    for my $visitor (1 .. 40) {
        my $first = $t->get('/');
        my ($cookie) = ($first->header('Set-Cookie') // '') =~ /^(uid=[^;]+)/;

        $of{ $first->body }++;
        $moved++ for grep {
            $t->get('/', headers => { Cookie => $cookie })->body
                ne $first->body
        } 1 .. 3;
    }

    is($moved, undef, 'a visitor keeps the release of the first answer');
    is(join(' ', sort keys %of), 'v1 v2', 'some have each');

    $t->finish;

    return;
}


sub uri ($t, $recipe) {
    begin($t, $recipe, @{ $recipe->{nginx} });
    $t->start_rollout('some-path', steps => [0.5]);
    $t->load(count => 20, request => { uri => '/predict' })->result;

    for my $release (qw(v1 v2)) {
        my @uris = map { $_->{uri} } $t->{backends}{$release}->log;

        is("@uris", join(' ', ("/models/$release/predict") x 10),
           "what $release was asked for");
    }

    $t->finish;

    return;
}


# Backends that speak TLS are servers of this nginx.

sub sni ($t, $recipe) {
    needs('http_ssl', 'openssl');

    my ($conf) = @{ $recipe->{nginx} };

    for my $name (qw(v1 v2)) {
        my $file = $t->dir . "/$name";

        system("openssl req -x509 -newkey rsa:2048 -nodes -days 2"
               . " -subj /CN=$name.example.com"
               . " -addext subjectAltName=DNS:$name.example.com"
               . " -keyout $file.key -out $file.pem 2>/dev/null") == 0
            or die 'openssl';
    }
    $t->write_file('ca.crt', join '', map { $t->read_file("$_.pem") }
                   qw(v1 v2));

    my $servers = join '', map { my ($name, $status) = @$_; <<"EOC" }
        server {
            listen 127.0.0.1:%%PORT_tls_$name%% ssl;
            ssl_certificate     %%DIR%%/$name.pem;
            ssl_certificate_key %%DIR%%/$name.key;
            location / {
                return $status "$name for \$ssl_server_name \$host\\n";
            }
        }
EOC
        [v1 => 200], [v2 => 500];

    $conf =~ s/127\.0\.0\.1:900(\d)/127.0.0.1:%%PORT_tls_v$1%%/g;
    $conf =~ s{/etc/ssl/certs/ca-certificates\.crt}{%%DIR%%/ca.crt};
    begin($t, $recipe, $conf, $servers);

    is($t->get('/')->body, "v1 for v1.example.com v1.example.com\n",
       'stable has its name, in TLS and HTTP');

    $t->start_rollout('some-path', steps => [0.5]);
    my $result = $t->load(count => 40, by_body => 1)->result;

    is_deeply($result->{statuses}, { 200 => 40 }, 'nobody has an error');
    is_deeply($result->{bodies},
              { "v1 for v1.example.com v1.example.com\n" => 20,
                "v1 for v1.example.com v2.example.com\n" => 20 },
              'stable is asked in its own name, with the Host of the first');
    is_deeply($t->totals('some-path', 'v2'), { attempts => 20, '5xx' => 20 },
              'after an answer of the canary, in its name');

    $t->finish;

    return;
}


###############################################################################
# What is evidence.

sub probes ($t, $recipe) {
    begin($t, $recipe, @{ $recipe->{nginx} });
    $t->start_rollout('some-path', rules => undef, steps => [0.5]);
    $t->load(count => 200, request => {
        uri => '/health', headers => { 'User-Agent' => 'kube-probe/1.30' },
    })->result;

    is($t->release('some-path', 'v2')->{attempts}, 100, 'they are routed');
    is($t->endpoint('some-path')->{rules}[0]{attempts}, 0, 'and no evidence');
    $t->load(count => 20)->result;
    is($t->endpoint('some-path')->{rules}[0]{attempts}, 10, 'users are');

    $t->finish;

    return;
}


sub wrong ($t, $recipe) {
    begin($t, $recipe, @{ $recipe->{nginx} });
    $t->{backends}{v2}->set(headers => { 'X-Model-Error' => 'no gpu' });
    $t->start_rollout('some-path', rules => undef, steps => [0.5]);

    my $load = $t->load(connections => 4);
    like(ended($t, 'rolled_back')->{reason},
         qr/^match_rate of model_error/, 'by that rule');
    is_deeply([ keys %{ $load->stop->{statuses} } ], [200], 'though all is 200');

    $t->finish;

    return;
}


sub max_fails ($t, $recipe) {
    my $fails = sub ($t) { $_->set(status => 500) for @{ $t->{backends} }
                               {qw(v2 v3)} };
    my ($conf) = @{ $recipe->{nginx} };

    begin($t, $recipe, $conf);
    $fails->($t);
    $t->start_rollout('some-path', rules => undef, steps => [0.5]);
    my $load = $t->load(connections => 4);
    my $last = ended($t, 'rolled_back');

    is_deeply($load->stop->{statuses}{500}, undef, 'users have no error');
    like($last->{reason}, qr/^error_5xx_rate/, 'the rule sees each attempt');
    ok(!$t->release('some-path', 'v2')->{no_live}, 'of a live server');

    $t->reload(config_of($conf =~ s/ max_fails=0//gr), gone => 1);
    my $before = $t->release('some-path', 'v2')->{attempts};
    $t->start_rollout('some-path', rules => undef, steps => [0.5]);
    $t->load(count => 200, close => 1)->result;
    my $now = $t->release('some-path', 'v2');

    cmp_ok(5 * ($now->{attempts} - $before), '<', $now->{no_live},
           'by default few attempts are made, and stable serves the rest');

    $t->finish;

    return;
}


sub uploads ($t, $recipe) {
    begin($t, $recipe, @{ $recipe->{nginx} });
    $t->{backends}{v2}->set(status => 500);
    $t->start_rollout('some-path', steps => [0.8]);

    # Of 20 requests, how many the canary had, and how many clients an error.
    my $failed = sub ($method, $uri) {
        my $before = $t->{backends}{v2}->requests;
        my $result = $t->load(count => 20, request => {
            method => $method, uri => $uri, body => 'x' x 100_000,
        })->result;

        return ($t->{backends}{v2}->requests - $before,
                $result->{statuses}{500} // 0);
    };
    my ($all, $failed_here) = $failed->(POST => '/');

    cmp_ok($all, '>', 10, 'the canary has its share, and fails');
    is($failed_here, $all, 'POST is not done twice');
    is(($failed->(PUT => '/'))[1], 0, 'PUT may be');
    is(($failed->(POST => '/files/a'))[1], 0, 'POST where that is harmless');
    ($all, $failed_here) = $failed->(PUT => '/stream-in/a');
    is($failed_here, $all, 'but not without a copy');
    is($t->endpoint('some-path')->{rules}[0]{value},
       $t->{backends}{v2}->requests, 'each is counted');

    $t->finish;

    return;
}


###############################################################################
# Protocols.

sub streams ($t, $recipe) {
    begin($t, $recipe, @{ $recipe->{nginx} });
    $t->start_rollout('some-path', rules => undef, steps => [0.5]);

    my $rules = $t->endpoint('some-path')->{rules};
    is(join(' ', map { $_->{rule} } @$rules),
       'error_5xx_rate latency_p90_max abandoned_rate', 'its rules');

    $t->{backends}{v2}->set(mode => 'hang_body');
    my $stays = stream($t);
    $stays = stream($t) until $stays->{of} eq 'v2';

    # Who has no answer of the canary gives up.
    $t->wait_for(sub {
        my @streams = map { stream($t, close => 1) } 1 .. 8;

        $_->{of} eq 'v1' ? $_->{client}->read_bytes(1_000_000)
                         : $_->{client}->close for @streams;
        return $t->endpoint('some-path')->{phase} eq 'idle';
    }, 120, 'a rollback');
    like(ended($t, 'rolled_back')->{reason}, qr/^abandoned_rate/,
         'by who gave up, though all was 200');
    ok($t->wait_for(sub { $t->{backends}{v2}->stats->{open} == 1 }, 30,
                    'the others to be closed'), 'one that stayed is not cut');
    $stays->{client}->close;

    $t->finish;

    return;
}


# One that has begun, and of which release.

sub stream ($t, %request) {
    my $client = $t->client;
    my $head = '';

    $client->start(uri => '/', %request);
    $head .= $client->read_bytes(1) until $head =~ /\r\n\r\n/;

    return { client => $client, of => $head =~ /^X-Backend: (\w+)/m };
}


sub grpc ($t, $recipe) {
    needs('http_grpc', 'http_v2', 'curl');
    $t->backend($_, protocol => 'grpc') for qw(v1 v2);
    begin($t, $recipe, @{ $recipe->{nginx} });

    my $call = sub {
        return shell($t, 'curl -sS --http2-prior-knowledge -D - -o body.out'
            . " --data-binary '' -H 'TE: trailers'"
            . " -H 'Content-Type: application/grpc' http://127.0.0.1:8080/a/B")
            ->{out};
    };

    like($call->(), qr/^HTTP\/2 200/, 'a call');
    is_deeply($t->totals('some-path', 'v1'), { attempts => 1, '2xx' => 1 },
              'of stable');

    $t->{backends}{v2}->set(grpc_status => 14);
    $t->start_rollout('some-path', rules => undef, steps => [0.5]);
    $t->wait_for(sub {
        $call->();
        return $t->endpoint('some-path')->{phase} eq 'idle';
    }, 120, 'a rollback');
    like(ended($t, 'rolled_back')->{reason}, qr/^error_5xx_rate/,
         'by a status in the trailers');

    $t->finish;

    return;
}


sub websockets ($t, $recipe) {
    begin($t, $recipe, @{ $recipe->{nginx} });
    $_->set(mode => 'upgrade') for values %{ $t->{backends} };
    $t->start_rollout('some-path', steps => [0.999]);

    my @upgrade = (headers => { Upgrade => 'websocket' });
    my $echo = sub ($stream) {
        $stream->{client}->write('hello');
        return $stream->{client}->read_bytes(5);
    };
    my $first = stream($t, @upgrade);
    $first = stream($t, @upgrade) until $first->{of} eq 'v2';

    is($t->totals('some-path', 'v2')->{'1xx'}, 1, 'it is counted at once');
    $t->verb('some-path', 'rollback');
    is($echo->($first), 'hello', 'it stays after a rollback');
    my $second = stream($t, @upgrade);
    is($second->{of}, 'v1', 'the next is of stable');

    if ($t->has_processes) {
        $t->reload;
        is($echo->($first), 'hello', 'and after a reload');
    }
    $_->{client}->close for $first, $second;

    $t->finish;

    return;
}


sub caches ($t, $recipe) {
    mkdir $t->dir . '/cache';
    begin($t, $recipe, @{ $recipe->{nginx} });
    $_->set(headers => { 'Cache-Control' => 'max-age=600' })
        for values %{ $t->{backends} };

    is($t->get('/page')->body, 'v1', 'of stable');
    $t->start_rollout('some-path', steps => [0.5]);
    is_deeply($t->load(count => 40, by_body => 1,
                       request => { uri => '/page' })->result->{bodies},
              { v1 => 20, v2 => 20 }, 'the canary is asked, too');
    is($t->{backends}{v1}->requests, 1, 'each once') if !$t->has_processes;
    cmp_ok($t->totals('some-path', 'v2')->{attempts}, '<', 20,
           'what the cache answers is no attempt');
    $t->verb('some-path', 'rollback');
    is_deeply($t->load(count => 20, by_body => 1,
                       request => { uri => '/page' })->result->{bodies},
              { v1 => 20 }, 'and is not of the canary after a rollback');

    $t->finish;

    return;
}


###############################################################################
# The API.

sub location ($t, $recipe) {
    my ($conf) = @{ $recipe->{nginx} };

    begin($t, $recipe, $conf);
    my $status = sub ($uri) { $t->get($uri, host => 'localhost')->status };

    is($status->('/canary/openapi.json'), 200, 'the API has it');
    is($status->('/a.json'), 404, 'and not what is elsewhere');

    $t->renew(config_of($conf =~ s/ \^~//r));
    is($status->('/canary/openapi.json'), 404, 'else it would not');

    $t->finish;

    return;
}


sub passwords ($t, $recipe) {
    needs('openssl');
    begin($t, $recipe, 'events-only', { write => [qw(canary.htpasswd
                                                     canary.tokens)] });

    my $run = shell($t, $recipe->{sh}[0]);
    is($run->{status}, 0, 'a password and a token') or diag($run->{err});
    my ($token) = $run->{out} =~ /^token +(\w+)$/m;
    my ($line) = $run->{out} =~ /^line +(ci operator \w+)$/m;
    ok($token && $line, 'the token, and its line') or diag($run->{out});

    $t->write_file('canary.tokens', "$line\n");
    chmod 0644, map { $t->dir . "/$_" } qw(canary.htpasswd canary.tokens);
    $t->renew(config_of(@{ $recipe->{nginx} }));

    my $pause = sub ($where, %headers) {
        my $answer = $t->request(
            method => 'POST', host => 'localhost', headers => \%headers,
            uri => "/$where/endpoints/some-path/rollout", body => '{}');

        $t->verb('some-path', 'rollback') if $answer->status == 201;
        return $answer->status;
    };
    my $ann = 'Basic YW5uOnNlY3JldA==';

    is($pause->('canary'), 401, 'without a password');
    is($pause->('canary', Authorization => $ann), 201, 'with it');
    is($pause->('pipeline', Authorization => $ann), 401, 'a program needs');
    is($pause->('pipeline', Authorization => "Bearer $token"), 201,
       'its token');
    is(join(' ', map { $_->{actor}{name} } grep { $_->{type} eq 'started' }
            reverse $t->events('some-path')), 'ann ci', 'events name them');

    $t->finish;

    return;
}


###############################################################################

# Starts nginx with what a recipe shows, and what it leaves out.

sub begin ($t, $recipe, @conf) {
    my $opt = ref $conf[-1] ? pop @conf : {};

    $t->backend($_) for grep { !$t->{backends}{$_} } qw(v1 v2 v3);
    $t->write_file($_, '') for @{ $opt->{write} // [] };
    @conf = () if "@conf" eq 'events-only';

    return $t->start(config_of(@conf));
}


sub config_of (@conf) {
    my $text = local_names(join "\n", @conf);
    my @upstreams = (
        (map { [ "model_$_" => "zone model_$_ 64k;"
                     . " server 127.0.0.1:%%PORT_$_%%;" ] } qw(v1 v2 v3)),
        [ 'some-path' => 'canary_release v1 model_v1;'
              . ' canary_release v2 model_v2; canary_rule error_5xx_rate 10%;' ],
    );

    for my $upstream (@upstreams) {
        my ($name, $block) = @$upstream;

        $text .= "upstream $name { $block }\n"
            unless $text =~ /^upstream \Q$name\E /m;
    }

    # What takes minutes on the page.
    $text =~ s/^(upstream some-path \{)/$1 canary_interval 100ms;/m
        unless $text =~ /canary_interval/;

    $text .= 'server { listen 127.0.0.1:%%PORT_http%%; location / {'
        . ' proxy_pass http://some-path;'
        . " proxy_next_upstream error timeout http_500; } }\n"
        unless $text =~ /%%PORT_http%%/;

    return "$text\n%%API%%\n";
}


# Names of the page, as they are here.

sub local_names ($text) {
    $text =~ s/\blisten(\s+)8080\b/listen${1}127.0.0.1:%%PORT_http%%/g;
    $text =~ s/127\.0\.0\.1:900(\d)/127.0.0.1:%%PORT_v$1%%/g;
    $text =~ s/127\.0\.0\.1:8080/127.0.0.1:%%PORT_http%%/g;
    $text =~ s{/etc/nginx/|/var/lib/nginx/|/var/cache/nginx/}{%%DIR%%/}g;

    return $text;
}


# What a user types: with this nginx, and with canaryctl, which finds its API.

sub shell ($t, $commands) {
    my $dir = $t->dir;
    my $nginx = "$dir/bin/nginx";

    if (!-e $nginx) {
        my ($binary) = grep { -x } map { "$_$t->{binary}" }
            $t->{binary} =~ m{/} ? '' : map { "$_/" } split /:/, $ENV{PATH};

        mkdir "$dir/bin";
        $t->write_file('bin/nginx', "#!/bin/sh\nexec $binary"
            . " -p $dir/ -c $dir/nginx.conf -e $dir/error.log \"\$@\"\n");
        chmod 0755, $nginx;
    }
    $t->write_file('commands', $t->expand(local_names($commands)));

    my $pid = fork_child(sub {
        chdir $dir;
        $ENV{PATH} = join ':', "$dir/bin", dirname($canaryctl), $ENV{PATH};
        $ENV{CANARY_URL} = "http://127.0.0.1:" . $t->port('api') . '/canary/';
        open STDIN, '<', '/dev/null';
        open STDOUT, '>', 'out';
        open STDERR, '>', 'err';
        exec '/bin/sh', '-e', 'commands';
    });
    waitpid $pid, 0;

    return { status => $? >> 8, out => $t->read_file('out'),
             err => $t->read_file('err') };
}


sub promote ($t, $release) {
    $t->start_rollout('some-path', release => $release);
    $t->verb('some-path', 'promote');

    return;
}


sub ended ($t, $result) {
    $t->wait_for(sub { $t->endpoint('some-path')->{phase} eq 'idle' }, 60,
                 'the end of the rollout');
    my $last = $t->endpoint('some-path')->{last_rollout};
    is($last->{result}, $result, $result);

    return $last;
}


# The blocks of each section, by their language.

sub sections ($file) {
    my %sections;

    for my $part (split /^## /m, slurp($file)) {
        my ($heading, $text) = split /\n/, $part, 2;

        push @{ $sections{$heading}{$1} }, $2
            while $text =~ /^```(\w+)\n(.*?)^```$/msg;
    }

    return %sections;
}


sub slurp ($name) {
    open my $in, '<', $name or return;
    local $/;

    return <$in>;
}
