#!/usr/bin/perl

# Metrics for Prometheus: what is told, that counters never fall, and that a
# real Prometheus makes sense of them.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use JSON::PP ();
use Test::More;

use Canary::Client;
use Canary::Test;
use Canary::Util qw(fork_child);

# With a sanitizer one turn of the processor is too short for the whole text.
use constant SLOW => $ENV{ASAN_OPTIONS} || $ENV{TEST_CANARY_VALGRIND};

my $t = Canary::Test->new(workers => 2);
my %backend = map { $_ => $t->backend($_) } qw(v1 v2 bad);
my $examples = "$FindBin::Bin/../../contrib/prometheus";

my $http = <<'EOC';
    upstream model_v1 { server 127.0.0.1:%%PORT_v1%%; }
    upstream model_v2 { server 127.0.0.1:%%PORT_v2%%; }

    upstream ep {
        canary_release  v1 model_v1;
        canary_release  v2 model_v2;
        canary_rule     error_5xx_rate 10% confidence=off;
        canary_interval 1h;
    }

    upstream 'a "b" \\c ü' {
        canary_release  v1 model_v1;
        canary_release  v2 model_v2;
    }

    server {
        listen 127.0.0.1:%%PORT_http%%;
        location / {
            proxy_pass http://ep;
            proxy_read_timeout 200ms;
            proxy_next_upstream off;
        }
        location /fall/ {
            proxy_pass http://ep;
            proxy_next_upstream http_500;
        }
        location /metrics { canary_metrics; }
        location /if { canary_metrics; if ($arg_x) { set $y 1; } }
    }

    server {
        listen 127.0.0.1:%%PORT_guarded%%;
        canary_api_tokens tokens;
        location /metrics { canary_metrics; }
    }

    %%API%%
EOC

$t->write_file('tokens', '# nobody');
$t->start($http);


# What is told.

subtest 'the text' => sub {
    for my $response ($t->get('/metrics'), $t->get('/metrics/x?y'),
                      $t->get('/if?x=1'), $t->api_get('metrics'))
    {
        is($response->status, 200);
        is($response->header('Content-Type'),
           'text/plain; version=0.0.4; charset=utf-8');
        is($response->header('Cache-Control'), 'no-store');
        is($response->header('X-Content-Type-Options'), 'nosniff');
        is($response->header('Content-Length'), length $response->body)
            if !SLOW;
    }

    my $head = $t->request(method => 'HEAD', uri => '/metrics');
    is($head->status, 200);
    like($head->header('Content-Length'), qr/^[1-9]\d{3,}$/) if !SLOW;

    my $post = $t->request(method => 'POST', uri => '/metrics');
    is($post->status, 405);
    is($post->header('Allow'), 'GET, HEAD');

    is($t->get('/metrics', port => 'guarded')->status, 401,
       'tokens hold for them too');
};

