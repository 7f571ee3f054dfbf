package Canary::Test;

=head1 NAME

Canary::Test - nginx with real backends for the tests of one file

=head1 SYNOPSIS

    use v5.36;
    use FindBin;
    use lib "$FindBin::Bin/lib";
    use Canary::Test;
    use Test::More;

    my $t = Canary::Test->new;
    my $v2 = $t->backend('v2', status => 500);
    $t->backend('v1');

    $t->start(<<'EOC');
        upstream model_v1 { server 127.0.0.1:%%PORT_v1%%; }
        upstream model_v2 { server 127.0.0.1:%%PORT_v2%%; }
        upstream ep {
            canary_release v1 model_v1;
            canary_release v2 model_v2;
        }
        server {
            listen 127.0.0.1:%%PORT_http%%;
            location / { proxy_pass http://ep; }
        }
        %%API%%
    EOC

    $t->start_rollout('ep', steps => [0.5],
                      rules => [rule(error_5xx_rate => 0.1)]);
    is($t->get('/')->body, 'v1');
    is($v2->requests, 0);
    $t->finish;

=head1 THE LIFE OF A TEST

=over

=item Canary::Test->new(workers => 2, timeout => 180)

Makes a temporary directory and arms an alarm: nothing hangs for ever. At the
end of the program, however it comes, all that was started is stopped and the
directory removed.

=item $t->finish

Stops nginx and tests that it ended with status 0, that its log has no
[alert], [crit] or [emerg] and that no sanitizer reported anything; then
done_testing.

=item $t->allow_log(qr/.../)

Declares log lines of these levels that the test provokes.

=back

=head1 NGINX

=over

=item $t->start($http, main => '', events => '', workers => 2)

Writes the configuration and starts nginx in the foreground; returns when all
its workers run. $http is what stands in the http block, `main` what stands
beside it; `workers => 0` means master_process off. What is left out stays as
it was, so that C<< $t->stop; $t->start >> is a restart.

In all texts %%PORT_name%% is a free port of that name, or the port of the
backend of that name; %%DIR%% the directory, which is the prefix of nginx too;
%%API%% a whole server with the admin API at /canary/ on port `api`.

=item $t->check($http, ...)

Runs C<nginx -t>: (accepted?, what it printed). C<< $t->line_of('text') >>
tells the line of that configuration in which the text first occurs.

=item $t->reload($http, gone => 1, ...)

Returns when the new workers serve alone; with `gone`, when the old ones have
ended too. With `fails => 1` the configuration is expected to be refused; the
reason is returned.

=item $t->stop, $t->kill(SIGNAL => $pid), $t->master_pid, $t->worker_pids,
$t->old_worker_pids, $t->helper_pid

=item $t->error_log, $t->access_log, $t->read_file($name),
$t->write_file($name, $text), $t->dir

=item $t->has('http_ssl'), $t->version

Is this module part of the nginx under test? Its version as 1022001.

=back

=head1 BACKENDS

=over

=item $t->backend($name, protocol => 'http', %behaviour)

Starts a L<Canary::Backend>. C<< ->set(%behaviour) >> changes what it does,
C<< ->on('/prefix', %behaviour) >> what it does with some URIs,
C<< ->next_requests($n, %behaviour) >> with the next ones only.
C<< ->requests >> and C<< ->accepted >> count exactly; C<< ->stats >> has
requests, accepted, open and peer_closed (gone while it waited for the
answer); C<< ->log >> lists the last requests.

Protocols: http, fastcgi, scgi, uwsgi, memcached, grpc (HTTP/2 without TLS).

A behaviour: mode => 'answer' with status (200), headers (hash or list), body
(its name), chunked, keepalive (1), delay_ms, body_delay_ms, echo (a list of
request headers that come back as X-Echo-NAME), close_reused (close on the
second request of a connection, unanswered). Other modes: close and reset
(after the request), slam (close at the first byte), hang, stall_body (stop
reading after the header), refuse (port closed), blackhole (connecting never
ends), until_close (a body without a length), bad_header, big_header,
no_status, short, short_chunked, bad_chunk, hang_body, upgrade (101, then echo). For grpc also grpc_status and
trailers_only, and the mode rst. Each answer has X-Backend: NAME.

=back

=head1 REQUESTS

=over

=item $t->get($uri, %request), $t->request(%request)

One request on a connection of its own to port `http`, or `port => 'name'`;
returns a Canary::Response: status, header(NAME), body, json, error.
L<Canary::Client> has the request's fields.

=item $t->client($port_name, %opt)

A L<Canary::Client>, one connection that is kept.

=item $t->load(connections => 4, count => 1000, by => ['X-Backend'])

A L<Canary::Load> in the background: C<< ->result >> waits for its end,
C<< ->stop >> ends it, C<< ->wait_requests($n) >> waits for some progress.

=item $t->wait_for(sub { ... }, $seconds, 'what')

Polls until true and returns that value, else dies.

=back

=head1 ADMIN API

=over

=item $t->api_get($path), $t->api_post($path, $hash), $t->api_patch($path,
$hash), $t->api($method, $path, $hash, %request)

Paths are below /canary/. They return a Canary::Response.

=item $t->endpoint($name), $t->release($name, $release), $t->events($name)

What GET endpoints/NAME tells, one of its releases, and the list of events.

=item $t->start_rollout($name, steps => [0.5], interval => 3600, bake => 3600,
rules => [...], release => ..., on_violation => ..., on_undecided => ...)

Dies unless the answer is 201. By default a rollout that stays where it is:
its only rule is a budget of a million. `rules => undef` leaves the rules of
nginx.conf in force. C<rule(NAME => THRESHOLD, PARAMETER => VALUE, ...)>, which
is exported, makes a rule.

=item $t->totals($name, $release)

The counters of a release as a flat hash without zeros: attempts, 1xx .. 5xx,
failed, timeouts, aborted, fallbacks.

=item $t->is_totals($name, $release, \%expected, $test_name)

Tests them; a counter that is written a moment after the answer may come late.

=back

=head1 ENVIRONMENT

TEST_NGINX_BINARY (nginx), TEST_CANARY_MODULE (build/ngx_http_canary_module.so;
empty: linked statically), TEST_NGINX_DEBUG=1 (debug log), TEST_NGINX_LEAVE=1
(keep the directory), TEST_NGINX_TIMEOUT (seconds for a whole file).

=cut

use v5.36;

use Carp qw(croak);
use Cwd qw(abs_path);
use Exporter qw(import);
use File::Basename qw(dirname);
use File::Path qw(remove_tree);
use File::Temp qw(tempdir);
use JSON::PP ();
use List::Util qw(first);
use POSIX qw(WNOHANG);
use Scalar::Util qw(weaken);
use Test::More;

use Canary::Backend;
use Canary::Client;
use Canary::Load;
use Canary::Util qw(now pause reserve_port);

our @EXPORT = qw(rule);

use constant {
    START_TIMEOUT => 20,
    STOP_TIMEOUT  => 20,
    TOTALS_WAIT   => 5,
};

use constant API_SERVER => <<'EOC';
server {
    listen 127.0.0.1:%%PORT_api%%;
    access_log off;
    location /canary/ {
        canary_api write=on;
        allow 127.0.0.1;
        deny all;
    }
}
EOC

my $root = dirname(dirname(dirname(dirname(abs_path(__FILE__)))));
my $json = JSON::PP->new->utf8->canonical;
my $owner = $$;
my @running;    # tests to clean up after


sub new($class, %opt) {
    my $self = bless {
        binary  => $ENV{TEST_NGINX_BINARY} // 'nginx',
        module  => $ENV{TEST_CANARY_MODULE}
            // "$root/build/ngx_http_canary_module.so",
        dir     => tempdir('canary-XXXXXXXX', TMPDIR => 1),
        config  => { workers => $opt{workers} // 2 },
        allowed => [],
        ports   => {},
    }, $class;

    push @running, $self;

    for my $signal (qw(HUP INT TERM)) {
        $SIG{$signal} = sub ($name) { exit 1 };
    }
    $SIG{ALRM} = sub ($signal) {
        diag('the whole test took too long');
        exit 1;
    };
    alarm($ENV{TEST_NGINX_TIMEOUT} // $opt{timeout} // 180);

    chmod 0755, $self->{dir};
    if ($self->{module} ne '') {
        croak "no module at $self->{module}: run make build"
            unless -e $self->{module};
        $self->{module} = abs_path($self->{module});
    }

    return $self;
}


sub finish($self) {
    if (defined $self->{last_status} || $self->{pid}) {
        my $status = $self->stop;
        is($status, 0, 'nginx ended with status 0');

        $self->_is_quiet('no alerts', qr/\[(?:alert|crit|emerg)\]/,
                         @{ $self->{allowed} });
        $self->_is_quiet('no sanitizer reports',
            qr/ERROR: \w+Sanitizer|SUMMARY: \w+Sanitizer|runtime error:/);
    }

    done_testing();

    return;
}


sub allow_log($self, @patterns) {
    push @{ $self->{allowed} }, @patterns;

    return $self;
}


sub _is_quiet($self, $name, $pattern, @allowed) {
    my @lines = grep { /$pattern/ }
        split /^/, $self->error_log . $self->read_file('stderr.log');

    for my $allowed (@allowed) {
        @lines = grep { !/$allowed/ } @lines;
    }

    return is(join('', @lines), '', $name);
}


# Cleaning up.

END {
    if ($$ == $owner) {
        my $status = $?;

        alarm 0;
        $_->_clean_up($status) for @running;
        $? = $status;
    }
}


sub _clean_up($self, $status) {
    diag($self->_log_tail) if $status && $self->{pid};

    $_->DESTROY for grep { defined } @{ $self->{loads} // [] };
    $self->_end_nginx('TERM');
    $_->stop for values %{ $self->{backends} // {} };

    if ($ENV{TEST_NGINX_LEAVE}) {
        diag("left: $self->{dir}");

    } else {
        remove_tree($self->{dir});
    }

    return;
}


sub _log_tail($self) {
    my @lines = split /^/, $self->error_log . $self->read_file('stderr.log');

    splice @lines, 0, -30 if @lines > 30;

    return "the end of the error log:\n", @lines;
}


# Configuration.

sub _configure($self, $http, %opt) {
    my $config = $self->{config};

    $config->{http} = $http if defined $http;
    for my $key (qw(events main workers)) {
        $config->{$key} = delete $opt{$key} if exists $opt{$key};
    }
    croak "unknown option: ", join ', ', keys %opt if %opt;

    return $self->_expand($self->_text);
}


sub _text($self) {
    my $config = $self->{config};
    my $dir = $self->{dir};
    my $level = $ENV{TEST_NGINX_DEBUG} ? 'debug' : 'notice';
    my @lines = (
        'daemon off;',
        "pid $dir/nginx.pid;",
        "error_log $dir/error.log $level;",
        $config->{workers} ? "worker_processes $config->{workers};"
            : 'master_process off;',
        $> == 0 ? 'user root;' : (),
        $self->{module} ne '' ? "load_module $self->{module};" : (),
        $config->{main} // '',
        'events {', $config->{events} // '', '}',
        'http {',
        "access_log $dir/access.log;",
        'client_body_temp_path temp_client_body;',
        (map { "${_}_temp_path temp_$_;" }
             grep { $self->has("http_$_") } qw(proxy fastcgi uwsgi scgi)),
        $config->{http},
        '}',
    );

    return join("\n", @lines) . "\n";
}


sub _expand($self, $text) {
    $text =~ s/%%API%%/API_SERVER/ge;
    $text =~ s/%%DIR%%/$self->{dir}/g;
    $text =~ s/%%PORT_(\w+)%%/$self->port($1)/ge;

    croak "what is $1?" if $text =~ /(%%\w+%%)/;

    return $text;
}


# The port of that name: a backend's, or a free one that stays ours.

sub port($self, $name) {
    my $backend = $self->{backends}{$name};
    return $backend->port if $backend;

    $self->{ports}{$name} //= [ reserve_port() ];

    return $self->{ports}{$name}[0];
}


sub line_of($self, $text) {
    my @lines = split /\n/, $self->read_file('check.conf');
    my $index = first { index($lines[$_], $text) >= 0 } 0 .. $#lines;

    return defined $index ? $index + 1 : croak "no line with '$text'";
}


sub dir($self) { return $self->{dir} }


sub read_file($self, $name) {
    open my $in, '<', "$self->{dir}/$name" or return '';
    local $/;

    return <$in> // '';
}


sub write_file($self, $name, $text) {
    open my $out, '>', "$self->{dir}/$name" or croak "$name: $!";
    print $out $text;
    close $out or croak "$name: $!";

    return;
}


sub error_log($self)  { return $self->read_file('error.log') }
sub access_log($self) { return $self->read_file('access.log') }


# What the binary is.

sub _build($self) {
    $self->{build} //= do {
        open my $out, '-|', "$self->{binary} -V 2>&1"
            or croak "$self->{binary}: $!";
        local $/;
        <$out> // '';
    };

    return $self->{build};
}


sub version($self) {
    my @parts = $self->_build =~ m{nginx/(\d+)\.(\d+)\.(\d+)}
        or croak "$self->{binary} -V tells no version";

    return $parts[0] * 1_000_000 + $parts[1] * 1_000 + $parts[2];
}


# Modules that are not built by default are named by --with, others are there
# unless --without names them.

sub has($self, $module) {
    my %on_request = map { $_ => 1 } qw(
        http_addition http_auth_request http_dav http_gunzip http_realip
        http_slice http_ssl http_stub_status http_sub http_v2 http_v3
    );

    return $on_request{$module}
        ? $self->_build =~ /--with-${module}_module\b/
        : $self->_build !~ /--without-${module}_module\b/;
}


# Processes.

sub start($self, $http = undef, %opt) {
    croak 'nginx runs already' if $self->{pid};

    $self->write_file('nginx.conf', $self->_configure($http, %opt));
    unlink "$self->{dir}/nginx.pid";

    my $pid = fork() // croak "fork: $!";
    $self->_exec('nginx.conf', 'error.log') unless $pid;
    $self->{pid} = $pid;
    delete $self->{last_status};

    my $started = eval {
        $self->wait_for(sub {
            die "it ended\n" if $self->_reap;
            return $self->_is_up;
        }, START_TIMEOUT, 'nginx to start');
    };
    croak "nginx did not start: $@", $self->_log_tail unless $started;

    return $self;
}


# Becomes nginx.

sub _exec($self, $config, $log, @more) {
    alarm 0;
    open STDIN, '<', '/dev/null';
    open STDOUT, '>>', "$self->{dir}/stderr.log";
    open STDERR, '>&', \*STDOUT;

    exec { $self->{binary} } $self->{binary}, '-p', "$self->{dir}/",
        '-c', "$self->{dir}/$config", '-e', "$self->{dir}/$log", @more
        or POSIX::_exit(127);
}


sub _is_up($self) {
    return 0 unless -s "$self->{dir}/nginx.pid";

    return $self->_serving($self->worker_pids);
}


# Are these all the workers that there should be?

sub _serving($self, @pids) {
    my $workers = $self->{config}{workers};

    return $workers eq 'auto' ? @pids > 0 : @pids == ($workers || 1);
}


sub check($self, $http, %opt) {
    my %kept = %{ $self->{config} };
    my $text = $self->_configure($http, %opt);

    $self->{config} = \%kept;
    $text =~ s/error\.log/check.log/;
    $text =~ s/nginx\.pid/check.pid/;
    $self->write_file('check.conf', $text);
    unlink "$self->{dir}/check.out";

    my $pid = fork() // croak "fork: $!";
    if (!$pid) {
        $ENV{ASAN_OPTIONS} = join ':', $ENV{ASAN_OPTIONS} // (),
            'detect_leaks=0';
        alarm 0;
        open STDOUT, '>', "$self->{dir}/check.out";
        open STDERR, '>&', \*STDOUT;
        exec { $self->{binary} } $self->{binary}, '-t', '-p', "$self->{dir}/",
            '-c', "$self->{dir}/check.conf", '-e', "$self->{dir}/check.log"
            or POSIX::_exit(127);
    }
    waitpid $pid, 0;

    return ($? == 0 ? 1 : 0, $self->read_file('check.out'));
}


sub reload($self, $http = undef, %opt) {
    my ($gone, $fails) = delete @opt{qw(gone fails)};
    my %old = map { $_->{pid} => 1 } $self->_children;
    my $refused = $self->_refusals;

    $self->write_file('nginx.conf', $self->_configure($http, %opt));
    CORE::kill HUP => $self->{pid};

    my $done = $self->wait_for(sub {
        return 'refused' if $self->_refusals > $refused;

        my @serving = grep { $_->{title} !~ /shutting down/ }
            $self->_children;
        return 0 if grep { $old{ $_->{pid} } } @serving;

        return $self->_serving(
            grep { $_->{title} eq 'worker process' } @serving);
    }, START_TIMEOUT, 'the new workers');

    if ($done eq 'refused') {
        my @reasons = $self->error_log =~ /(.*\[emerg\].*)/g;

        croak "the reload was refused: $reasons[-1]" unless $fails;
        $self->allow_log(quotemeta $reasons[-1]);

        return $reasons[-1];
    }
    croak 'the reload was expected to be refused' if $fails;

    if ($gone) {
        $self->wait_for(
            sub { !grep { $old{ $_->{pid} } } $self->_children },
            STOP_TIMEOUT, 'the old workers to end');
    }

    return $self;
}


sub _refusals($self) {
    return scalar(() = $self->error_log =~ /\[emerg\]/g);
}


# Stops gracefully and returns the exit status of nginx.

sub stop($self, $signal = 'QUIT') {
    $self->_end_nginx($signal);

    return $self->{last_status};
}


sub _end_nginx($self, $signal) {
    my $deadline = now() + STOP_TIMEOUT;
    my $sent = '';

    while ($self->{pid} && !$self->_reap) {
        my $wanted = now() > $deadline ? 'KILL' : $signal;

        if ($sent ne $wanted) {
            my @pids = $self->{pid};
            push @pids, map { $_->{pid} } $self->_children
                if $wanted eq 'KILL';
            CORE::kill $wanted => @pids;
            $sent = $wanted;
        }
        pause(0.01);
    }

    return;
}


sub _reap($self) {
    return 1 unless $self->{pid};
    return 0 unless waitpid($self->{pid}, WNOHANG) == $self->{pid};

    $self->{last_status} = $?;
    delete $self->{pid};

    return 1;
}


# The processes of our nginx: { pid, title }, as /proc has them.

sub _children($self) {
    my $master = $self->{pid} // return;
    my @children;

    for my $stat (glob '/proc/[0-9]*/stat') {
        open my $in, '<', $stat or next;
        my ($pid, $parent) = (<$in> // '') =~ /^(\d+) \(.*\) \S (\d+)/
            or next;
        next unless $parent == $master;

        open $in, '<', "/proc/$pid/cmdline" or next;
        my ($title) = (<$in> // '') =~ /^nginx: ([\w ]*\w)/ or next;
        next if $title eq 'master process';    # it has no title yet
        push @children, { pid => $pid, title => $title };
    }

    return @children;
}


sub master_pid($self) { return $self->{pid} }


sub _titled($self, $title) {
    my @found = grep { $_->{title} eq $title } $self->_children;

    return map { $_->{pid} } @found;
}


sub worker_pids($self) {
    return $self->{pid} // () unless $self->{config}{workers};

    my @pids = sort { $a <=> $b } $self->_titled('worker process');

    return @pids;
}


sub old_worker_pids($self) {
    return $self->_titled('worker process is shutting down');
}


sub helper_pid($self) {
    my ($pid) = $self->_titled('cache manager process');

    return $pid;
}


sub kill($self, $signal, @pids) {
    my %ours = map { $_ => 1 } $self->{pid} // (),
        map { $_->{pid} } $self->_children;

    $ours{$_} or croak "$_ is no process of this nginx" for @pids;

    return CORE::kill $signal => @pids;
}


sub wait_for($self, $condition, $timeout = 10, $what = 'a condition') {
    return Canary::Util::wait_for($condition, $timeout, $what);
}


# Backends, requests, load.

sub backend($self, $name, %behaviour) {
    croak "port '$name' is taken" if $self->{ports}{$name};

    my $backend = Canary::Backend->new($name, %behaviour);
    $self->{backends}{$name} = $backend;

    return $backend;
}


sub client($self, $port_name = 'http', %opt) {
    return Canary::Client->new($self->port($port_name), %opt);
}


sub get($self, $uri, %request) {
    return $self->request(uri => $uri, %request);
}


sub request($self, %request) {
    my %client = (local => delete $request{local});
    my $port_name = delete $request{port} // 'http';

    return $self->client($port_name, %client)->request(close => 1, %request);
}


sub load($self, %opt) {
    my $port_name = delete $opt{port} // 'http';
    my $load = Canary::Load->new(port => $self->port($port_name), %opt);

    push @{ $self->{loads} }, $load;
    weaken($self->{loads}[-1]);

    return $load;
}


# The admin API.

sub api($self, $method, $path, $body = undef, %request) {
    if (defined $body) {
        $request{body} = ref $body ? $json->encode($body) : $body;
        $request{headers} = { 'Content-Type' => 'application/json',
                              %{ $request{headers} // {} } };
    }

    return $self->request(port => 'api', method => $method,
                          uri => "/canary/$path", %request);
}


sub api_get($self, $path, %request) {
    return $self->api(GET => $path, undef, %request);
}


sub api_post($self, $path, $body = undef, %request) {
    return $self->api(POST => $path, $body, %request);
}


sub api_patch($self, $path, $body, %request) {
    return $self->api(PATCH => $path, $body, %request);
}


sub endpoint($self, $name) {
    return $self->_api_data("endpoints/$name");
}


sub release($self, $name, $release) {
    my $endpoint = $self->endpoint($name);
    my $found = first { $_->{name} eq $release } @{ $endpoint->{releases} };

    return $found // croak "endpoint $name has no release $release";
}


sub events($self, $name) {
    return @{ $self->_api_data("endpoints/$name/events")->{events} };
}


sub _api_data($self, $path) {
    my $response = $self->api_get($path);

    return $response->json if $response->status == 200;
    croak "GET $path: ", $response->error // $response->status, ' ',
        $response->body;
}


sub rule($name, $threshold, %parameters) {
    my @parameters = map { { name => $_, value => $parameters{$_} } }
        sort keys %parameters;

    return {
        rule => $name,
        rule_parameters => [ { name => 'threshold', value => $threshold },
                             @parameters ],
    };
}


sub start_rollout($self, $name, %opt) {
    my %strategy = (
        progress_interval_seconds => $opt{interval} // 3600,
        progress_steps            => $opt{steps} // [0.5],
        bake_seconds              => $opt{bake} // 3600,
        rules => [ rule(failed_requests_max => 1_000_000) ],
    );
    my %body = (strategy => 'canary', canary_strategy => \%strategy);

    $strategy{rules} = $opt{rules} if exists $opt{rules};
    delete $strategy{rules} unless $strategy{rules};
    for my $key (qw(on_undecided on_violation)) {
        $strategy{$key} = $opt{$key} if defined $opt{$key};
    }
    $body{release} = $opt{release} if defined $opt{release};

    my $response = $self->api_post("endpoints/$name/rollout", \%body);

    return $response->json if $response->status == 201;
    croak 'the rollout did not start: ', $response->error
        // $response->status, ' ', $response->body;
}


# Counters of a release.

sub totals($self, $name, $release) {
    my $data = $self->release($name, $release);
    my %totals = (
        %{ $data->{responses} },
        map { $_ => $data->{$_} }
            qw(attempts failed timeouts aborted fallbacks),
    );

    delete @totals{ grep { !$totals{$_} } keys %totals };

    return \%totals;
}


sub is_totals($self, $name, $release, $expected, $test_name) {
    my $wanted = _counters($expected);
    my $deadline = now() + TOTALS_WAIT;
    my $got;

    while (1) {
        $got = _counters($self->totals($name, $release));
        last if $got eq $wanted || now() > $deadline;
        pause(0.02);
    }

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    return is($got, $wanted, $test_name);
}


sub _counters($totals) {
    return join ' ', map { "$_=$totals->{$_}" }
        grep { $totals->{$_} } sort keys %$totals;
}


1;
