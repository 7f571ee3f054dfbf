package Canary::Test;

=head1 NAME

Canary::Test - nginx with real backends for the tests of one file

=head1 SYNOPSIS

    use v5.36;
    use FindBin;
    use lib "$FindBin::Bin/../lib";
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

=item $t->start($http, main => '', events => '', workers => 2,
user => 'root', state_path => '%%DIR%%/canary', as => $other)

Writes the configuration and starts nginx in the foreground; returns when all
its workers run. $http is what stands in the http block, `main` what stands
beside it; `workers => 0` means master_process off; `user` is of the workers,
if the test is run by root; C<< state_path => undef >> means nginx's default,
as a canary_state_path in $http means that one; with `as` it has the prefix
and the configuration file of another one, so that both are one to a state
path, as in a binary upgrade. What is left out stays as it was, so that C<< $t->stop; $t->start >> is a restart.

In all texts %%PORT_name%% is a free port of that name, or the port of the
backend of that name; %%DIR%% the directory, which is the prefix of nginx too;
%%API%% a whole server with the admin API at /canary/ on port `api`;
%%300ms%% a time that is long enough for what takes that on a quiet machine.

=item $t->nginx_conf(dir => $dir, level => 'error', http => $http, ...)

The text of such a configuration, for an nginx that is started in another way
and in another directory.

=item $t->write_config($http, ...), $t->expand($text)

Writes the configuration, and no more. A text with what stands for such names.

=item $t->check($http, ...)

Runs C<nginx -t>: (accepted?, what it printed). C<< $t->line_of('text') >>
tells the line of that configuration in which the text first occurs.

=item $t->reload($http, gone => 1, ...)

Returns when the new workers serve alone; with `gone`, when the old ones have
ended too. With `fails => 1` the configuration is expected to be refused; the
reason is returned.

=item $t->renew($http, ...)

A reload with `gone`, or a restart if nginx is without a master.

=item needs('processes'), lacks('processes')

What a file or a subtest needs, which is skipped where that is missing:
L<Canary::Needs>.

=item $t->has_processes, $t->workers

Whether there are a master and several workers: not in valgrind without a
master; how many workers there are.

=item $t->crash

Kills all processes of nginx at once; C<< $t->start >> is then what a machine
does after a power failure.

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
(its name) or body_size, chunked, keepalive (1), delay_ms, body_delay_ms, echo
(a list of request headers that come back as X-Echo-NAME), close_reused (close
on the second request of a connection, unanswered). Other modes: close and
reset (after the request), slam (close at the first byte), hang, stall_body
(stop reading after the header), refuse (port closed), blackhole (connecting
never ends), until_close (a body without a length), bad_header, big_header,
no_status, short, short_chunked, bad_chunk, hang_body, upgrade (101, then
echo). C<< nth => { n => 20, status => 500 } >>: every 20th of these requests
is answered so, the others by the rest. For grpc also grpc_status and trailers_only, and the modes rst and
rst_body (a body, then a reset stream); for fastcgi the mode bad_record. Each answer has X-Backend: NAME.

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
rules => [...], release => ..., on_violation => ..., on_undecided => ...,
approval => ...)

Dies unless the answer is 201. By default a rollout that stays where it is:
its only rule is a budget of a million. `rules => undef` leaves the rules of
nginx.conf in force. C<rule(NAME => THRESHOLD, PARAMETER => VALUE, ...)>, which
is exported, makes a rule.

=item $t->verb($name, 'rollback', $body), $t->set_weight($name, 0.35)

What is done to a rollout; dies unless the answer is 200. Returns the endpoint
as the answer tells it.

=item $t->totals($name, $release)

The counters of a release as a flat hash without zeros: attempts, 1xx .. 5xx,
failed, timeouts, aborted, fallbacks.

=item $t->is_totals($name, $release, \%expected, $test_name)

Tests them; a counter that is written a moment after the answer may come late.

=back

=head1 ENVIRONMENT

TEST_NGINX_BINARY (nginx), TEST_CANARY_MODULE (build/ngx_http_canary_module.so;
empty: linked statically), TEST_NGINX_DEBUG=1 (debug log), TEST_NGINX_LEAVE=1
(keep the directory), TEST_CANARY_VALGRIND (a file of suppressions: run nginx
in valgrind, always with master_process off; TEST_CANARY_VALGRIND_MASTER=1: with
a master if the test has one), TEST_CANARY_FAULTS (the library of faults;
build/faults/faults.so), TEST_CANARY_KILLS, TEST_CANARY_ENDURANCE=1 and
TEST_CANARY_FLEET=1 (more of what make kills, make endurance and make fleet do),
TEST_CANARY_REDIS (redis-server, or a valkey-server), TEST_NGINX_TIMEOUT
(seconds for a whole file).

=cut

use v5.36;

use parent qw(Canary::Nginx Canary::Admin);

use Carp qw(croak);
use Cwd qw(abs_path);
use Exporter qw(import);
use File::Basename qw(basename dirname);
use File::Path qw(remove_tree);
use File::Temp qw(tempdir);
use Scalar::Util qw(weaken);
use Test::More;

use Canary::Admin qw(rule);
use Canary::Backend;
use Canary::Client;
use Canary::Load;
use Canary::Needs;
use Canary::Util;

our @EXPORT = (qw(rule), @Canary::Needs::EXPORT);

my $root = dirname(dirname(dirname(dirname(abs_path(__FILE__)))));
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

    # However the test ends, END is to see it.
    for my $signal (qw(HUP INT TERM)) {
        $SIG{$signal} = sub ($name) { exit 1 };
    }
    $SIG{PIPE} = 'IGNORE';
    $SIG{ALRM} = sub ($name) {
        diag('the whole test took too long');
        exit 1;
    };
    alarm($ENV{TEST_NGINX_TIMEOUT}
          // Canary::Util::patience($opt{timeout} // 180));

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
        is(join('', map { $self->read_file(basename($_)) }
                    glob "$self->{dir}/valgrind.*.log"), '',
           'nothing that valgrind found') if $ENV{TEST_CANARY_VALGRIND};
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
    for my $master (@{ $self->{masters} // [] }) {
        $self->turn_to($master);
        $self->_end_nginx('TERM');
    }
    $_->stop for values %{ $self->{backends} // {} };

    if ($ENV{TEST_NGINX_LEAVE}) {
        diag("left: $self->{dir}");

    } else {
        remove_tree($self->{dir});
    }

    return;
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


sub wait_for($self, $condition, $timeout = 10, $what = 'a condition') {
    return Canary::Util::wait_for($condition, $timeout, $what);
}


1;