subtest 'names, types and labels' => sub {
    my $text = $t->get('/metrics')->body;
    my %type = $text =~ /^# TYPE (\S+) (\S+)$/mg;
    my %help = $text =~ /^# HELP (\S+) (\S.*)$/mg;

    is_deeply(\%type, {
        nginx_canary_attempts_total           => 'counter',
        nginx_canary_attempt_duration_seconds => 'histogram',
        nginx_canary_fallbacks_total          => 'counter',
        nginx_canary_abandoned_total          => 'counter',
        nginx_canary_no_live_total            => 'counter',
        nginx_canary_weight_ratio             => 'gauge',
        nginx_canary_served_weight_ratio      => 'gauge',
        nginx_canary_phase                    => 'gauge',
        nginx_canary_rule_value               => 'gauge',
        nginx_canary_rule_threshold           => 'gauge',
        nginx_canary_rule_verdict             => 'gauge',
        nginx_canary_transitions_total        => 'counter',
        nginx_canary_generation               => 'gauge',
        nginx_canary_awaits_approval          => 'gauge',
        nginx_canary_stable_unavailable       => 'gauge',
        nginx_canary_rollouts_total           => 'counter',
        nginx_canary_release_info             => 'gauge',
        nginx_canary_configuration_serial     => 'gauge',
        nginx_canary_controller_heartbeat_age_seconds => 'gauge',
        nginx_canary_state_durable            => 'gauge',
    });
    is_deeply([ sort keys %help ], [ sort keys %type ]);

    my %seen;
    for my $line (grep { !/^#/ } split /\n/, $text) {
        like($line, qr/^nginx_canary_\w+(?:\{.+\})? [\d.e+-]+$/)
            or last;
        ok(!$seen{ $line =~ s/ \S+$//r }++, 'once');
    }

    like($text, qr/^nginx_canary_generation\{endpoint="a \\"b\\" \\\\c \xc3\xbc"\} /m,
         'labels are escaped');
};

subtest 'counters of every class' => sub {
    $t->start_rollout('ep', steps => [0.5]);
    my $v2 = $backend{v2};

    for my $status (200, 302, 404, 503) {
        $v2->set(status => $status);
        $t->get('/') for 1 .. 4;
    }
    for my $mode (qw(reset short hang)) {
        $v2->set(mode => $mode, body_size => 1000);
        $t->get('/') for 1 .. 2;
    }
    $v2->set(mode => 'hang');
    gone('/') for 1 .. 2;
    $v2->set(mode => 'answer', status => 500);
    $t->get('/fall/') for 1 .. 2;
    $v2->set(status => 200);

    my $classes = $t->wait_for(sub {
        my %class = counters('attempts_total', 'release="v2"');
        return $class{aborted} ? \%class : 0;
    });

    is_deeply($classes, { '1xx' => 0, '2xx' => 3, '3xx' => 2, '4xx' => 2,
                          '5xx' => 3, failed => 1, timeout => 1,
                          aborted => 1 });
    is(sample('fallbacks_total', 'endpoint="ep",release="v1"'), 1);

    my $attempts = 0;
    $attempts += $_ for values %$classes;
    is($attempts, $t->release(ep => 'v2')->{attempts}, 'as in JSON');
    is($t->release(ep => 'v2')->{failed}, 3, 'which has the one cut short');
};

subtest 'the state' => sub {
    is(sample('weight_ratio', 'endpoint="ep"'), 0.5);
    is(sample('served_weight_ratio', 'endpoint="ep"'),
       $t->endpoint('ep')->{served_weight});
    is(sample('phase', 'endpoint="ep",phase="progressing"'), 1);
    is(sample('phase', "endpoint=\"ep\",phase=\"$_\""), 0)
        for qw(idle paused halted baking);
    is(sample('transitions_total', 'endpoint="ep",to="progressing"'), 1);
    is(sample('transitions_total', 'endpoint="ep",to="idle"'), 0);
    is(sample('generation', 'endpoint="ep"'),
       $t->endpoint('ep')->{generation});

    my $rule = 'endpoint="ep",rule="failed_requests_max",index="0"';
    is(sample('rule_threshold', $rule), 1_000_000);
    is(sample('rule_value', $rule), 6);
    is(sample('rule_verdict', "$rule,verdict=\"passing\""), 1);
    is(sample('rule_verdict', "$rule,verdict=\"failing\""), 0);
    is(sample('rule_verdict', "$rule,verdict=\"undecided\""), 0);

    $t->verb(ep => 'pause');
    $t->verb(ep => 'resume');
    is(sample('transitions_total', 'endpoint="ep",to="progressing"'), 2);
    is(sample('transitions_total', 'endpoint="ep",to="paused"'), 1);

    $t->verb(ep => 'rollback');
    is(sample('phase', 'endpoint="ep",phase="idle"'), 1);
    is(sample('weight_ratio', 'endpoint="ep"'), 0);
    is(sample('rule_value', $rule), undef, 'no rollout, no rules');
    is(sample('served_weight_ratio', 'endpoint="ep"'), undef);

    $t->start_rollout('ep', rules => [
        rule(latency_avg_max => 250, confidence => 'off'),
        rule(error_rate => 0.1, confidence => 'off'),
        rule(error_rate => 0.2, confidence => 'off', window_seconds => 5) ]);
    is(sample('rule_threshold', 'endpoint="ep",rule="latency_avg_max",'
                                . 'index="0"'), 0.25, 'base units');
    is(sample('rule_threshold', 'endpoint="ep",rule="error_rate",index="2"'),
       0.2, 'two rules of one name');
    $t->verb(ep => 'rollback');
};

subtest 'roles, results, and what waits for a person' => sub {
    my $before = sample('rollouts_total', 'endpoint="ep",result="promoted"');
    my $back = sample('rollouts_total', 'endpoint="ep",result="rolled_back"');

    is(role('v1'), 'stable');
    is(role('v2'), 'none');

    $t->start_rollout('ep', steps => [0.5], interval => 1,
                      approval => 'step');
    is(role('v1'), 'stable');
    is(role('v2'), 'canary');
    is(sample('awaits_approval', 'endpoint="ep"'), 0, 'it has no traffic');
    is(sample('stable_unavailable', 'endpoint="ep"'), 0);

    $t->wait_for(sub {
        $t->get('/') for 1 .. 4;
        sample('awaits_approval', 'endpoint="ep"');
    });

    $t->verb(ep => 'promote');
    is(role('v2'), 'stable');
    is(role('v1'), 'none');
    is(sample('awaits_approval', 'endpoint="ep"'), 0);
    is(sample('rollouts_total', 'endpoint="ep",result="promoted"'),
       $before + 1);

    $t->start_rollout('ep', release => 'v1', steps => [0.5]);
    $t->verb(ep => 'rollback');
    is(sample('rollouts_total', 'endpoint="ep",result="rolled_back"'),
       $back + 1);
    is(sample('rollouts_total', 'endpoint="ep",result="promoted"'),
       $before + 1);

    $t->api_post('endpoints/ep/rollout',
                 { release => 'v1', strategy => 'direct' });
    is(role('v1'), 'stable');
    is(sample('rollouts_total', 'endpoint="ep",result="promoted"'),
       $before + 2, 'one that was made stable at once is promoted, too');
};

subtest 'nginx itself' => sub {
    is(sample('state_durable'), 1);
    $t->wait_for(sub { sample('controller_heartbeat_age_seconds') < 5 });

    my $serial = sample('configuration_serial');
    my $shown = $t->endpoint('ep')->{configuration};

    is($shown->{serial}, $serial, 'as the API says');
    like($shown->{loaded}, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    is_deeply($t->api_get('')->json->{configuration}, $shown);

    $t->reload;
    ok(sample('configuration_serial') > $serial, 'it rises with a reload');

    needs('processes');
    $serial = sample('configuration_serial');
    $t->stop;
    $t->start($http);
    ok(sample('configuration_serial') > $serial, 'and over a restart');
};

subtest 'the histogram' => sub {
    $t->start_rollout('ep', steps => [0.5]);
    my %before = histogram('v1');

    $backend{v1}->set(delay_ms => 20);
    $t->get('/') for 1 .. 20;
    $backend{v1}->set(delay_ms => 0);

    my %after = histogram('v1');
    my @edges = grep { $_ ne '+Inf' } keys %{ $after{buckets} };

    is($after{buckets}{'+Inf'}, $after{count});
    is($after{count} - $before{count}, 10);

    my ($last, $ascending) = (0, 1);
    for my $edge (sort { $a <=> $b } @edges) {
        $ascending = 0 if $after{buckets}{$edge} < $last;
        $last = $after{buckets}{$edge};
    }
    ok($ascending, 'cumulative');
    ok($last <= $after{count});

    is($after{buckets}{0.016384}, $before{buckets}{0.016384},
       'none was quicker');
    ok($after{sum} - $before{sum} >= 0.2, 'seconds in the sum');
    ok($after{sum} - $before{sum} < 100);

    for my $edge (@edges) {
        my $us = sprintf '%.0f', $edge * 1_000_000;
        $us /= 3 if $us % 3 == 0;
        ok($us >= 1 && ($us & ($us - 1)) == 0, "$edge s is an edge");
    }
    $t->verb(ep => 'rollback');
};


# Counters never fall.

subtest 'whatever happens to nginx' => sub {
    needs('processes', 'speed');
    $t->start_rollout('ep', steps => [0.5]);
    my $load = $t->load(connections => 4);
    my $other = $http =~ s/^ +canary_release +v2 .*\n//mr
                      =~ s/^ +upstream ep \{.*\n/$&canary_release v3 model_v2;\n/mr;
    my $before = all_counters();

    my @happens = (
        ['nothing' => sub { }],
        ['a reload' => sub { $t->reload }],
        ['more workers' => sub { $t->reload(undef, workers => 4) }],
        ['a killed worker' => sub {
            my ($pid) = $t->worker_pids;
            $t->kill(KILL => $pid);
            $t->wait_for(sub { (grep { $_ == $pid } $t->worker_pids) == 0
                               && $t->worker_pids == 4 });
        }],
        ['a release gone' => sub { $t->reload($other, gone => 1) }],
        ['and back' => sub { $t->reload($http, gone => 1) }],
        ['another size of the zone' => sub {
            $load->stop;
            $t->reload("canary_zone zone=canary:8m;\n$http", gone => 1);
        }],
        ['the old size' => sub { $t->reload($http, gone => 1) }],
    );

    $t->allow_log(qr/exited on signal 9/);

    for my $case (@happens) {
        my ($name, $code) = @$case;

        $code->();

        for (1 .. 20) {
            my $after = all_counters();
            my @fallen = grep { exists $after->{$_}
                                && $after->{$_} < $before->{$_} }
                keys %$before;

            is_deeply(\@fallen, [], $name) or last if @fallen || $_ == 20;
            $before = { %$before, %$after };
        }
    }

    ok($before->{'nginx_canary_attempt_duration_seconds_count'
                 . '{endpoint="ep",release="v2"}'} > 10);
};


# Prometheus itself.

subtest 'promtool has nothing to say' => sub {
    needs('promtool');

    $t->start_rollout('ep', steps => [0.5]);
    $t->write_file('metrics.txt', $t->get('/metrics')->body);
    my $said = `promtool check metrics <@{[ $t->dir ]}/metrics.txt 2>&1`;

    is($said, '');
    is($?, 0);
    $t->verb(ep => 'rollback');
};

subtest 'the examples of rules' => sub {
    needs('promtool');

    for my $file (qw(rules.yml alerts.yml)) {
        my $said = `promtool check rules $examples/$file 2>&1`;
        is($?, 0, $file) or diag($said);
    }

    my %tested = map { $_ => 1 } slurp("$examples/tests.yml")
        =~ /alertname: (\w+)\n +exp_alerts:\n/g;

    ok($tested{$_}, "$_ is tested")
        for slurp("$examples/alerts.yml") =~ /- alert: (\w+)/g;

    my $said = `cd $examples && promtool test rules tests.yml 2>&1`;
    is($?, 0, 'and what they say of some figures') or diag($said);
};

subtest 'the dashboard asks for what there is' => sub {
    my $dashboard = JSON::PP::decode_json(
        slurp("$examples/../grafana/nginx-canary.json"));
    my %known = map { $_ => 1 }
        $t->get('/metrics')->body =~ /^# TYPE (\S+)/mg;
    my @asked = map { $_->{expr} } map { @{ $_->{targets} // [] } }
        @{ $dashboard->{panels} };

    ok(@asked >= 8, 'queries');
    for my $name (map { /(nginx_canary_\w+)/g } @asked) {
        ok($known{ $name =~ s/_(?:bucket|sum|count)$//r }, $name);
    }
};

subtest 'a Prometheus scrapes them' => sub {
    needs('prometheus');

    my $dir = $t->dir;
    my $port = $t->port('prometheus');
    my $target = '127.0.0.1:' . $t->port('http');

    $t->write_file('prometheus.yml', <<"EOY");
global: { scrape_interval: 250ms, scrape_timeout: 200ms }
rule_files: [ "$examples/rules.yml", "$examples/alerts.yml" ]
scrape_configs:
  - job_name: nginx
    static_configs: [ { targets: [ "$target" ] } ]
EOY
    my $pid = fork_child(sub {
        open STDERR, '>', "$dir/prometheus.log";
        exec 'prometheus', "--config.file=$dir/prometheus.yml",
            "--storage.tsdb.path=$dir/tsdb",
            "--web.listen-address=127.0.0.1:$port";
    });
    my $stop = Stop->new($pid);

    $t->wait_for(sub { ask($port, "up{job=\"nginx\"}") }, 20, 'Prometheus');

    $t->start_rollout('ep', steps => [0.5]);
    $backend{v2}->on('/some', status => 500);
    $backend{v2}->set(delay_ms => 30);

    my $some = 0;
    my ($errors, $p90) = (0, 0);

    $t->wait_for(sub {
        $t->get($some++ % 8 < 2 ? '/some' : '/') for 1 .. 16;

        $errors = ask($port, 'sum(rate(nginx_canary_attempts_total{endpoint="ep",'
            . 'release="v2",class=~"5xx|failed|timeout"}[3s])) / sum(rate('
            . 'nginx_canary_attempts_total{endpoint="ep",release="v2"}[3s]))')
            // 0;
        $p90 = ask($port, 'histogram_quantile(0.9, sum by (le) (rate('
            . 'nginx_canary_attempt_duration_seconds_bucket'
            . '{endpoint="ep",release="v2"}[3s])))') // 0;

        return $errors > 0.15 && $errors < 0.35 && $p90 > 0.024
            && $p90 < 0.05;
    }, 30, 'the error ratio and the p90');

    ok($errors > 0.15 && $errors < 0.35, "errors of the canary: $errors");
    ok($p90 > 0.024 && $p90 < 0.05, "p90 of the canary: $p90 s");

    is(ask($port, 'nginx_canary_weight_ratio{endpoint="ep"}'), 0.5);
    is(ask($port, 'nginx_canary_phase{endpoint="ep"} == 1'), 1);

    $backend{v2}->set(delay_ms => 0);
};

# What is last may have no text, and be alone in its part.

subtest 'parts end anywhere' => sub {
    for my $n (1 .. 8) {
        my $more = join '', map { "upstream more$_ {
            canary_release v1 model_v1; canary_release v2 model_v2; }\n" }
            1 .. $n;

        $t->renew($http . $more);

        my $response = $t->get('/metrics');
        like($response->body, qr/"more$n"/, "$n more: the last of them");
        ok(!$response->error, 'and the end');
    }
};

$t->finish;


sub gone($uri) {
    my $client = $t->client->start(uri => $uri);

    select undef, undef, undef, 0.05;
    $client->close;
}


# The value of a sample by its labels without braces; undef: there is none.

sub sample($name, $labels = undef) {
    $labels = defined $labels ? "{$labels}" : '';

    my ($value) = $t->get('/metrics')->body
        =~ /^nginx_canary_\Q$name$labels\E (\S+)$/m;

    return $value;
}


sub role($release) {
    my @roles = $t->get('/metrics')->body
        =~ /^nginx_canary_release_info\{endpoint="ep",release="$release",role="(\w+)"\} 1$/mg;

    return "@roles";
}


# Those of "ep" by their class.

sub counters($name, $labels) {
    return $t->get('/metrics')->body
        =~ /^nginx_canary_$name\{endpoint="ep",$labels,class="(\w+)"\} (\d+)$/mg;
}


sub slurp($name) {
    open my $in, '<', $name or die "$name: $!";
    local $/;

    return <$in>;
}


sub histogram($release) {
    my %histogram;
    my $labels = qr/endpoint="ep",release="$release"/;
    my $name = 'nginx_canary_attempt_duration_seconds';
    my $text = $t->get('/metrics')->body;

    %{ $histogram{buckets} } =
        $text =~ /^${name}_bucket\{$labels,le="(\S+)"\} (\d+)$/mg;
    ($histogram{sum}) = $text =~ /^${name}_sum\{$labels\} ([\d.]+)$/m;
    ($histogram{count}) = $text =~ /^${name}_count\{$labels\} (\d+)$/m;

    return %histogram;
}


sub all_counters() {
    my %counters = $t->get('/metrics')->body
        =~ /^(\w+_(?:total|bucket|sum|count)\{.*\}) (\S+)$/mg;

    return \%counters;
}


# The first value that Prometheus answers a query with; undef: none.

sub ask($port, $query) {
    my $encoded = $query =~ s/([^\w])/sprintf '%%%02x', ord $1/ger;
    my $response = Canary::Client->new($port)
        ->request(uri => "/api/v1/query?query=$encoded", close => 1);

    return undef unless $response->status == 200;

    my ($first) = @{ $response->json->{data}{result} };
    return undef unless $first && $first->{value}[1] =~ /^[\d.e+-]+$/;

    return $first->{value}[1] + 0;
}


package Stop;

sub new($class, $pid) { return bless \$pid, $class }

sub DESTROY($self) {
    local $?;

    kill TERM => $$self;
    waitpid $$self, 0;
}
